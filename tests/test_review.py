"""Reviews of changes to the committed results, made in a clone of this repository."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Page
from ruamel.yaml import YAML

from classifier.errors import UserError
from classifier.notation import percent
from project.paths import PREDICTIONS
from project.repository import open_repo
from project.seeds import recipe
from project.stale import stale
from review import __main__
from tests.conftest import ROOT, Project

HEADINGS = [
    "What changed",
    "Scores",
    "Is the difference more than chance?",
    "By class",
    "Largest changes in the confusion matrix",
    "Cost of the training",
    "Pictures",
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone of this repository, without data, without DVC's cache and without measured seeds."""
    clone = Project(tmp_path_factory.mktemp("clone") / "project")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone.folder)], check=True)
    clone.git("rm", "-rq", "metrics/seeds")
    clone.git("commit", "-qm", "no seeds")
    clone.git("branch", "start")
    return clone


@pytest.fixture
def project(clone: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The clone in its initial state, as the current folder."""
    clone.git("checkout", "-qfB", "main", "start")
    clone.git("clean", "-qfd")
    monkeypatch.chdir(clone.folder)
    return clone


def review(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run the command and return the report."""
    monkeypatch.setattr(sys, "argv", ["review", *arguments])
    __main__.main()
    plt.close("all")
    return Path("report/report.md").read_text()


def mispredict(images: int, name: str = "Trouser") -> None:
    """Change the predictions for some images of a class in the workspace from correct to wrong."""
    table = pd.read_csv(PREDICTIONS)
    rows = table.index[(table["actual"] == name) & (table["predicted"] == name)][:images]
    changes: dict[str, Any] = {"predicted": "Bag", name: 0.1, "Bag": 0.9}
    for column, value in changes.items():
        table.loc[rows, column] = value
    mistakes = (table["predicted"] != table["actual"]).sum()
    table.to_csv(PREDICTIONS, index=False)
    np.save("plots/mistakes.npy", np.zeros((mistakes, 28, 28), np.uint8))


def change_accuracy(split: str, difference: float) -> tuple[float, float]:
    """Change the accuracy of a split in the workspace; returns it before and after."""
    scores = json.loads(Path("metrics/evaluate.json").read_text())
    before = scores[split]["accuracy"]
    scores[split]["accuracy"] = round(before + difference, 6)
    Path("metrics/evaluate.json").write_text(json.dumps(scores))
    return before, scores[split]["accuracy"]


def edit(path: str, old: str, new: str) -> None:
    """Replace a text that a file contains."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def record_hash(stage: str, dep: str, md5: str) -> None:
    """Record another hash of a stage's dep in dvc.lock."""
    yaml = YAML()
    content: Any = yaml.load(Path("dvc.lock"))
    next(item for item in content["stages"][stage]["deps"] if item["path"] == dep)["md5"] = md5
    yaml.dump(content, Path("dvc.lock"))


def test_a_review_without_changes_finds_no_difference(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = review(monkeypatch)
    commit = project.git("rev-parse", "--short=7", "HEAD")
    assert text.startswith(
        f"# Review: main ({commit}) → workspace\n\n**No evidence of a difference.** Both classify exactly"
    )
    assert re.findall("^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert "Neither params nor code." in text
    assert "No score differs." in text
    assert "Note:" not in text
    assert project.git("status", "--porcelain") == ""  # the report is ignored


def test_a_class_with_a_lower_recall_is_shown_in_the_verdict_the_tables_and_the_pictures(
    project: Project, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    mispredict(images=30)
    accuracy, changed = change_accuracy("test", -0.003)
    text = review(monkeypatch, "HEAD", "workspace")
    verdict = text.splitlines()[2]
    assert verdict.startswith(
        f"**Worse.** Test accuracy {percent(accuracy)} → {percent(changed)}, -0.30 points (-0.41 to -0.20): "
        "0 images newly correct"
    )
    assert verdict.endswith("Between these two runs recall fell in Trouser.")
    assert f"| test.accuracy | {accuracy:.4f} | {changed:.4f} | -0.0030 | ▽ worse |" in text
    assert "McNemar's exact test: p < 0.001." in text
    scores = pd.read_csv("metrics/per_class.csv").query("split == 'test'").set_index("class")
    recall, precision = scores["recall"], scores["precision"]
    trouser = f"| Trouser | {recall['Trouser']:.3f} → {recall['Trouser'] - 0.03:.3f} | -3.0 (-4.1 to -2.0) |"
    assert f"{trouser} **p < 0.001** |" in text
    coat = f"| Coat | {recall['Coat']:.3f} → {recall['Coat']:.3f} | +0.0 (+0.0 to +0.0) | p = 1.000 |"
    assert f"{coat} {precision['Coat']:.3f} → {precision['Coat']:.3f} |" in text
    moved = re.findall(r"^\| Trouser \| (\w+) \| \d+ \| \d+ \| ([+-]\d+) \|$", text, re.MULTILINE)
    assert moved == [("Trouser", "-30"), ("Bag", "+30")]

    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((project.folder / "report/report.html").as_uri())
    assert [url for url in requests if not url.startswith("file:")] == []
    pictures = page.eval_on_selector_all("img", "all => all.map(image => [image.naturalWidth, image.alt])")
    assert [title for _, title in pictures][1:] == [
        "Learning curves",
        "Newly wrong",
        "Newly correct",
    ]
    assert min(width for width, _ in pictures) > 800
    assert page.locator("table").count() == 5
    assert page.locator("h2").all_text_contents() == HEADINGS


def test_changed_params_and_code_are_listed_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("params.yaml", "learning_rate: 0.001", "learning_rate: 0.003")
    record_hash("train", "classifier/models.py", "0" * 32)
    text = review(monkeypatch, "HEAD")
    assert text.count("| train.learning_rate | 0.001 | 0.003 |") == 1
    assert "Code behind the results: `classifier/models.py`." in text


def test_a_change_of_the_seed_alone_is_no_evidence_of_a_difference(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit("params.yaml", "seed: 1                     # of the initial", "seed: 2                     # of the initial")
    mispredict(images=30)
    text = review(monkeypatch, "HEAD")
    assert "**No evidence of a difference.**" in text
    assert "only the training's seed differs, so this is chance" in text
    assert "recall fell" not in text.splitlines()[2]


@pytest.mark.parametrize(("spread", "kind"), [(0.0002, "Worse"), (0.002, "No evidence of a difference")])
def test_the_verdict_depends_on_the_measured_seed_noise(
    project: Project, monkeypatch: pytest.MonkeyPatch, spread: float, kind: str
) -> None:
    mispredict(images=30)
    name = recipe(YAML(typ="safe").load(Path("params.yaml")))
    accuracies = [0.907 + spread * step for step in (-1, 0, 1)]
    rows = [f"{seed},{accuracy}" for seed, accuracy in enumerate(accuracies, 1)]
    Path("metrics/seeds").mkdir(exist_ok=True)
    Path(f"metrics/seeds/{name}.csv").write_text("\n".join(["seed,accuracy", *rows, "mean,9", "standard deviation,9"]))
    text = review(monkeypatch, "HEAD")
    assert text.splitlines()[2].startswith(f"**{kind}.**")
    assert f"90.70 ± {100 * spread:.2f} % (3 seeds)" in text


def test_results_on_different_test_sets_are_not_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    record_hash("evaluate", "data/prepared/test", "0" * 32 + ".dir")
    text = review(monkeypatch, "HEAD")
    assert "**Not comparable.** The two were measured on different test sets." in text
    assert "Note:** The test sets differ" in text
    assert "McNemar" not in text
    assert "learning_curves.png" in text


def test_different_training_data_and_different_arithmetic_are_noted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("train", "evaluate"):
        record_hash(stage, "data/prepared/train", "0" * 32 + ".dir")
    text = Path("metrics/train.json").read_text()
    Path("metrics/train.json").write_text(re.sub(r'("arithmetic": )"\w+"', r'\1"00000000"', text))
    text = review(monkeypatch, "HEAD")
    assert "Note:** The training splits differ" in text
    assert "Note:** The models were trained with different floating-point arithmetic" in text


def test_signs_of_selection_on_the_test_set_are_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    mispredict(images=30)
    project.git("commit", "-qam", "a worse base")
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "HEAD^", "--", "metrics", "plots")
    project.git("commit", "-qm", "first result")
    mispredict(images=1)
    project.git("commit", "-qam", "second result")
    edit("dvc.yaml", "      - data/prepared/validation\n      - stages/tr", "      - data/prepared\n      - stages/tr")
    change_accuracy("test", 0.01)
    change_accuracy("validation", -0.01)
    text = review(monkeypatch, base)
    assert "Note:** The test set reaches train" in text
    assert f"Note:** 2 commits since {base[:7]} have results on the test set" in text
    assert "Note:** Test accuracy rose while validation accuracy fell" in text


def test_commits_of_the_base_that_the_head_lacks_are_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("checkout", "-qB", "branch")
    project.git("checkout", "-q", "main")
    project.git("commit", "-q", "--allow-empty", "-m", "another commit on main")
    project.git("checkout", "-q", "branch")
    assert "has 1 commits that workspace lacks" in review(monkeypatch)


def test_results_without_pictures_of_mistakes_are_reviewed_without_galleries(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("plots/mistakes.npy").unlink()
    text = review(monkeypatch, "HEAD")
    assert "newly_correct.png" in text
    assert "newly_wrong.png" not in text


def test_an_earlier_report_is_kept_if_a_review_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = review(monkeypatch)
    with pytest.raises(UserError):
        review(monkeypatch, "nowhere")
    assert Path("report/report.md").read_text() == text


@pytest.mark.parametrize("folder", ["docs", "params.yaml", "."])
def test_a_file_or_folder_that_is_not_a_report_is_not_replaced(
    project: Project, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    before = project.snapshot()
    with pytest.raises(UserError, match="holds no earlier report to replace"):
        review(monkeypatch, "HEAD", "--output", folder)
    assert project.snapshot() == before


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("mian", "there is no revision mian; did you mean main?"),
        ("qqqqqqqq", "there is no revision qqqqqqqq; git branch --all and git tag list what there is"),
        ("empty", "empty holds no results: metrics/predictions.csv is missing; run dvc repro there, and commit"),
        (
            "broken",
            "the results of broken are not what the stages write: metrics/predictions.csv is not the table that it "
            "should be: its columns are not",
        ),
    ],
)
def test_a_revision_without_valid_results_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, revision: str, message: str
) -> None:
    for branch, content in (("empty", None), ("broken", "actual,predicted\n")):
        project.git("checkout", "-qB", branch, "main")
        PREDICTIONS.write_text(content) if content else PREDICTIONS.unlink()
        project.git("commit", "-qam", branch)
    project.git("checkout", "-q", "main")
    with pytest.raises(UserError, match="^" + re.escape(message)):
        review(monkeypatch, revision)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("params.yaml", "train:", "<<<<<<< HEAD\ntrain:"),
        ("dvc.lock", "schema:", "<<<<<<< HEAD\nschema:"),
        ("metrics/train.json", "{", "<<<<<<< HEAD\n{"),
        ("metrics/evaluate.json", '"validation"', '"validate"'),
        ("metrics/predictions.csv", ",0.9973", ",many"),
        ("plots/history.csv", "val_loss", "value"),
    ],
)
def test_invalid_results_are_a_one_line_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str, old: str, new: str
) -> None:
    edit(path, old, new)
    with pytest.raises(UserError) as caught:
        review(monkeypatch, "HEAD")
    assert "\n" not in str(caught.value)
    assert "workspace" in str(caught.value) or path in str(caught.value)


