"""Invalid input, a full disk, Ctrl-C and kills.

An error is one line and a non-zero exit status, no incomplete file is left, and the next run succeeds.
"""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, chdir

import psutil
import pytest

from project.lock import only_stage
from stages.__main__ import main
from tests.conftest import STAGES, Project, restore_signals, wait_until
from tests.test_determinism import TRAIN, hash_outputs, train


def read_until(run: "subprocess.Popen[str]", text: str) -> None:
    """Read the output of a started command until a line contains `text`; fail if the command ends before."""
    assert run.stdout is not None
    assert any(text in line for line in run.stdout), f"the command ended without {text!r}"


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    project = new_project()
    project.dvc("repro", "prepare")
    return project


@pytest.fixture(autouse=True)
def restore_project(project: Project) -> Iterator[None]:
    """Restore the params after each test, and remove the files that it left."""
    yield
    project.git("checkout", "-q", "params.yaml")
    project.git("clean", "-fdq", "--exclude=dvc.lock")


def run_failing_stage(project: Project, command: str) -> str:
    """Run a stage's command, which must fail with a one-line error and change no file; return the error."""
    before = project.snapshot()
    result = project.run_stage(command)
    assert result.returncode == 1
    assert project.snapshot() == before
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def call_failing_stage(project: Project, command: str) -> str:
    """As run_failing_stage, in this process, which takes less time."""
    before = project.snapshot()
    with chdir(project.folder), pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("classifier.runtime.start", lambda settings: None)  # TensorFlow is imported already
        main(command.split()[3:])
    assert project.snapshot() == before
    line = str(end.value.code)
    assert line.startswith("error: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: content[:2], lambda content: b""])
def test_prepare_refuses_corrupt_files(project: Project, damage: Callable[[bytes], bytes]) -> None:
    path = project.folder / "data/raw/t10k-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    try:
        assert "t10k-images-idx3-ubyte" in call_failing_stage(project, STAGES["prepare"]["cmd"])
    finally:
        path.write_bytes(content)


def test_only_one_stage_at_a_time_runs_in_a_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = (
        f"error: prepare: a stage is running in this folder, process {os.getpid()} on {socket.gethostname()}; "
        "wait until it has ended, or end it"
    )
    monkeypatch.chdir(project.folder)
    with only_stage():
        result = project.run_stage(STAGES["prepare"]["cmd"])
    assert (result.returncode, result.stderr) == (1, f"{expected}\n")


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])
def test_a_stage_ends_after_its_dvc_was_killed(project: Project, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """DVC starts a stage by a shell, which is replaced by the stage or waits for it, depending on the shell."""

    def running() -> list[psutil.Process]:
        return [each for each in dvc.children(recursive=True) if "stages" in each.cmdline()]

    monkeypatch.setenv("SHELL", shell)

    with socket.create_server(("127.0.0.1", 0)) as server:  # answers nothing
        server.settimeout(60)
        monkeypatch.setenv("DATASET_SOURCES", f"http://127.0.0.1:{server.getsockname()[1]}")
        with project.start("dvc", "repro", "--force", "fetch", stderr=subprocess.DEVNULL) as run:
            dvc = psutil.Process(run.pid)
            wait_until(lambda: bool(running()))
            server.accept()
            (stage,) = running()
            run.kill()
            run.wait()
            stage.wait(timeout=30)
    monkeypatch.delenv("DATASET_SOURCES")
    project.dvc("repro", "prepare")
    assert not list((project.folder / "data").glob(".*.tmp"))  # which the killed stage left


def test_prepare_refuses_a_fraction_that_leaves_a_split_empty(project: Project) -> None:
    project.set_params(prepare__validation_fraction=0.0001)
    assert "leaves 600 for training and 0 for validation" in run_failing_stage(project, STAGES["prepare"]["cmd"])


def test_train_reports_a_missing_input(project: Project) -> None:
    command = TRAIN.format("x").replace("data/prepared", "data/nowhere")
    assert "data/nowhere/train/images.npy is missing" in call_failing_stage(project, command)


def test_evaluate_refuses_a_file_that_is_not_a_model(project: Project) -> None:
    model = project.folder / "models/model.keras"
    model.parent.mkdir(exist_ok=True)
    model.write_bytes(b"PK not a zip archive")
    assert "models/model.keras is not a whole Keras model" in run_failing_stage(project, STAGES["evaluate"]["cmd"])
    model.unlink()


def test_plot_refuses_a_table_with_other_columns(project: Project) -> None:
    history = project.folder / "models/history.csv"
    history.parent.mkdir(exist_ok=True)
    history.write_text("epoch,loss\n1,2\n")
    assert (
        "models/history.csv is not the table that it should be: its columns are not epoch, loss, accuracy, val_loss"
        in call_failing_stage(project, STAGES["plot"]["cmd"])
    )
    history.unlink()


@pytest.mark.slow
def test_a_full_disk_leaves_no_incomplete_model(project: Project) -> None:
    before = project.snapshot()
    result = subprocess.run(
        [sys.executable, *TRAIN.format("full").split()[1:]], cwd=project.folder, capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == "error: train: cannot write .full.keras.checkpoint: File too large\n"
    assert project.snapshot() == before


def start_training(project: Project, name: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    return project.start(
        sys.executable, "-u", *TRAIN.format(name).split()[1:], stderr=subprocess.PIPE,
        preexec_fn=restore_signals,
    )  # fmt: skip


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_training_with_the_epoch_and_how_to_continue(project: Project, number: int) -> None:
    before = project.snapshot()
    project.set_params(train__epochs=10_000)
    with start_training(project, "interrupted") as run:
        read_until(run, "Epoch 3/")
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    match = re.fullmatch(
        r"train: interrupted in epoch (\d+) of 10000; the same command goes on after epoch (\d+)\n", errors
    )
    assert match
    assert int(match[1]) == int(match[2]) + 1 >= 3
    project.git("checkout", "-q", "params.yaml")
    (project.folder / ".interrupted.keras.checkpoint").unlink()
    assert project.snapshot() == before


@pytest.mark.slow
def test_dvc_repro_continues_a_killed_training_and_gives_the_same_bits(project: Project) -> None:
    project.set_params(train__epochs=5)
    expected = train(project, "uninterrupted")
    with project.start("dvc", "repro", "train", stderr=subprocess.STDOUT) as run:
        read_until(run, "Epoch 3/")
        os.killpg(run.pid, signal.SIGKILL)
    assert not (project.folder / "models/model.keras").exists()
    printed = project.dvc("repro", "train")
    assert re.search(r"^going on after epoch [2-4], from models/\.model\.keras\.checkpoint$", printed, re.MULTILINE)
    assert hash_outputs(project) == expected
    assert not [*project.folder.rglob("*.tmp"), *project.folder.rglob("*.checkpoint")]


@pytest.mark.slow
def test_params_that_change_during_a_training_are_an_error(project: Project) -> None:
    project.set_params(train__epochs=10_000)
    with start_training(project, "edited") as run:
        read_until(run, "Epoch 2/")
        project.set_params(train__learning_rate=0.5)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 1
    assert (
        errors == "error: train: params.yaml has changed since the stage began; put it back, or run dvc repro again\n"
    )
    assert not (project.folder / "edited.keras").exists()
    (project.folder / ".edited.keras.checkpoint").unlink()


@pytest.mark.slow
def test_a_second_repro_in_the_same_folder_is_refused_with_the_first_one_named(project: Project) -> None:
    project.set_params(train__epochs=10_000)
    with project.start("dvc", "repro", "train", stderr=subprocess.STDOUT) as first:
        read_until(first, "Epoch 1/")
        second = project.run("dvc", "repro", check=False)
    assert second.returncode
    assert re.search(r"is busy, it is being blocked by:\s+\(PID \d+\): .*dvc repro train", second.stderr)
    (project.folder / "models/.model.keras.checkpoint").unlink(missing_ok=True)


@pytest.mark.slow
def test_make_repro_removes_a_corrupt_lock_of_dvc(new_finished_project: Callable[[], Project]) -> None:
    project = new_finished_project()
    lock = project.folder / ".dvc/tmp/rwlock"
    lock.write_text('{"write": {"/data/ra')
    assert "RWLock-file '.dvc/tmp/rwlock'" in project.run("dvc", "repro", check=False).stderr
    project.run("make", "repro")
    held = {"write": {str(project.folder / "data/raw"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
    lock.write_text(json.dumps(held))
    assert project.run("make", "repro", "--silent", check=False).returncode == 2
    assert json.loads(lock.read_text())["write"] == held["write"]  # the lock of a running process is kept
