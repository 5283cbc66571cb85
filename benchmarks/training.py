"""Compare the speed of training: a plain Keras script and this pipeline, on one core and on all.

    python -m benchmarks.training [TURNS]

The programs take turns on the same data, each in a process of its own, so that a change of the machine's speed affects
all of them. Each trains for two epochs, of which the second counts, because the first includes TensorFlow's tracing.
Ratios are taken within a turn. TURNS is 5 by default.

"of the peak" compares the operations of each program with the speed of TensorFlow's float32 matrix product in the
same turn, with its default settings. It needs Linux, to give a process one core.
"""

import os
import subprocess
import sys

import pandas as pd
from tqdm import tqdm

from benchmarks.pipeline import EPOCHS
from classifier.errors import UserError
from classifier.params import PARAMS, load_params
from project import cli
from project.paths import TRAINING_SPLIT

TURNS = 5
RECIPE = {  # of benchmarks.plain, as far as it determines the speed
    "model.architecture": "cnn", "model.standardize": False, "train.optimizer": "adam", "train.batch_size": 128,
    "train.weight_decay": 0, "runtime.precision": "float32",
    "augment.flip": False, "augment.shift": 0, "augment.erase": 0,
}  # fmt: skip
PLAIN, PIPELINE, PEAK = "plain Keras", "this pipeline", "matrix product"
PROGRAMS = {
    PLAIN: ["benchmarks.plain", str(TRAINING_SPLIT), str(EPOCHS)],
    PIPELINE: ["benchmarks.pipeline", str(TRAINING_SPLIT)],
    PEAK: ["benchmarks.peak"],
}


def run(program: list[str], cores: list[int]) -> list[float]:
    """The numbers in the last line that a program prints, on the given cores."""
    result = subprocess.run(
        [sys.executable, "-m", *program], capture_output=True, text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )  # fmt: skip
    if result.returncode:
        sys.exit(result.stderr)
    return [float(number) for number in result.stdout.splitlines()[-1].split()]


def turn(cores: list[int]) -> list[dict[str, object]]:
    """One row per training program."""
    found = {name: run(program, cores) for name, program in PROGRAMS.items()}
    plain, (peak,) = found[PLAIN][0], found[PEAK]
    return [
        {
            "cores": len(cores),
            "program": name,
            "images/s": speed,
            "ratio to plain Keras": speed / plain,
            "of the peak": speed * operations / peak,
        }
        for name, (speed, operations) in ((name, found[name]) for name in (PLAIN, PIPELINE))
    ]


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("turns", nargs="?", type=cli.number(int, 1), default=TURNS, metavar="TURNS")
    turns = parser.parse_args().turns
    params = load_params().model_dump()
    for name, value in RECIPE.items():
        section, key = name.split(".")
        if params[section][key] != value:
            raise UserError(f"the plain script has {name}: {value}, and {PARAMS} {params[section][key]}")
    if not TRAINING_SPLIT.is_dir():
        raise UserError(f"{TRAINING_SPLIT} is missing; dvc repro prepare makes it")
    if not hasattr(os, "sched_setaffinity"):
        raise UserError("this system cannot give a process one core; Linux can")
    every = sorted(os.sched_getaffinity(0))
    counts = sorted({1, len(every)})
    with tqdm(total=turns * len(counts), desc="turns of two trainings") as progress:
        rows = []
        for _ in range(turns):
            for count in counts:
                rows += turn(every[:count])
                progress.update()
    groups = pd.DataFrame(rows).groupby(["cores", "program"], sort=False)
    print(groups.agg(["min", "median", "max"]).round(2).to_string())


if __name__ == "__main__":
    with cli.one_line_errors("benchmarks.training"):
        main()
