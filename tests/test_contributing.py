"""CONTRIBUTING.md is followed step by step: a new architecture, as the page describes it."""

import re
from collections.abc import Callable

import pytest

from tests.conftest import Project
from tests.test_walk import code_block, run_commands

pytestmark = pytest.mark.slow


def insert(project: Project, path: str, before: str, text: str) -> None:
    """Insert a text into a file, before a text that it contains once."""
    content = (project.folder / path).read_text()
    assert content.count(before) == 1
    (project.folder / path).write_text(content.replace(before, text + before))


def test_a_new_architecture_is_trained_checked_reviewed_and_committed(
    new_finished_project: Callable[[], Project],
) -> None:
    project = new_finished_project()
    project.git("checkout", "-qb", "mlp")
    function = code_block("CONTRIBUTING.md", "def mlp(", "python")
    insert(project, "classifier/models.py", "ARCHITECTURES: dict", f"{function}\n\n")
    insert(project, "classifier/models.py", '"cnn": cnn, ', '"mlp": mlp, ')
    insert(project, "classifier/params.py", '"cnn", ', '"mlp", ')
    output = run_commands(project, code_block("CONTRIBUTING.md", "dvc exp run --set-param"), "-e")
    assert re.search(r"metrics/evaluate.json\s+test.loss", output)
    assert re.search(r"^# Review: main \(\w{7}\) → workspace$", output, re.MULTILINE)
    assert "| `model.architecture` | `cnn` | `mlp` |" in output
    assert "The results of HEAD are up to date" in output
    assert project.git("status", "--porcelain") == ""
    project.run("python", "-m", "pytest", "-q", "-n0", "tests/test_structure.py", "-k", "stage")
