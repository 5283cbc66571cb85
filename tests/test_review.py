"""Reviews of the committed results, changed in a clone as people change them."""

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
    """A clone of this repository, without data and cache, and with no seed noise measured."""
    clone = Project(tmp_path_factory.mktemp("clone") / "project")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone.folder)], check=True)
    clone.git("rm", "-rq", "metrics/seeds")
    clone.git("commit", "-qm", "no seeds")
    clone.git("branch", "start")
    return clone


@pytest.fixture
def project(clone: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The clone as it was, and the current folder."""
    clone.git("checkout", "-qfB", "main", "start")
    clone.git("clean", "-qfd")
    monkeypatch.chdir(clone.folder)
    return clone


def review(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """What the command writes."""
    monkeypatch.setattr(sys, "argv", ["review", *arguments])
    __main__.main()
    plt.close("all")
    return Path("report/report.md").read_text()


def mispredict(lost: int, name: str = "Trouser") -> None:
    """Let the workspace get some images of a class wrong which it gets right."""
    table = pd.read_csv(PREDICTIONS)
    rows = table.index[(table["actual"] == name) & (table["predicted"] == name)][:lost]
    changes: dict[str, Any] = {"predicted": "Bag", name: 0.1, "Bag": 0.9}
    for column, value in changes.items():
        table.loc[rows, column] = value
    mistakes = (table["predicted"] != table["actual"]).sum()
    table.to_csv(PREDICTIONS, index=False)
    np.save("plots/mistakes.npy", np.zeros((mistakes, 28, 28), np.uint8))


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def lock(stage: str, dep: str, md5: str) -> None:
    """Record another hash in dvc.lock."""
    yaml = YAML()
    content: Any = yaml.load(Path("dvc.lock"))
    next(item for item in content["stages"][stage]["deps"] if item["path"] == dep)["md5"] = md5
    yaml.dump(content, Path("dvc.lock"))


def test_nothing_changed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_class_that_got_worse_shows_in_the_verdict_the_tables_and_the_pictures(
    project: Project, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    mispredict(lost=30)
    edit("metrics/evaluate.json", '"accuracy": 0.9073', '"accuracy": 0.9043')
    text = review(monkeypatch, "HEAD", "workspace")
    verdict = text.splitlines()[2]
    assert verdict.startswith(
        "**Worse.** Test accuracy 90.73 % → 90.43 %, -0.30 points (-0.41 to -0.20): 0 images newly correct"
    )
    assert verdict.endswith("Between these two runs recall fell in Trouser.")
    assert "| test.accuracy | 0.9073 | 0.9043 | -0.0030 | ▽ worse |" in text
    assert "McNemar's exact test: p < 0.001." in text
    assert "| Trouser | 0.982 → 0.952 | -3.0 (-4.1 to -2.0) | **p < 0.001** |" in text
    assert "| Coat | 0.884 → 0.884 | +0.0 (+0.0 to +0.0) | p = 1.000 | 0.838 → 0.838 |" in text
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


def test_what_changed_is_listed_once_with_its_values(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("params.yaml", "learning_rate: 0.001", "learning_rate: 0.003")
    lock("train", "classifier/models.py", "0" * 32)
    text = review(monkeypatch, "HEAD")
    assert text.count("| train.learning_rate | 0.001 | 0.003 |") == 1
    assert "Code behind the results: `classifier/models.py`." in text


def test_a_change_of_the_seed_alone_is_no_evidence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("params.yaml", "seed: 1                     # of the initial", "seed: 2                     # of the initial")
    mispredict(lost=30)
    text = review(monkeypatch, "HEAD")
    assert "**No evidence of a difference.**" in text
    assert "only the training's seed differs, so this is chance" in text
    assert "recall fell" not in text.splitlines()[2]


@pytest.mark.parametrize(("spread", "kind"), [(0.0002, "Worse"), (0.002, "No evidence of a difference")])
def test_measured_seed_noise_decides(
    project: Project, monkeypatch: pytest.MonkeyPatch, spread: float, kind: str
) -> None:
    mispredict(lost=30)
    name = recipe(YAML(typ="safe").load(Path("params.yaml")))
    accuracies = [0.907 + spread * step for step in (-1, 0, 1)]
    rows = [f"{seed},{accuracy}" for seed, accuracy in enumerate(accuracies, 1)]
    Path("metrics/seeds").mkdir(exist_ok=True)
    Path(f"metrics/seeds/{name}.csv").write_text("\n".join(["seed,accuracy", *rows, "mean,9", "standard deviation,9"]))
    text = review(monkeypatch, "HEAD")
    assert text.splitlines()[2].startswith(f"**{kind}.**")
    assert f"90.70 ± {100 * spread:.2f} % (3 seeds)" in text


def test_another_test_set_does_not_compare(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lock("evaluate", "data/prepared/test", "0" * 32 + ".dir")
    text = review(monkeypatch, "HEAD")
    assert "**Not comparable.** The two were measured on different test sets." in text
    assert "Note:** The test sets differ" in text
    assert "McNemar" not in text
    assert "learning_curves.png" in text


def test_other_training_data_and_another_kind_of_cpu_are_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("train", "evaluate"):
        lock(stage, "data/prepared/train", "0" * 32 + ".dir")
    text = Path("metrics/train.json").read_text()
    Path("metrics/train.json").write_text(re.sub(r'("arithmetic": )"\w+"', r'\1"00000000"', text))
    text = review(monkeypatch, "HEAD")
    assert "Note:** The training splits differ" in text
    assert "Note:** The models were trained with different floating-point arithmetic" in text


def test_signs_of_selection_on_the_test_set_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    mispredict(lost=30)
    project.git("commit", "-qam", "a worse base")
    base = project.git("rev-parse", "HEAD")
    project.git("checkout", "-q", "HEAD^", "--", "metrics", "plots")
    project.git("commit", "-qm", "first result")
    mispredict(lost=1)
    project.git("commit", "-qam", "second result")
    edit("dvc.yaml", "      - data/prepared/validation\n      - stages/tr", "      - data/prepared\n      - stages/tr")
    for old, new in (('"accuracy": 0.9073', '"accuracy": 0.9173'), ('"accuracy": 0.917167', '"accuracy": 0.907167')):
        edit("metrics/evaluate.json", old, new)
    text = review(monkeypatch, base)
    assert "Note:** The test set reaches train" in text
    assert f"Note:** 2 commits since {base[:7]} have results on the test set" in text
    assert "Note:** Test accuracy rose while validation accuracy fell" in text


def test_a_base_that_moved_on_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("checkout", "-qB", "branch")
    project.git("checkout", "-q", "main")
    project.git("commit", "-q", "--allow-empty", "-m", "main moves on")
    project.git("checkout", "-q", "branch")
    assert "has 1 commits that workspace lacks" in review(monkeypatch)


def test_results_without_pictures_of_mistakes_are_reviewed_without_galleries(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("plots/mistakes.npy").unlink()
    text = review(monkeypatch, "HEAD")
    assert "newly_correct.png" in text
    assert "newly_wrong.png" not in text


def test_an_earlier_report_survives_a_review_that_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = review(monkeypatch)
    with pytest.raises(UserError):
        review(monkeypatch, "nowhere")
    assert Path("report/report.md").read_text() == text


@pytest.mark.parametrize("folder", ["docs", "params.yaml", "."])
def test_only_a_report_is_replaced(project: Project, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
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
def test_a_revision_without_results_is_told(
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
def test_broken_results_are_told_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, path: str, old: str, new: str
) -> None:
    edit(path, old, new)
    with pytest.raises(UserError) as caught:
        review(monkeypatch, "HEAD")
    assert "\n" not in str(caught.value)
    assert "workspace" in str(caught.value) or path in str(caught.value)


def test_different_class_lists_do_not_compare(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("review/figures.py", '"""', '"""\n', []),  # what no stage runs
        ("project/cli.py", "error: ", "failed: ", []),
        ("stages/__main__.py", "one of", "any of", []),
    ],
)
def test_stale_results_are_found_and_no_others(
    project: Project, path: str, old: str, new: str, found: list[str]
) -> None:
    with open_repo() as repo:
        assert stale(repo) == []
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))
    with open_repo() as repo:
        assert stale(repo) == found


def test_stale_results_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("params.yaml", "epochs: 25", "epochs: 24")
    reason = "train: param train modified"
    assert f"Note:** The results of workspace are stale ({reason})" in review(monkeypatch, "HEAD")
    project.git("commit", "-qam", "stale")
    result = project.run(sys.executable, "-m", "project.stale", "HEAD", check=False)
    assert (result.returncode, result.stdout.splitlines()[1:]) == (1, [reason])
    assert project.run(sys.executable, "-m", "project.stale", "HEAD^").stdout == "The results of HEAD^ are up to date\n"


def test_results_of_different_runs_are_stale(project: Project) -> None:
    lock("evaluate", "models/model.keras", "0" * 32)
    with open_repo() as repo:
        assert stale(repo) == ["evaluate: models/model.keras is not what train made"]
