"""The commands in README.md and docs/*.md are run as written in a project with a tiny dataset.

The tests share the project and build on each other: later ones use the commits, seeds and branches of earlier ones.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from statistics import mean, stdev

import pytest

from project.text import mean_and_sd
from tests.conftest import ROOT, Project

pytestmark = pytest.mark.slow


def code_block(page: str, beginning: str, language: str = "sh") -> str:
    """The only code block of a page that begins with the given text. page: its path."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = [str(code) for code in blocks if code.startswith(beginning)]
    return found


def run_commands(project: Project, commands: str, *options: str) -> str:
    """Run commands in bash, as a user types them, in the environment of the tests; return their output."""
    result = subprocess.run(
        ["bash", "-x", *options, "-c", commands], cwd=project.folder, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def project(new_finished_project: Callable[[], Project]) -> Project:
    return new_finished_project()


def up_to_date(project: Project) -> bool:
    clean = project.git("status", "--porcelain") == "" and project.dvc("status", "--json").strip() == "{}"
    return clean and project.run(sys.executable, "-m", "project.stale", "HEAD", check=False).returncode == 0


def test_a_branch_is_created_reviewed_and_merged(project: Project) -> None:
    output = run_commands(project, code_block("docs/team-work.md", "git checkout -b lower-rate"), "-e")
    repro = code_block("README.md", "$ dvc repro\n", "console").partition("\n…")[0].splitlines()
    assert [line for line in output.splitlines() if line in repro] == repro[1:]
    assert "Running stage 'prepare'" not in output
    assert re.search(r"metrics/evaluate.json\s+test.loss", output)
    assert "dvc_plots/index.html" in output
    verdicts = re.findall(r"^# Review: main \(\w{7}\) → ([\w-]+)[^\n]*\n\n(\*\*[^\n]*)", output, re.MULTILINE)
    assert [head for head, _ in verdicts] == ["workspace", "workspace", "lower-rate"]
    for (_, verdict), words in zip(
        verdicts, ("Validation accuracy", "Validation accuracy", "Test accuracy"), strict=True
    ):
        assert f"{words} " in verdict.partition(" → ")[0]
    assert "(one run of each)" in verdicts[0][1]
    assert all("(1 and 3 seeds)" in verdict for _, verdict in verdicts[1:])
    assert "| `train.learning_rate` | `0.001` | `0.0005` |" in output
    assert project.git("log", "-1", "--format=%s %D") == "Halve the learning rate HEAD -> main, lower-rate"
    assert up_to_date(project)


def test_seeds_are_stored_with_the_metrics_used_by_reviews_and_restored_from_the_run_cache(project: Project) -> None:
    """Those that the branch of the test above was reviewed with."""
    (path,) = (project.folder / "metrics/seeds").iterdir()
    name, before = str(path.relative_to(project.folder)), path.read_text()
    rows = [line.split(",") for line in before.splitlines()]
    assert [row[0] for row in rows] == ["seed", "1", "2", "3"]
    accuracies = [float(row[rows[0].index("accuracy")]) for row in rows[1:]]
    assert f'"accuracy": {accuracies[0]}' in (project.folder / "metrics/evaluate.json").read_text()  # main has seed 1
    output = run_commands(project, "make seeds N=3", "-e")
    assert f"test accuracy: {mean_and_sd(mean(accuracies), stdev(accuracies), 3)}" in output
    assert re.findall(r"^(metrics/seeds/\w+\.csv): commit it", output, re.MULTILINE) == [name]
    assert project.git("status", "--porcelain") == ""
    assert "(3 and 1 seeds)" in run_commands(project, "make review HEAD=main~1")

    path.unlink()
    logs = run_commands(project, f"make seeds N=2; dvc queue logs seed-2-of-{path.stem}", "-e")
    assert path.read_text().splitlines() == before.splitlines()[:3]
    assert "Stage 'train' is cached - skipping run" in logs
    assert project.git("status", "--porcelain") == f"M {name}"  # without the space before it: not staged
    project.git("checkout", "-q", name)


def test_two_branches_with_different_results_are_merged(project: Project) -> None:
    project.git("checkout", "-qb", "other-branch")
    for branch, param, value in (("other-branch", "model__dropout", 0.3), ("main", "train__batch_size", 64)):
        project.git("checkout", "-q", branch)
        project.set_params(**{param: value})
        project.dvc("repro")
        project.run(sys.executable, "-m", "project.model_card")
        project.git("commit", "-qam", f"{param} {value}")
    output = run_commands(project, code_block("docs/team-work.md", "git merge other-branch"))
    conflicts = set(re.findall(r"^CONFLICT .* in (\S+)$", output, re.MULTILINE))
    assert {"dvc.lock", "metrics/predictions.csv"} <= conflicts
    assert {path.split("/")[0] for path in conflicts - {"docs/model-card.md"}} == {"dvc.lock", "metrics", "plots"}
    assert project.git("log", "-1", "--format=%s") == "Merge other-branch"
    params = (project.folder / "params.yaml").read_text()
    assert "dropout: 0.3" in params
    assert "batch_size: 64" in params
    card = (project.folder / "docs/model-card.md").read_text()
    project.run(sys.executable, "-m", "project.model_card")
    assert (project.folder / "docs/model-card.md").read_text() == card
    assert up_to_date(project)


def test_experiments_are_queued_shown_reviewed_and_branched(project: Project) -> None:
    output = run_commands(project, code_block("docs/experiments.md", "dvc exp run --queue --name"), "-e")
    for name in ("less-dropout", "more-dropout"):
        assert re.search(rf"─ [0-9a-f]+ \[{name}\]", output)
    assert "→ less-dropout (" in output
    assert project.git("show", "less-dropout:params.yaml").count("dropout: 0.4") == 1


def test_the_daily_commands_succeed_without_changes(project: Project) -> None:
    project.git("checkout", "-qf", "main")
    project.dvc("checkout")
    output = run_commands(project, code_block("README.md", "dvc repro "), "-e")
    assert "Data and pipelines are up to date." in output
    assert output.count("dvc_plots/index.html") == 2


def test_the_model_is_used_from_python(project: Project) -> None:
    project.git("checkout", "-qf", "main")
    project.dvc("checkout")
    output = project.run(sys.executable, "-c", code_block("README.md", "import keras", "python")).stdout
    assert re.fullmatch(r"\[\d \d \d \d \d\]", output.strip().splitlines()[-1])
