"""Reviews of changes to the committed results, made in a clone of this repository."""

import hashlib
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

from classifier import tables
from classifier.errors import UserError
from classifier.notation import percent
from classifier.params import PARAMS, load_yaml
from project import paths, seeds
from project.repository import WORKSPACE
from project.snapshot import DESCRIBING, describe, snapshot
from project.stale import main, stale
from review import __main__
from review.report import PICTURES
from review.revisions import read
from tests.conftest import ROOT, Project
from tests.servers import CountingServer, serve

HEADINGS = ["What changed", "Scores", "By class", "Largest changes in the confusion matrix", "Pictures"]
NEW_PARAMS = ("params.yaml", "learning_rate: ", "learning_rate: 1")


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


def review(monkeypatch: pytest.MonkeyPatch, *arguments: str, pictures: bool = False) -> str:
    """Run the command and return the report. The pictures, which take most of the time, are only drawn if needed."""
    monkeypatch.setattr(sys, "argv", ["review", *arguments])
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr("classifier.figures.write", lambda path, figure: None)
        __main__.main()
    plt.close("all")
    return Path("report/report.md").read_text(encoding="utf-8")


def find_stale(name: str) -> list[str]:
    """Why the results of a revision are stale."""
    files = snapshot(name)
    with files.extracted(DESCRIBING) as folder:
        return stale(files, describe(folder))


def mispredict(images: int, name: str = "Trouser") -> None:
    """Change the predictions for some images of a class in the workspace from correct to wrong."""
    table = pd.read_csv(paths.PREDICTIONS)
    rows = table.index[(table["actual"] == name) & (table["predicted"] == name)][:images]
    changes: dict[str, Any] = {"predicted": "Bag", name: 0.1, "Bag": 0.9}
    for column, value in changes.items():
        table.loc[rows, column] = value
    table.to_csv(paths.PREDICTIONS, index=False)
    right = (table["predicted"] == table["actual"]).to_numpy()
    np.save(paths.MISTAKES, np.zeros(((~right).sum(), 28, 28), np.uint8))
    bits = pd.read_csv(paths.CORRECT)
    bits.loc[bits["split"] == "test", "correct"] = tables.pack(right)
    bits.to_csv(paths.CORRECT, index=False)


def retrain(images: int) -> None:
    """Change the results in the workspace to those of another recipe, which is worse by some images of a class."""
    edit(*NEW_PARAMS)
    mispredict(images)
    record_hash("train", str(paths.MODEL), "0" * 32, "outs")


def edit(path: str, old: str, new: str) -> None:
    """Replace a text that a file contains."""
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def record_hash(stage: str, path: str, md5: str, kind: str = "deps") -> None:
    """Record another hash of a stage's dep or output in dvc.lock."""
    yaml = YAML()
    content: Any = yaml.load(paths.DVC_LOCK)
    next(item for item in content["stages"][stage][kind] if item["path"] == path)["md5"] = md5
    yaml.dump(content, paths.DVC_LOCK)


def add_seeds(count: int, spread: int) -> None:
    """Write a table of seeds for the recipe in the workspace, whose run is that of seed 1.

    spread: how many more images than the seed before it every other seed classifies correctly.
    """
    bits, random = tables.read_correct(paths.CORRECT), np.random.default_rng(count)
    numbers = {name: 1 for name, kind in seeds.COLUMNS.items() if kind is not str}
    origin = seeds.origin(load_yaml(paths.DVC_LOCK)["stages"])
    for seed in range(1, count + 1):
        row: dict[str, Any] = numbers | {"seed": seed, "model": str(seed), **origin._asdict()}
        for split, prefix in seeds.SPLITS.items():
            run, flips = bits[split].copy(), 200 if seed > 1 else 0
            run[random.permutation(np.flatnonzero(bits[split]))[:flips]] = False
            run[random.permutation(np.flatnonzero(~bits[split]))[: flips + spread * (seed - 1)]] = True
            row |= {f"{prefix}accuracy": run.mean(), f"{prefix}images": len(run), f"{prefix}correct": tables.pack(run)}
        seeds.add(seeds.recipe(load_yaml(PARAMS)), row)


