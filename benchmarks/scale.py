"""Time and memory of each stage for 1, 4 and 10 times the dataset and one epoch of training.

    python -m benchmarks.scale [FACTOR ...]

The peak memory includes that of the interpreter and of TensorFlow, which is measured with a fifth of the dataset and as
many training steps. memory/arrays is the additional memory divided by the additional size of the prepared arrays.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier import dataset
from classifier.params import PARAMS, load_params
from project import cli, paths

ROOT = Path(__file__).parents[1]
RAW = ROOT / paths.RAW
SMALL = 0.2  # of the dataset: enough for full batches
FACTORS = (1.0, 4.0, 10.0)

# A small process starts the stage: the peak of a process is at least the memory of the process that started it
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes that ru_maxrss counts in

COMMANDS = {name: stage["cmd"] for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()}


class Usage(NamedTuple):
    """What a stage used. images: in the dataset. arrays: the size of the prepared arrays, MB. peak: of memory, MB."""

    stage: str
    factor: float
    images: int
    arrays: float
    seconds: float
    peak: float


def measure(folder: Path, factor: float) -> list[Usage]:
    """Run the stages on a dataset `factor` times as large as that of data/raw, in an empty folder."""
    write_repeated(folder, factor)
    used = {stage: run(folder, command) for stage, command in COMMANDS.items()}
    arrays = [path.stat() for path in folder.glob("data/prepared/*/*.npy")]
    images = sum(len(np.load(path, mmap_mode="r")) for path in folder.glob("data/prepared/*/labels.npy"))
    size = sum(array.st_size for array in arrays) / 1e6
    return [Usage(stage, factor, images, size, seconds, peak) for stage, (seconds, peak) in used.items()]


def write_repeated(folder: Path, factor: float) -> None:
    """Write the dataset's files with their items repeated, as a source for fetch, and a params.yaml with their hashes.

    The number of epochs is one, or on a part of the dataset as many as make about the same number of steps.
    """
    content = YAML(typ="safe").load(ROOT / PARAMS)
    content["train"]["epochs"] = max(1, round(1 / factor))
    (folder / "source").mkdir()
    for role, file in load_params(ROOT / PARAMS).dataset.files:
        items = dataset.read_idx(RAW / file.name, 3 if role.endswith("images") else 1, file.sha256)
        repeated = np.resize(items, (round(len(items) * factor), *items.shape[1:]))
        magic = (RAW / file.name).read_bytes()[:4]
        idx = magic + np.array(repeated.shape, ">u4").tobytes() + repeated.tobytes()
        (folder / "source" / file.name).write_bytes(idx)
        content["dataset"]["files"][role]["sha256"] = hashlib.sha256(idx).hexdigest()
    YAML(typ="safe").dump(content, folder / "params.yaml")


def run(folder: Path, command: str) -> tuple[float, float]:
    """Run a stage's command; returns its seconds and its peak memory in MB."""
    begin = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, *command.split()[1:]],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT), "DATASET_SOURCES": "source"},
        capture_output=True, text=True,
    )  # fmt: skip
    if result.returncode:
        sys.exit(result.stderr)
    return time.perf_counter() - begin, int(result.stdout.splitlines()[-1]) * MAXRSS_UNIT / 1e6


def table(used: list[Usage]) -> pd.DataFrame:
    """One row per stage and factor but SMALL."""
    every = pd.DataFrame(used)
    small = every[every["factor"] == SMALL]
    rows = every[every["factor"] != SMALL].merge(small, on="stage", suffixes=("", " of the small run"))
    more = {key: rows[key] - rows[f"{key} of the small run"] for key in ("arrays", "peak")}
    return pd.DataFrame(
        {
            "stage": pd.Categorical(rows["stage"], list(COMMANDS)),
            "images": rows["images"],
            "seconds": rows["seconds"].round(1),
            "arrays MB": rows["arrays"].round(),
            "peak MB": rows["peak"].round(),
            "own MB": (rows["peak of the small run"] - rows["arrays of the small run"]).round(),
            "memory/arrays": (more["peak"] / more["arrays"]).round(2) + 0.0,  # no -0
        }
    ).sort_values(["stage", "images"])


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("factors", nargs="*", type=cli.number(float, 0.01), default=FACTORS, metavar="FACTOR")
    factors = parser.parse_args().factors
    used: list[Usage] = []
    for factor in tqdm((SMALL, *factors), desc="sizes of the dataset"):
        with tempfile.TemporaryDirectory() as folder:
            used += measure(Path(folder), factor)
    print(table(used).to_string(index=False))


if __name__ == "__main__":
    with cli.one_line_errors("benchmarks.scale"):
        main()
