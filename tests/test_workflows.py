"""GitHub workflows have pinned actions and least permissions; code of a pull request never has a write token."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FOLDER = ROOT / ".github/workflows"
WORKFLOWS: dict[str, dict[str, Any]] = {path.stem: YAML(typ="safe").load(path) for path in FOLDER.glob("*.yml")}
ZIZMOR = Path(sys.executable).with_name("zizmor")


def test_zizmor_finds_nothing() -> None:
    command = [str(ZIZMOR), "--offline", "--quiet", "--persona", "auditor", "--min-severity", "low", str(FOLDER)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if name != "comment"])
def test_workflows_that_run_code_of_a_pull_request_can_only_read(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())
    assert "secrets." not in (FOLDER / f"{name}.yml").read_text()


def test_the_workflow_that_can_write_runs_code_of_the_default_branch_only() -> None:
    workflow = WORKFLOWS["comment"]
    assert workflow["permissions"] == {}
    (job,) = workflow["jobs"].values()
    checkouts = [step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]  # no ref: the default branch
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == [
        'python3 -m review.comment "$BRANCH" "$RUNNER_TEMP/report/report.md" --commit "$COMMIT" --pictures "$RUN"'
    ]


def test_the_makefile_has_the_targets_that_the_workflows_call() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = [step["run"] for job in WORKFLOWS["review"]["jobs"].values() for step in job["steps"] if "run" in step]
    targets = [command.split()[1] for command in commands if command.startswith("make ")]
    assert targets == ["review", "stale"]
    for target in targets:
        assert f"\n{target}: " in makefile


def test_the_audit_includes_every_lock_file() -> None:
    steps = [step for job in WORKFLOWS["audit"]["jobs"].values() for step in job["steps"]]
    (inputs,) = [step["with"]["inputs"].split() for step in steps if "inputs" in step.get("with", {})]
    assert inputs == ["requirements.txt", *sorted(f"requirements/{path.name}" for path in ROOT.glob("requirements/*"))]
