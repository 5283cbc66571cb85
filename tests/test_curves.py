"""The learning curves of a training in progress are drawn without touching it."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice

import pytest

from tests.conftest import STAGES, Project, wait_until


@pytest.mark.slow
def test_the_curves_are_drawn_while_train_runs(new_project: Callable[[], Project]) -> None:
    project = new_project()
    project.dvc("repro", "prepare")
    project.set_params(train__epochs=10_000)
    command = [sys.executable, "-u", "-m", "project.curves"]
    failed = project.run(*command, check=False)
    assert "error: project.curves: no training here has finished an epoch" in failed.stderr
    before = project.git("status", "--porcelain")
    checkpoint = project.folder / "models/.model.keras.checkpoint"
    training = [sys.executable, *STAGES["train"]["cmd"].split()[1:]]
    with project.start(*training, stdout=subprocess.DEVNULL) as run:
        wait_until(checkpoint.exists)
        with project.start(*command) as curves:
            assert curves.stdout is not None
            lines = list(islice(curves.stdout, 3))
            run.send_signal(signal.SIGTERM)
            assert run.wait(timeout=60) == 130
            checkpoint.unlink()  # as a training does at its end
            lines += curves.stdout
        assert curves.returncode == 0
    matches = [re.fullmatch(r"epoch (\d+): val_loss \d\.\d{4}, val_accuracy \d\.\d{4}\n", line) for line in lines]
    epochs = [int(match[1]) for match in matches if match]
    assert len(epochs) == len(lines) > 1
    assert epochs == sorted(set(epochs))
    assert (project.folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert project.git("status", "--porcelain") == before
