"""A training gives the same bits in every run, on one core or more."""

import hashlib
import shutil
from collections.abc import Callable

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]

from tests.conftest import STAGES, Project, require


@pytest.fixture(scope="module")
def prepared(new_finished_project: Callable[[], Project]) -> Project:
    return new_finished_project()


TRAIN = (
    "python -m stages train --prepared data/prepared"
    " --checkpoint .{0}.keras.checkpoint --model {0}.keras"
    " --summary {0}.json --history {0}.csv --operations {0}.operations.csv"
)


def train(project: Project, name: str, *prefix: str) -> dict[str, str]:
    """Train, and return the SHA-256 of each output by its suffix."""
    result = project.run_stage(TRAIN.format(name), *prefix)
    assert result.returncode == 0, result.stderr
    return hash_outputs(project, name)


def hash_outputs(project: Project, name: str = "") -> dict[str, str]:
    """The SHA-256 of each output of a training, by its suffix; without a name, of the training of dvc repro."""
    names = {"keras": "models/model.keras", "json": "models/summary.json", "csv": "models/history.csv"}
    files = {suffix: project.folder / (f"{name}.{suffix}" if name else path) for suffix, path in names.items()}
    return {suffix: hashlib.sha256(file.read_bytes()).hexdigest() for suffix, file in files.items()}


def use_all_options(project: Project) -> None:
    """Use the options that experiments may use beyond the committed params."""
    project.set_params(model__architecture="resnet", model__standardize=True)
    project.set_params(train__schedule="cosine", train__weight_decay=0.01)
    project.set_params(
        train__label_smoothing=0.1, train__calibrate=True, augment__flip=True, augment__shift=1, augment__erase=4
    )


@pytest.mark.slow
@pytest.mark.parametrize("all_options", [False, True], ids=["committed params", "all options"])
def test_training_gives_the_same_bits_on_one_core_and_others_with_another_seed(
    prepared: Project, all_options: bool
) -> None:
    prepared.git("checkout", "-q", "params.yaml")
    if all_options:
        use_all_options(prepared)
    first = train(prepared, "first") if all_options else hash_outputs(prepared)
    assert train(prepared, "again", require(shutil.which("taskset"), "util-linux"), "-c", "0") == first
    if all_options:
        prepared.set_params(train__seed=2)
        other = train(prepared, "seed2")
        assert all(other[suffix] != first[suffix] for suffix in first)


@pytest.mark.slow
def test_other_kernels_of_numpy_and_openblas_give_the_same_tables_and_pictures(
    new_finished_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of CPUs without AVX-512 and without AVX2."""
    project = new_finished_project()
    expected = project.snapshot()
    found = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
    for names in {tuple(found), tuple(found[1:])}:
        monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", " ".join(names))
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
        for stage in ("evaluate", "plot"):
            assert project.run_stage(STAGES[stage]["cmd"]).returncode == 0
        assert project.snapshot() == expected
