"""Time and memory of the stages as the data grows: the dataset once, 4 and 10 times over, one epoch of training.

    python -m benchmarks.scale [FACTOR ...]

A peak of memory has the interpreter's and TensorFlow's own in it, which a run with a fifth of the dataset shows for as
many steps. What is above that run's is given as a multiple of the prepared arrays that are above that run's.
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
from classifier.params import load_params

ROOT = Path(__file__).parents[1]
RAW = ROOT / "data/raw"
SMALL = 0.2  # of the dataset: enough for whole batches
FACTORS = (1.0, 4.0, 10.0)

# By way of a small process: a peak is at least the memory of the process that it was started from
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
KILOBYTE = 1 if sys.platform == "darwin" else 1024  # what ru_maxrss counts in

COMMANDS = {name: stage["cmd"] for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()}


class Usage(NamedTuple):
    """What a stage used on a dataset of so many images, whose prepared arrays have so many MB; peak: MB of memory."""

    stage: str
    factor: float
    images: int
    arrays: float
    seconds: float
    peak: float


def measured(folder: Path, factor: float) -> list[Usage]:
    """Run the stages on a dataset `factor` times as large as that of data/raw, in an empty folder."""
    write_repeated(folder, factor)
    used = {stage: run(folder, command) for stage, command in COMMANDS.items()}
    arrays = [path.stat() for path in folder.glob("data/prepared/*/*.npy")]
    images = sum(len(np.load(path, mmap_mode="r")) for path in folder.glob("data/prepared/*/labels.npy"))
    size = sum(array.st_size for array in arrays) / 1e6
    return [Usage(stage, factor, images, size, seconds, peak) for stage, (seconds, peak) in used.items()]


def write_repeated(folder: Path, factor: float) -> None:
    """The dataset's files with their items repeated, as a source for fetch, and a params.yaml that knows them.

    It trains for one epoch; on a part of the dataset, for as many as make about as many steps.
    """
    content = YAML(typ="safe").load(ROOT / "params.yaml")
    content["train"]["epochs"] = max(1, round(1 / factor))
    (folder / "source").mkdir()
    for role, file in load_params(ROOT / "params.yaml").dataset.files:
        items = dataset.read_idx(RAW / file.name, 3 if role.endswith("images") else 1, file.sha256)
        repeated = np.resize(items, (round(len(items) * factor), *items.shape[1:]))
        magic = (RAW / file.name).read_bytes()[:4]
        idx = magic + np.array(repeated.shape, ">u4").tobytes() + repeated.tobytes()
        (folder / "source" / file.name).write_bytes(idx)
        content["dataset"]["files"][role]["sha256"] = hashlib.sha256(idx).hexdigest()
    YAML(typ="safe").dump(content, folder / "params.yaml")


def run(folder: Path, command: str) -> tuple[float, float]:
    """The seconds that a stage's command took, and the most MB of memory that its process had."""
    begin = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, *command.split()[1:]],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT), "DATASET_SOURCES": "source"},
        capture_output=True, text=True,
    )  # fmt: skip
    if result.returncode:
        sys.exit(result.stderr)
    return time.perf_counter() - begin, int(result.stdout.splitlines()[-1]) * KILOBYTE / 1e6


def table(used: list[Usage]) -> pd.DataFrame:
    """A row for each stage and factor but SMALL, with the memory beyond the small run's by the arrays beyond its."""
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


def main(factors: tuple[float, ...]) -> None:
    used: list[Usage] = []
    for factor in tqdm((SMALL, *factors), desc="sizes of the dataset"):
        with tempfile.TemporaryDirectory() as folder:
            used += measured(Path(folder), factor)
    print(table(used).to_string(index=False))


if __name__ == "__main__":
    main(tuple(map(float, sys.argv[1:])) or FACTORS)
