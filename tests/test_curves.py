"""The learning curves of a training in progress are drawn without touching it."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.conftest import STAGES, Project, wait_until


@pytest.mark.slow
def test_the_curves_are_drawn_while_train_runs(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.dvc("repro", "prepare")
    project.set_params(train__epochs=40)
    command = [sys.executable, "-m", "project.curves"]
    failed = project.run(*command, check=False)
    assert "error: project.curves: no training here has finished an epoch" in failed.stderr
    before = project.git("status", "--porcelain")
    training = [sys.executable, *STAGES["train"]["cmd"].split()[1:]]
    with subprocess.Popen(training, cwd=project.folder, stdout=subprocess.DEVNULL) as run:
        wait_until((project.folder / "models/.model.keras.checkpoint").exists)
        lines = project.run(*command).stdout.splitlines()  # ends with the training
    assert run.returncode == 0
    epochs = [int(re.fullmatch(r"epoch (\d+): val_loss \d\.\d{4}, val_accuracy \d\.\d{4}", line)[1]) for line in lines]  # type: ignore[index]
    assert len(epochs) > 1
    assert epochs == sorted(set(epochs))
    assert (project.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert project.git("status", "--porcelain") == before
