"""The pipeline on a Linux without Debian's tools, in a path with a space and umlauts, with an ASCII locale."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from experiments import apply
from project import cli, stale, verify
from tests.conftest import ROOT, Project

TOOLS = ("env", "expand", "git", "grep", "make", "rm", "sed", "sh", "test", "touch")  # what README.md needs


def test_a_command_says_in_one_line_that_git_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "review"]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (1, "error: review: git is not installed, or not on PATH\n")


@pytest.mark.parametrize("command", [stale, verify, apply])
def test_other_commands_find_that_git_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: ModuleType
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["command", *["baseline"][: command is apply]])
    with pytest.raises(SystemExit) as end, cli.one_line_errors("name"):
        command.main()
    assert end.value.code == "error: name: git is not installed, or not on PATH"


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
