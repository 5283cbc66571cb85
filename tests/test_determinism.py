"""The same bits: from run to run, on one core or more, and with any number of threads that the params call equal."""

import hashlib
import shutil
from collections.abc import Callable

import pytest

from tests.conftest import Project


@pytest.fixture(scope="module")
def prepared(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    project.dvc("repro", "prepare")
    return project


TRAIN = "python -m stages.train --prepared data/prepared --model {0}.keras --metrics {0}.json --history {0}.csv"


def train(project: Project, name: str, *prefix: str) -> dict[str, str]:
    """Train and return the outputs' hashes."""
    result = project.stage(TRAIN.format(name), *prefix)
    assert result.returncode == 0, result.stderr
    files = {suffix: project.folder / f"{name}.{suffix}" for suffix in ("keras", "json", "csv")}
    return {suffix: hashlib.sha256(file.read_bytes()).hexdigest() for suffix, file in files.items()}


@pytest.mark.slow
def test_training_gives_the_same_bits_again_and_with_1_2_and_4_threads_and_others_with_another_seed(
    prepared: Project,
) -> None:
    first = train(prepared, "first")
    one_core = ("taskset", "-c", "0") if shutil.which("taskset") else ()
    assert train(prepared, "again", *one_core) == first
    for threads in (1, 2):
        prepared.change(runtime__threads=threads)
        assert train(prepared, f"threads{threads}") == first, f"{threads} threads"
    prepared.change(train__seed=2)
    other = train(prepared, "seed2")
    assert all(other[suffix] != first[suffix] for suffix in first)
