"""The pipeline on a Linux without Debian's tools, in a path with a space and umlauts, with an ASCII locale."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Project

TOOLS = ("env", "expand", "git", "grep", "make", "rm", "sed", "sh", "test", "touch")  # what README.md needs


@pytest.mark.parametrize("module", ["project.stale", "project.verify", "review", "experiments.apply"])
def test_a_command_says_in_one_line_that_git_is_missing(tmp_path: Path, module: str) -> None:
    arguments = ["baseline"] if module == "experiments.apply" else []
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == f"error: {module}: git is not installed, or not on PATH\n"


def test_an_address_that_dvc_cannot_save_is_a_one_line_error(new_project: Callable[[], Project]) -> None:
    project = new_project()
    result = project.run("make", "--silent", "remote", "URL=/home/müller/storage", check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: DVC cannot save a URL with characters beyond ASCII; a relative path")
    assert project.git("status", "--short") == ""
    project.run("make", "--silent", "remote", "URL=../storage")
    assert "url = ../../storage" in (project.folder / ".dvc/config").read_text()


@pytest.mark.slow
def test_tests_of_the_pipeline_pass_without_debians_tools(tmp_path: Path) -> None:
    folder = tmp_path / "Grüße an alle"
    tools = folder / "tools"
    tools.mkdir(parents=True)
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or pytest.fail(f"{name} is missing"))
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder / "project")], check=True)
    environment = {"PATH": str(tools), "HOME": str(folder), "LANG": "C", "LC_ALL": "C"}
    files = [f"tests/test_{name}.py" for name in ("pipeline", "fetch", "artifacts")]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "not slow", f"--basetemp={folder / 'temporary'}", *files],
        cwd=folder / "project", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    print(result.stdout[-3000:])
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert " passed" in result.stdout
    assert not (folder / "project/data/raw").exists()