def test_results_with_different_classes_are_not_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("params.yaml", str(PREDICTIONS)):
        edit(path, "Trouser", "Trousers")
    with pytest.raises(UserError, match=r"have different classes and cannot be compared: .*Trouser, .*Trousers, "):
        review(monkeypatch, "HEAD")


def test_errors_are_one_line(project: Project, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "review", "main"]
    shallow = Project(tmp_path / "shallow")
    project.git("checkout", "-qB", "branch")
    project.git("clone", "-q", "--depth", "1", "--branch", "branch", project.folder.as_uri(), str(shallow.folder))
    result = shallow.run(*command, check=False)
    expected = "this clone is shallow and does not reach main; run git fetch --unshallow, or fetch that branch"
    assert (result.returncode, result.stderr) == (1, f"error: review: {expected}\n")
    (tmp_path / "elsewhere").mkdir()
    result = subprocess.run(
        command, cwd=tmp_path / "elsewhere", env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    expected = "this is not a DVC project; run from the project's top folder"
    assert (result.returncode, result.stderr) == (1, f"error: review: {expected}\n")


@pytest.mark.parametrize(
    ("path", "old", "new", "found"),
    [
        ("params.yaml", "epochs: 25", "epochs: 24", ["train: param train modified"]),
        ("classifier/models.py", '"""', '"""\n', ["train: classifier/models.py modified"]),
        ("metrics/train.json", "34826", "34827", ["plot: metrics/train.json modified"]),
        ("dvc.yaml", "--raw data/raw --prepared", "--prepared", ["prepare: its command changed"]),
        ("review/figures.py", '"""', '"""\n', []),  # no stage runs these three
        ("project/cli.py", "error: ", "failed: ", []),
        ("stages/__main__.py", "one of", "any of", []),
    ],
)
def test_stale_results_are_found_and_others_are_not_reported(
    project: Project, path: str, old: str, new: str, found: list[str]
) -> None:
    with open_repo() as repo:
        assert stale(repo) == []
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))
    with open_repo() as repo:
        assert stale(repo) == found


def test_stale_results_are_reported(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("params.yaml", "epochs: 25", "epochs: 24")
    reason = "train: param train modified"
    assert f"Note:** The results of workspace are stale ({reason})" in review(monkeypatch, "HEAD")
    project.git("commit", "-qam", "stale")
    result = project.run(sys.executable, "-m", "project.stale", "HEAD", check=False)
    assert (result.returncode, result.stdout.splitlines()[1:]) == (1, [reason])
    assert project.run(sys.executable, "-m", "project.stale", "HEAD^").stdout == "The results of HEAD^ are up to date\n"


def test_results_of_different_runs_are_stale(project: Project) -> None:
    record_hash("evaluate", "models/model.keras", "0" * 32)
    with open_repo() as repo:
        assert stale(repo) == ["evaluate: models/model.keras is not what train made"]
