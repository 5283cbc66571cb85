"""Bad input and bad luck: one clear line, a non-zero exit, nothing half-written, and the next run works."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Project
from tests.test_determinism import TRAIN

PREPARE = "python -m stages.prepare --raw data/raw --prepared data/prepared"
EVALUATE = "python -m stages.evaluate " + " ".join(
    f"--{name} {path}"
    for name, path in {
        "prepared": "data/prepared", "model": "model.keras", "metrics": "evaluate.json", "per_class": "per_class.csv",
        "predictions": "predictions.csv", "confused_pairs": "pairs.csv", "confusion_train": "train.csv",
        "confusion_test": "test.csv", "mistakes": "mistakes.npy",
    }.items()
)  # fmt: skip


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    project.dvc("repro", "prepare")
    return project


@pytest.fixture(autouse=True)
def params_as_they_were(project: Project) -> Iterator[None]:
    yield
    project.git("checkout", "-q", "params.yaml")


def fails(project: Project, command: str) -> str:
    """Run a stage that must fail in one line and change nothing; return the line."""
    before = project.snapshot()
    result = project.stage(command)
    assert result.returncode == 1
    assert project.snapshot() == before
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:2], lambda content: b""])
def test_prepare_refuses_broken_files(project: Project, damage: Callable[[bytes], bytes]) -> None:
    path = project.folder / "data/raw/t10k-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    try:
        assert "t10k-images-idx3-ubyte" in fails(project, PREPARE)
    finally:
        path.write_bytes(whole)


def test_prepare_refuses_a_fraction_that_leaves_a_split_empty(project: Project) -> None:
    project.change(prepare__validation_fraction=0.0001)
    assert "leaves 600 for training and 0 for validation" in fails(project, PREPARE)


def test_train_tells_what_is_missing(project: Project) -> None:
    elsewhere = TRAIN.format("x").replace("data/prepared", "data/nowhere")
    assert "data/nowhere/train/images.npy is missing" in fails(project, elsewhere)


def test_evaluate_refuses_a_file_that_is_no_model(project: Project) -> None:
    model = project.folder / "model.keras"
    model.write_bytes(b"PK not really")
    assert "model.keras is not a whole Keras model" in fails(project, EVALUATE)
    model.unlink()


def test_a_full_disk_leaves_no_half_model(project: Project) -> None:
    before = project.snapshot()
    result = subprocess.run(
        [sys.executable, *TRAIN.format("full").split()[1:]], cwd=project.folder, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == "error: train: cannot write full.keras: File too large\n"
    assert project.snapshot() == before


def test_ctrl_c_leaves_nothing_and_says_how_to_go_on(project: Project) -> None:
    before = project.snapshot()
    project.change(train__epochs=10_000)
    command = [sys.executable, "-u", *TRAIN.format("interrupted").split()[1:]]
    with subprocess.Popen(
        command, cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs inherit that it is ignored
    ) as run:  # fmt: skip
        try:
            until(run, "Epoch 3/")
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        finally:
            run.kill()
    # TensorFlow itself crashes now and then when the interruption meets it ("free(): invalid next size")
    assert run.returncode in (130, -signal.SIGABRT, -signal.SIGSEGV), errors
    if run.returncode == 130:
        assert errors == "train: interrupted, no file is half-written; the same command starts it again\n"
    project.git("checkout", "-q", "params.yaml")
    assert project.snapshot() == before


@pytest.mark.slow
def test_dvc_recovers_from_a_killed_repro(project: Project) -> None:
    with subprocess.Popen(
        ["dvc", "repro", "train"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as run:  # fmt: skip
        until(run, "Epoch 1/")
        os.killpg(run.pid, signal.SIGKILL)
    assert not (project.folder / "models/model.keras").exists()
    assert "Running stage 'train'" in project.dvc("repro", "train")
    assert (project.folder / "models/model.keras").exists()
    assert not list(project.folder.rglob("*.tmp"))


def until(run: "subprocess.Popen[str]", text: str) -> None:
    """Read what a running command prints until `text` appears."""
    assert run.stdout is not None
    assert any(text in line for line in run.stdout), f"the command ended without {text!r}"
