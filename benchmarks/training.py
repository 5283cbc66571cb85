"""Compare the speed of training: a plain Keras script, this pipeline, and this pipeline in its fastest settings.

The three take turns on the same data, each in a process of its own, so that a change of the machine's speed affects all
of them. Each trains for two epochs, of which the second counts, because the first includes TensorFlow's tracing. Ratios
are taken within a turn. The number of turns is REPEATS, or the first argument.
"""

import subprocess
import sys

import pandas as pd
from tqdm import trange

from benchmarks.pipeline import EPOCHS
from project.paths import TRAINING_SPLIT

REPEATS = 5

PROGRAMS = {
    "plain Keras": ["benchmarks.plain", str(TRAINING_SPLIT), str(EPOCHS)],
    "pipeline, reproducible": ["benchmarks.pipeline", str(TRAINING_SPLIT), "default"],
    "pipeline, fastest": ["benchmarks.pipeline", str(TRAINING_SPLIT), "fastest"],
}


def images_per_second(program: list[str]) -> float:
    result = subprocess.run([sys.executable, "-m", *program], capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stderr)
    return float(result.stdout.splitlines()[-1])


def main(repeats: int) -> None:
    turns = [
        {name: images_per_second(program) for name, program in PROGRAMS.items()}
        for _ in trange(repeats, desc="turns of three trainings")
    ]
    speed = pd.DataFrame(turns)
    ratio = speed.div(speed["plain Keras"], axis=0)
    table = pd.concat({"images/s": speed.T.round(0), "ratio to plain Keras": ratio.T.round(2)})
    print(table.agg(["min", "median", "max"], axis=1).to_string())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS)
