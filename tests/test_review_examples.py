"""Reviews of real experiments in the history of this repository, and the example in docs/review."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from review import __main__
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def review(monkeypatch: pytest.MonkeyPatch, output: Path, *revisions: str) -> str:
    """Run the command on revisions of this repository and return the report."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["review", *revisions, "--output", str(output)])
    __main__.main()
    return (output / "report.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def require_history() -> None:
    if git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("needs the history: git fetch --unshallow")


@pytest.mark.parametrize(
    ("experiment", "verdict"),
    [
        ("Try another seed", "The same recipe"),
        ("Try 3 epochs", "Worse"),
        ("Try a learning rate that rises and falls", "Better"),
        ("Try a residual network with erased squares", "Better"),
        ("Try a residual network", "Better"),
    ],
)
def test_the_verdict_on_a_real_experiment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, experiment: str, verdict: str
) -> None:
    commit = git("log", "-1", "--format=%h", f"--grep=^{experiment}$")
    text = review(monkeypatch, tmp_path / "report", f"{commit}^", commit)
    assert text.splitlines()[2].startswith(f"**{verdict}")
    assert "stale" not in text


def test_the_example_is_what_the_command_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = ROOT / "docs/review"
    heading = re.match(r"# Review: (\w+) → (\w+)\n", (example / "report.md").read_text(encoding="utf-8"))
    assert heading is not None
    review(monkeypatch, tmp_path / "report", *heading.groups())
    assert {path.name for path in example.iterdir()} == {path.name for path in (tmp_path / "report").iterdir()}
    for path in example.iterdir():
        assert path.read_bytes() == (tmp_path / "report" / path.name).read_bytes(), path.name
