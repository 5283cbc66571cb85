"""Bad input and bad luck: one clear line, a non-zero exit, nothing half-written, and the next run works."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import STAGES, Project
from tests.test_determinism import TRAIN, hashes, train


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    project.dvc("repro", "prepare")
    return project


@pytest.fixture(autouse=True)
def as_it_was(project: Project) -> Iterator[None]:
    """Puts the params back after a test, and takes away what it left."""
    yield
    project.git("checkout", "-q", "params.yaml")
    project.git("clean", "-fdq", "--exclude=dvc.lock")


def fails(project: Project, command: str) -> str:
    """Run a stage's command that must fail in one line and change nothing; return the line."""
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
        assert "t10k-images-idx3-ubyte" in fails(project, STAGES["prepare"]["cmd"])
    finally:
        path.write_bytes(whole)


def test_prepare_refuses_a_fraction_that_leaves_a_split_empty(project: Project) -> None:
    project.change(prepare__validation_fraction=0.0001)
    assert "leaves 600 for training and 0 for validation" in fails(project, STAGES["prepare"]["cmd"])


def test_train_tells_what_is_missing(project: Project) -> None:
    elsewhere = TRAIN.format("x").replace("data/prepared", "data/nowhere")
    assert "data/nowhere/train/images.npy is missing" in fails(project, elsewhere)


def test_evaluate_refuses_a_file_that_is_no_model(project: Project) -> None:
    model = project.folder / "models/model.keras"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"PK not really")
    assert "models/model.keras is not a whole Keras model" in fails(project, STAGES["evaluate"]["cmd"])
    model.unlink()


def test_plot_refuses_a_table_of_something_else(project: Project) -> None:
    history = project.folder / "models/history.csv"
    history.parent.mkdir(exist_ok=True)
    history.write_text("epoch,loss\n1,2\n")
    assert (
        "models/history.csv is not the table that it should be: its columns are not epoch, loss, accuracy, val_loss"
        in fails(project, STAGES["plot"]["cmd"])
    )
    history.unlink()


@pytest.mark.slow
def test_a_full_disk_leaves_no_half_model(project: Project) -> None:
    before = project.snapshot()
    result = subprocess.run(
        [sys.executable, *TRAIN.format("full").split()[1:]], cwd=project.folder, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == "error: train: cannot write .full.keras.checkpoint: File too large\n"
    assert project.snapshot() == before


def started(project: Project, name: str) -> "subprocess.Popen[str]":
    """A training whose output can be followed."""
    return subprocess.Popen(
        [sys.executable, "-u", *TRAIN.format(name).split()[1:]], cwd=project.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # in the background it is ignored
    )  # fmt: skip


def test_ctrl_c_says_where_it_stopped_and_how_to_go_on(project: Project) -> None:
    before = project.snapshot()
    project.change(train__epochs=10_000)
    with started(project, "interrupted") as run:
        try:
            until(run, "Epoch 3/")
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode == 130
    told = re.fullmatch(
        r"train: interrupted in epoch (\d+) of 10000; the same command goes on after epoch (\d+)\n", errors
    )
    assert told
    assert int(told[1]) == int(told[2]) + 1 >= 3
    project.git("checkout", "-q", "params.yaml")
    (project.folder / ".interrupted.keras.checkpoint").unlink()
    assert project.snapshot() == before


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_bits(project: Project) -> None:
    project.change(train__epochs=5)
    expected = train(project, "whole")
    with started(project, "killed") as run:
        until(run, "Epoch 3/")
        run.kill()
    result = project.stage(TRAIN.format("killed"))
    assert re.search(r"^going on after epoch [2-4], from \.killed\.keras\.checkpoint$", result.stdout, re.MULTILINE)
    assert hashes(project, "killed") == expected
    assert not list(project.folder.glob("*.checkpoint"))


@pytest.mark.slow
def test_an_edit_during_a_training_is_told_before_it_is_booked_as_its_params(project: Project) -> None:
    project.change(train__epochs=10_000)
    with started(project, "edited") as run:
        until(run, "Epoch 2/")
        project.change(train__learning_rate=0.5)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert (
        errors == "error: train: params.yaml has changed since the stage began; put it back, or dvc repro begins anew\n"
    )
    assert not (project.folder / "edited.keras").exists()
    (project.folder / ".edited.keras.checkpoint").unlink()


@pytest.mark.slow
def test_a_second_repro_in_the_same_folder_is_told_about_the_first(project: Project) -> None:
    project.change(train__epochs=10_000)
    with subprocess.Popen(
        ["dvc", "repro", "train"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as first:  # fmt: skip
        until(first, "Epoch 1/")
        second = project.run("dvc", "repro", check=False)
        os.killpg(first.pid, signal.SIGKILL)
    assert second.returncode
    assert re.search(r"is busy, it is being blocked by:\s+\(PID \d+\): .*dvc repro train", second.stderr)
    (project.folder / "models/.model.keras.checkpoint").unlink(missing_ok=True)


@pytest.mark.slow
def test_dvc_goes_on_after_a_killed_repro(project: Project) -> None:
    with subprocess.Popen(
        ["dvc", "repro", "train"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    ) as run:  # fmt: skip
        until(run, "Epoch 2/")
        os.killpg(run.pid, signal.SIGKILL)
    assert not (project.folder / "models/model.keras").exists()
    assert "going on after epoch 1, from models/.model.keras.checkpoint" in project.dvc("repro", "train")
    assert (project.folder / "models/model.keras").exists()
    assert project.git("status", "--porcelain") == "?? dvc.lock"  # nothing else is new
    assert not [*project.folder.rglob("*.tmp"), *project.folder.rglob("*.checkpoint")]


@pytest.mark.slow
def test_make_goes_on_where_dvc_was_killed_while_it_wrote_its_lock(project: Project) -> None:
    lock = project.folder / ".dvc/tmp/rwlock"
    project.dvc("repro", "fetch")
    lock.write_text('{"write": {"/data/ra')
    assert "RWLock-file '.dvc/tmp/rwlock'" in project.run("dvc", "repro", check=False).stderr
    project.run("make", "repro")
    taken = {"write": {str(project.folder / "data/raw"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
    lock.write_text(json.dumps(taken))
    assert project.run("make", "repro", "--silent", check=False).returncode == 2
    assert json.loads(lock.read_text())["write"] == taken["write"]  # somebody else's is respected


def until(run: "subprocess.Popen[str]", text: str) -> None:
    """Read what a running command prints until `text` appears."""
    assert run.stdout is not None
    assert any(text in line for line in run.stdout), f"the command ended without {text!r}"