def verdict(text: str) -> str:
    """The line below the heading."""
    return text.splitlines()[2]


def test_a_review_without_changes_finds_the_same_model(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = review(monkeypatch)
    commit = project.git("rev-parse", "--short=7", "HEAD")
    assert text.startswith(f"# Review: main ({commit}) → workspace\n\n**The same model.** ")
    assert re.findall("^## (.*)$", text, re.MULTILINE) == HEADINGS
    assert "Neither params nor code." in text
    assert not re.search(r"\| [▲▽]", text)
    assert "Note:" not in text
    assert project.git("status", "--porcelain") == ""  # the report is ignored


def test_a_class_with_a_lower_recall_is_shown_in_the_verdict_the_tables_and_the_pictures(
    project: Project, monkeypatch: pytest.MonkeyPatch, page: Page
) -> None:
    accuracy = load_yaml(paths.SCORES)["test"]["accuracy"]
    retrain(images=50)
    text = review(monkeypatch, "HEAD", "workspace", pictures=True)
    assert verdict(text).startswith("**On validation: Equivalent within ±0.3 points.** Validation accuracy ")
    expected = (
        f"For the decision to merge, on the test set: **Worse.** Test accuracy {percent(accuracy)} → "
        f"{percent(accuracy - 0.005)} (one run of each), -0.50 points (-0."
    )
    assert expected in text
    assert re.search(
        rf"^\| test accuracy \| {percent(accuracy)} \| .* points \(.*\) \| ▽ worse \|$", text, re.MULTILINE
    )
    assert "- **Classes:** recall fell in Trouser." in text
    assert "0 test images are newly correct, 50 newly wrong" in text
    scores = pd.read_csv("metrics/per_class.csv").query("split == 'test'").set_index("class")
    recall, precision = scores["recall"], scores["precision"]
    assert f"| Trouser | {recall['Trouser']:.3f} → {recall['Trouser'] - 0.05:.3f} | -5.0 (-" in text
    assert re.search(r"^\| Trouser \|.*\| \*\*p < 0.001\*\* \|", text, re.MULTILINE)
    coat = rf"^\| Coat \| {recall['Coat']:.3f} → {recall['Coat']:.3f} \| \+0.0 \(-.*\) \| p = 1.000 \|"
    assert re.search(rf"{coat} {precision['Coat']:.3f} → {precision['Coat']:.3f} \|$", text, re.MULTILINE)
    moved = re.findall(r"^\| Trouser \| (\w+) \| \d+ \| \d+ \| ([+-]\d+) \|$", text, re.MULTILINE)
    assert moved == [("Trouser", "-50"), ("Bag", "+50")]

    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((project.folder / "report/report.html").as_uri())
    assert [url for url in requests if not url.startswith("file:")] == []
    found = page.eval_on_selector_all("img", "all => all.map(image => [image.naturalWidth, image.alt])")
    assert [title for _, title in found] == [
        "The difference of the recipes, with intervals",
        "Changes in the confusion matrix",
        "Learning curves",
        "Newly wrong",
        "Newly correct",
    ]
    assert min(width for width, _ in found) > 800
    assert page.locator("table").count() == 4
    assert page.locator("h2").all_text_contents() == HEADINGS


def test_a_committed_change_is_judged_on_the_test_set_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("checkout", "-qB", "branch")
    retrain(images=50)
    project.git("commit", "-qam", "worse")
    text = review(monkeypatch, "main", "branch")
    assert verdict(text).startswith("**Worse.** Test accuracy")
    assert "\nOn validation: Equivalent within ±0.3 points. Validation accuracy " in text
    assert "- **Looks at the test set:** 1 since the two parted, " in text


def test_changed_params_and_code_are_listed_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(*NEW_PARAMS)
    record_hash("train", "classifier/models.py", "0" * 32)
    text = review(monkeypatch, "HEAD")
    assert len(re.findall(r"^\| `train\.learning_rate` \| `\S+` \| `1\S+` \|$", text, re.MULTILINE)) == 1
    assert "Code behind the results: `classifier/models.py`." in text


def test_another_seed_and_another_number_of_pictured_mistakes_are_the_same_recipe(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    mispredict(images=50)
    record_hash("train", str(paths.MODEL), "0" * 32, "outs")
    edit("params.yaml", "seed: 1                     # of the initial", "seed: 2                     # of the initial")
    edit("params.yaml", "mistakes: 25", "mistakes: 9")
    text = review(monkeypatch, "HEAD")
    assert verdict(text).startswith("**The same recipe.**")
    assert not re.search(r"\*\*(On validation: )?(Better|Worse)", text)
    assert "| `plot.mistakes` | `25` | `9` |" in text
    assert not re.search(r"\| [▲▽]", text)


def test_another_command_is_another_recipe(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    add_seeds(3, 0)
    project.git("add", ".")
    project.git("commit", "-qm", "seeds")
    mispredict(images=50)
    record_hash("train", str(paths.MODEL), "0" * 32, "outs")
    for path in ("dvc.yaml", "dvc.lock"):
        edit(path, "python -m stages train", "python -m other train")
    text = review(monkeypatch, "HEAD")
    assert "**The same recipe.**" not in text
    assert "Code behind the results: `the command of train`." in text
    assert "(one run of each), -0.50 points" in text, "the seeds of one command are not those of the other"


def test_a_change_of_the_packages_is_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("requirements.txt", "tensorflow==", "tensorflow==9.")
    note = "workspace changes what all stages run with (`requirements.txt`): results may differ for this reason."
    assert f"> **Note:** {note}" in review(monkeypatch, "HEAD")


@pytest.mark.parametrize("changed", ["params", "code"])
def test_seeds_of_the_base_that_only_the_head_has_are_noted(
    project: Project, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    add_seeds(3, 0)
    if changed == "params":
        retrain(images=60)
    else:
        mispredict(60)
        record_hash("train", "classifier/models.py", "0" * 32)
    assert re.search(
        r"Note:\*\* Seeds of HEAD \(\w+\) that only workspace has are used as well: 3\.", review(monkeypatch, "HEAD")
    )


def test_long_params_are_shown_where_they_differ(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(
        "params.yaml",
        "    - apt:dataset-fashion-mnist",
        "    - https://mirror.example\n    - apt:dataset-fashion-mnist",
    )
    (row,) = re.findall(r"^\| `dataset.sources` \| (.*) \|$", review(monkeypatch, "HEAD"), re.MULTILINE)
    before, after = row.split(" | ")
    assert "mirror" not in before
    assert "mirror" in after
    assert before.startswith("`…")


@pytest.mark.parametrize(("spread", "kind"), [(0, "Worse"), (60, "Undecided")])
def test_the_verdict_depends_on_the_measured_seeds(
    project: Project, monkeypatch: pytest.MonkeyPatch, spread: int, kind: str
) -> None:
    add_seeds(3, spread)
    retrain(images=60)
    add_seeds(4, spread)
    text = review(monkeypatch, "HEAD")
    assert f"on the test set: **{kind}" in text
    assert text.count("(3 and 4 seeds)") == 2, "on both splits"
    assert "measured seeds" not in text


def test_tables_of_seeds_with_impossible_values_are_noted_and_change_no_verdict(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_seeds(2, 0)
    retrain(images=60)
    without = review(monkeypatch, "HEAD")
    (path,) = paths.SEEDS.glob("*.csv")
    header, first, second = path.read_text().splitlines()
    accuracy = second.split(",")[1]
    for name, rows in (
        ("nan", [first, second.replace(f",{accuracy},", ",nan,", 1)]),
        ("twice", [first, second, second]),
        ("wrong", [first, second.replace(f",{accuracy},", ",0.99,", 1)]),
    ):
        path.with_name(f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    with_unusable = review(monkeypatch, "HEAD")
    note = "> **Note:** 3 tables of seeds cannot be used. The first: nan.csv "
    assert note in with_unusable
    assert re.sub(f"{re.escape(note)}.*\n\n", "", with_unusable) == without
    own = path.with_name(f"{seeds.recipe(load_yaml(PARAMS))}.csv")
    own.write_text(path.with_name("nan.csv").read_text())
    assert verdict(review(monkeypatch, "HEAD")) == verdict(without), "as if it were not measured"


def test_seeds_of_other_code_are_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    add_seeds(3, 0)
    record_hash("train", "classifier/models.py", "0" * 32)
    text = review(monkeypatch, "HEAD")
    assert "> **Note:** 3 of the measured seeds of workspace are of other code or data, and are not used" in text


def test_results_on_different_test_sets_are_not_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    record_hash("evaluate", "data/prepared/test", "0" * 32 + ".dir")
    text = review(monkeypatch, "HEAD")
    assert verdict(text) == "**Not comparable.** The two were measured on different test sets."
    assert "Note:** The test sets differ" in text
    assert "## Scores" not in text
    assert "learning_curves.png" in text
    assert "difference.png" not in text


def test_different_training_data_and_different_arithmetic_are_noted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("train", "evaluate"):
        record_hash(stage, "data/prepared/train", "0" * 32 + ".dir")
    text = paths.TRAINING_SUMMARY.read_text()
    paths.TRAINING_SUMMARY.write_text(re.sub(r'("arithmetic": )"\w+"', r'\1"00000000"', text))
    text = review(monkeypatch, "HEAD")
    assert "Note:** The training splits differ" in text
    assert "Note:** The models were trained with different floating-point arithmetic" in text


@pytest.mark.parametrize("dep", ["data/prepared", "data/prepared/test/images.npy", "data/raw", "data"])
def test_a_stage_that_reads_the_test_set_is_noted(project: Project, monkeypatch: pytest.MonkeyPatch, dep: str) -> None:
    edit("dvc.yaml", "      - data/prepared/validation\n      - stages/tr", f"      - {dep}\n      - stages/tr")
    assert "Note:** The test set reaches train: it may have been used" in review(monkeypatch, "HEAD")


def test_a_change_of_the_code_that_judges_is_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    edit("project/verdict.py", "MARGIN = 0.003", "MARGIN = 0.03")
    edit("review/caveats.py", "yield", "return")
    edit("docs/review.md", "# Review", "# Reviews")
    text = review(monkeypatch, "HEAD")
    assert "workspace changes how reviews judge (`project/verdict.py`, `review/caveats.py`): read that change" in text
    project.git("checkout", "-qB", "branch")
    project.git("commit", "-qam", "another margin")
    assert re.search(r"branch \(\w+\) changes how reviews judge", review(monkeypatch, "main", "branch"))
    # Both have merged the other's first commit, so they have two merge bases
    project.git("commit", "-q", "--allow-empty", "-m", "more on the branch")
    project.git("checkout", "-q", "main")
    project.git("commit", "-q", "--allow-empty", "-m", "more on main")
    first = project.git("rev-parse", "main")
    project.git("merge", "-q", "-s", "ours", "-m", "merged", "branch~1")
    project.git("checkout", "-q", "branch")
    project.git("merge", "-q", "-m", "merged", first)
    assert len(project.git("merge-base", "--all", "main", "branch").split()) == 2
    assert re.search(r"branch \(\w+\) changes how reviews judge", review(monkeypatch, "main", "branch"))


def test_commits_of_the_base_that_the_head_lacks_are_noted(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("checkout", "-qB", "branch")
    project.git("checkout", "-q", "main")
    project.git("commit", "-q", "--allow-empty", "-m", "another commit on main")
    project.git("checkout", "-q", "branch")
    assert "has 1 commits that workspace lacks" in review(monkeypatch)


def test_results_without_pictures_of_mistakes_are_reviewed_without_galleries(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths.MISTAKES.unlink()
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
    with pytest.raises(UserError, match="is not part of an earlier report, and is not replaced"):
        review(monkeypatch, "HEAD", "--output", folder)
    assert project.snapshot() == before


def test_a_report_beside_other_files_is_not_replaced(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    review(monkeypatch, "HEAD", pictures=True)
    names = {path.name for path in Path("report").iterdir()}
    assert names == {"report.md", "report.html", *(f"{name}.png" for name in PICTURES)}
    Path("report/thesis.txt").touch()
    with pytest.raises(UserError, match=r"report holds thesis\.txt, which is not part of an earlier report"):
        review(monkeypatch, "HEAD")
    assert {path.name for path in Path("report").iterdir()} == names | {"thesis.txt"}
    Path("report/thesis.txt").unlink()


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
        paths.PREDICTIONS.write_text(content) if content else paths.PREDICTIONS.unlink()
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
        ("metrics/correct.csv", "test,10000,", "test,10000,AA"),
        ("plots/history.csv", "val_loss", "value"),
    ],
)
def test_invalid_results_are_a_one_line_error(project: Project, path: str, old: str, new: str) -> None:
    edit(path, old, new)
    with pytest.raises(UserError) as caught:
        read(WORKSPACE)
    assert "\n" not in str(caught.value)
    assert "workspace" in str(caught.value) or path in str(caught.value)


def test_correct_images_that_are_not_those_of_the_predictions_are_refused(project: Project) -> None:
    correct = tables.read_correct(paths.CORRECT)["test"]
    bits = pd.read_csv(paths.CORRECT)
    bits.loc[bits["split"] == "test", "correct"] = tables.pack(np.roll(correct, 1))
    bits.to_csv(paths.CORRECT, index=False)
    with pytest.raises(UserError, match=r"metrics/correct\.csv does not belong to metrics/predictions\.csv"):
        read(WORKSPACE)


@pytest.mark.parametrize(
    ("path", "old", "new", "reason"),
    [
        ("plots/history.csv", "\n1,", "\n1,99999999", "plots/history.csv has a number that is too large"),
        (
            "metrics/train.json", '"multiply_adds": ', f'"multiply_adds": 1{"0" * 400}',
            "metrics/train.json has a number that is too large",
        ),
        ("metrics/predictions.csv", "actual", "," * 1_000_000, "the first line of metrics/predictions.csv is too long"),
        ("params.yaml", "mistakes: 25", f"mistakes: 0x{'f' * 10_000}", "Exceeds the limit"),
        ("params.yaml", "mistakes: 25", f"mistakes: {'m' * 50_000}", "params.yaml has a value that is too long"),
        ("params.yaml", "seed: 1                     # of the initial", "seed: .inf  # of", "convert float infinity"),
        ("dvc.yaml", "outs:\n      - data/raw", "outs:\n      - data/raw: abc", "dvc.yaml: stages.fetch.outs"),
        ("dvc.yaml", "fetch --raw", "fetch ${x} --raw", "dvc.yaml: [$]{…}: not supported"),
    ],
)  # fmt: skip
def test_values_that_no_stage_writes_are_refused(project: Project, path: str, old: str, new: str, reason: str) -> None:
    edit(path, old, new)
    with pytest.raises(UserError, match=rf"^the results of workspace are not what the stages write: .*{reason}"):
        read(WORKSPACE)


@pytest.mark.parametrize("loss", ["1e100", "-1e-9"])
def test_a_loss_that_cannot_be_is_refused(project: Project, loss: str) -> None:
    rows = paths.PREDICTIONS.read_text().splitlines()
    column = rows[0].split(",").index("loss")
    cells = rows[1].split(",")
    edit(str(paths.PREDICTIONS), rows[1], ",".join([*cells[:column], loss, *cells[column + 1 :]]))
    with pytest.raises(UserError, match=r"metrics/predictions\.csv has a loss that is out of its range"):
        read(WORKSPACE)


def test_a_folder_in_place_of_a_table_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Path("metrics/seeds/x.csv/y")
    table.parent.mkdir(parents=True)
    table.write_text("")
    with pytest.raises(UserError, match=r"^the results of workspace are not .*: metrics/seeds/x\.csv is a folder$"):
        review(monkeypatch, "HEAD")


def test_results_with_different_classes_are_not_compared(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("params.yaml", str(paths.PREDICTIONS)):
        edit(path, "Trouser", "Trousers")
    message = r"have different classes and cannot be compared: .*Trouser, .*Trousers, "
    with pytest.raises(UserError, match=message):
        review(monkeypatch, "HEAD")


def test_a_validation_set_of_another_size_is_not_judged(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    retrain(images=60)
    bits = pd.read_csv(paths.CORRECT)
    bits.loc[bits["split"] == "validation", ["images", "correct"]] = (1, "gA==")  # it would be 100 %
    bits.to_csv(paths.CORRECT, index=False)
    text = review(monkeypatch, "HEAD")
    assert verdict(text).startswith("**Worse.** Test accuracy ")
    assert "| validation accuracy |" not in text


def test_a_commit_whose_paths_lead_out_of_its_folder_writes_nothing_there(project: Project) -> None:
    blob = project.git("rev-parse", "HEAD:params.yaml")
    tree = f"100644 blob {blob}\tescaped.csv\n"
    for name in ("..", "..", "..", "seeds", "metrics"):
        made = subprocess.run(["git", "mktree"], input=tree, capture_output=True, text=True, check=True).stdout
        tree = f"040000 tree {made.strip()}\t{name}\n"
    others = project.git("ls-tree", "HEAD").splitlines()
    tree += "\n".join(line for line in others if not line.endswith("\tmetrics")) + "\n"
    made = subprocess.run(["git", "mktree"], input=tree, capture_output=True, text=True, check=True).stdout
    hostile = snapshot(project.git("commit-tree", "-m", "hostile", made.strip()))
    assert "escaped.csv" in project.git("ls-tree", "-r", "--name-only", str(hostile.commit))
    assert hostile.files(paths.SEEDS) == []
    assert Path("params.yaml") in hostile.files()


def test_a_shallow_clone_is_noted_or_refused_with_the_remedy(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shallow = Project(tmp_path / "shallow")
    project.git("checkout", "-qB", "branch")
    project.git("clone", "-q", "--depth", "1", "--branch", "branch", project.folder.as_uri(), str(shallow.folder))
    monkeypatch.chdir(shallow.folder)
    note = "> **Note:** This clone is shallow: looks at the test set in commits that it lacks are not counted."
    assert note in review(monkeypatch, "branch")
    expected = "this clone is shallow and does not reach main; run git fetch --unshallow, or fetch that branch"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        review(monkeypatch, "main")


def test_a_folder_outside_of_the_project_is_a_one_line_error(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-m", "review", "main"], {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    expected = "this is not a DVC project in a git repository; run from the project's top folder"
    assert (result.returncode, result.stderr) == (1, f"error: review: {expected}\n")


@pytest.mark.parametrize(
    ("path", "old", "new", "found"),
    [
        ("params.yaml", "epochs: ", "epochs: 1", ["train: param train modified"]),
        ("classifier/models.py", '"""', '"""\n', ["train: classifier/models.py modified"]),
        ("metrics/train.json", '"parameters": ', '"parameters": 1', ["plot: metrics/train.json modified"]),
        ("dvc.yaml", "--raw data/raw --prepared", "--prepared", ["prepare: its command changed"]),
        (
            "dvc.yaml",
            "      - classifier/sources.py\n",
            "",
            ["fetch: classifier/sources.py is no dep any more (dvc commit removes it)"],
        ),
        ("review/figures.py", '"""', '"""\n', []),  # no stage runs these three
        ("project/cli.py", "error: ", "failed: ", []),
        ("stages/__main__.py", "one of", "any of", []),
    ],
)
def test_stale_results_are_found_and_others_are_not_reported(
    project: Project, path: str, old: str, new: str, found: list[str]
) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new, 1))
    assert find_stale(WORKSPACE) == found


def test_the_committed_results_are_not_stale(project: Project) -> None:
    assert find_stale(WORKSPACE) == find_stale("HEAD") == []


def test_a_file_in_git_that_is_declared_as_an_output_in_the_cache_is_compared(project: Project) -> None:
    edit("classifier/training.py", '"""', '"""\n')
    edit("dvc.yaml", "    outs:\n      - data/raw\n", "    outs:\n      - data/raw\n      - classifier/training.py\n")
    lock = load_yaml(paths.DVC_LOCK)
    (item,) = [dep for dep in lock["stages"]["train"]["deps"] if dep["path"] == "classifier/training.py"]
    lock["stages"]["fetch"]["outs"].append(dict(item))
    YAML().dump(lock, paths.DVC_LOCK)
    assert find_stale(WORKSPACE) == ["train: classifier/training.py modified"]


@pytest.mark.parametrize("kind", ["outs", "deps", "outs of fetch"])
def test_a_stage_that_dvc_yaml_does_not_declare_hides_no_change_of_code(project: Project, kind: str) -> None:
    """Neither as what would have made the file, nor as the last word on its hash."""
    edit("classifier/training.py", '"""', '"""\n')
    before = read("HEAD")
    lock = load_yaml(paths.DVC_LOCK)
    old = {"path": "classifier/training.py", "md5": before.hash_of(Path("classifier/training.py"))}
    if kind == "outs of fetch":  # which dvc.yaml does not declare
        lock["stages"]["fetch"]["outs"].append(old)
    else:
        lock["stages"]["zzz"] = {"cmd": "x", kind: [old]}
    YAML().dump(lock, paths.DVC_LOCK)
    assert find_stale(WORKSPACE) == ["train: classifier/training.py modified"]
    record_hash("train", "classifier/training.py", hashlib.md5(Path("classifier/training.py").read_bytes()).hexdigest())
    after = read(WORKSPACE)
    assert after.stale == []
    assert after.origin.code != before.origin.code
    assert "classifier/training.py" in after.code()


def test_stale_results_are_reported(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("params.yaml", "\n  epochs: ", "\n  epochs: 1")
    reason = "train: param train modified"
    assert f"Note:** The results of workspace are stale ({reason})" in review(monkeypatch, "HEAD")
    project.git("commit", "-qam", "stale")
    monkeypatch.setattr(sys, "argv", ["stale", "HEAD"])
    with pytest.raises(SystemExit, match=r"^1$"):
        main()
    assert capsys.readouterr().out.splitlines()[-1] == reason
    monkeypatch.setattr(sys, "argv", ["stale", "HEAD^"])
    main()
    assert capsys.readouterr().out == "The results of HEAD^ are up to date\n"


def test_what_points_outside_of_the_repository_is_named_and_no_request_is_sent(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = CountingServer()
    with serve(server) as address:
        edit("dvc.yaml", "      - data/raw\n      - stages", f"      - data/raw\n      - {address}/dep\n      - stages")
        imported = f"deps:\n- path: x\n  repo:\n    url: {address}/x.git\nouts:\n- path: x\n"
        Path("import.dvc").write_text(imported)
        project.git("add", ".")
        project.git("commit", "-qm", "outside")
        outside = f"prepare: {address}/dep is outside of the repository, which is not supported"
        assert find_stale("HEAD") == [outside, "import.dvc: not supported"]
        assert "are stale" in review(monkeypatch, "HEAD^", "HEAD")
    assert server.requests == 0


def test_a_dep_without_a_hash_in_dvc_lock_is_reviewed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = load_yaml(paths.DVC_LOCK)
    del lock["stages"]["train"]["deps"][0]["md5"]
    YAML().dump(lock, paths.DVC_LOCK)
    assert "Note:** The results of workspace are stale" in review(monkeypatch, "HEAD")


def test_results_of_different_runs_are_stale(project: Project) -> None:
    record_hash("evaluate", "models/model.keras", "0" * 32)
    assert find_stale(WORKSPACE) == ["evaluate: models/model.keras is not what train made"]
