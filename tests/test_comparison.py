"""What a review claims about two revisions: the committed results are changed in memory, and judged."""

import copy
import dataclasses
import itertools
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from numpy.typing import NDArray
from playwright.sync_api import Page

from classifier import figures, tables
from classifier.errors import UserError
from project import paths, seeds
from project.seeds import Origin
from review.caveats import caveats
from review.comparison import Comparison, compare_revisions, confusion_change, join
from review.looks import looks
from review.page import page as make_page
from review.report import report
from review.revisions import Revision, read
from tests.conftest import ROOT, Project
from tests.servers import Quiet, serve

Tables = dict[str, pd.DataFrame]
CLAIMS = re.compile(r"\*\*(On validation: )?(Better|Worse)")


@pytest.fixture(scope="module")
def committed() -> Revision:
    """The committed results, without pictures and without seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        revision = read("HEAD")
    return dataclasses.replace(revision, name="main", mistakes=None, seeds={}, unusable=[], stale=[])


@pytest.fixture
def before(committed: Revision, monkeypatch: pytest.MonkeyPatch) -> Revision:
    """The committed results; the current folder is this repository."""
    monkeypatch.chdir(ROOT)
    return committed


def flip(correct: NDArray[np.bool_], gained: int, lost: int, seed: int = 1) -> NDArray[np.bool_]:
    """Which images are classified correctly after so many newly correct and newly wrong ones, chosen at random."""
    random, after = np.random.default_rng(seed), correct.copy()
    for count, value in ((gained, True), (lost, False)):
        after[random.permutation(np.flatnonzero(correct != value))[:count]] = value
    return after


def retrained(
    revision: Revision, gained: int = 0, lost: int = 0, validation: int = 0, recipe: str = "another", **changes: Any
) -> Revision:
    """The results of another training. gained, lost: newly correct and newly wrong test images.

    validation: newly correct images of that split; newly wrong ones if it is negative. changes: of other attributes.
    """
    predictions, lock = revision.predictions.copy(), copy.deepcopy(revision.lock)
    bits = {
        "test": flip(revision.correct["test"], gained, lost),
        "validation": flip(revision.correct["validation"], max(0, validation), max(0, -validation)),
    }
    rows = np.flatnonzero(bits["test"] != revision.correct["test"])
    actual, was = (
        pd.Index(revision.classes).get_indexer(pd.Index(predictions.loc[rows, name]))
        for name in ("actual", "predicted")
    )
    now = np.where(bits["test"][rows], actual, (actual + 1) % len(revision.classes))
    probabilities = predictions[revision.classes].to_numpy(copy=True)
    probabilities[rows, was], probabilities[rows, now] = probabilities[rows, now], probabilities[rows, was]
    predictions[revision.classes] = probabilities
    predictions.loc[rows, "predicted"] = np.array(revision.classes, dtype=object)[now]
    next(out for out in lock["train"]["outs"] if out["path"] == str(paths.MODEL))["md5"] = f"of {recipe}"
    made: dict[str, Any] = {
        "name": "branch",
        "recipe": recipe,
        "lock": lock,
        "predictions": predictions,
        "correct": bits,
    }
    return dataclasses.replace(revision, **(made | changes))


def measured(revision: Revision, count: int, sd: float = 0.0, **changes: object) -> pd.DataFrame:
    """A table of seeds of a recipe, the revision's own run among them. sd: of the runs as a whole, as a share."""
    levels = sd * np.random.default_rng(count).standard_normal(count)
    rows = []
    for step, level in enumerate(levels):
        row: dict[str, object] = {"seed": revision.seed + step, "model": str(step), **revision.origin._asdict()}
        for split, prefix in seeds.SPLITS.items():
            own, flips = revision.correct[split], len(revision.correct[split]) // 50
            shift = round(level * len(own))
            bits = flip(own, flips + max(0, shift), flips - min(0, shift), seed=step) if step else own
            row |= {
                f"{prefix}accuracy": bits.mean(),
                f"{prefix}images": len(bits),
                f"{prefix}correct": tables.pack(bits),
            }
        numbers = dict.fromkeys(("parameters", "multiply_adds", "epochs", "images_seen"), 1)
        rows.append(row | {"loss": 0.25 + level, "confidence": row["accuracy"], "f1": 0.9} | numbers | changes)
    return pd.DataFrame(rows, columns=list(seeds.COLUMNS))


def with_seeds(revision: Revision, count: int, sd: float = 0.0) -> Revision:
    return dataclasses.replace(revision, seeds=revision.seeds | {revision.recipe: measured(revision, count, sd)})


def with_other(revision: Revision, path: str) -> Revision:
    """Results of other code or data: with another hash of a dep in dvc.lock."""
    lock = copy.deepcopy(revision.lock)
    for item in (item for stage in lock.values() for item in stage["deps"] if item["path"] == path):
        item["md5"] = "other"
    return dataclasses.replace(revision, lock=lock)


def compared(before: Revision, after: Revision, here: Tables | None = None) -> Comparison:
    comparison = compare_revisions(before, after, here or {})
    assert comparison is not None
    return comparison


def review(before: Revision, after: Revision, here: Tables | None = None) -> str:
    """The text of a review. The pictures, which take most of the time, are left out."""
    comparison = compare_revisions(before, after, here or {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("review.report._pictures", lambda *revisions: [])
        return report(before, after, comparison, caveats(before, after, comparison)).text


def verdict(text: str) -> str:
    """The line below the heading."""
    return text.splitlines()[2]


def notes(text: str) -> list[str]:
    return re.findall(r"^> \*\*Note:\*\* (.*)$", text, re.MULTILINE)


def line(text: str, title: str) -> str:
    """An item of the summary, such as Calibration."""
    (found,) = re.findall(rf"^- \*\*{title}:\*\* (.*)$", text, re.MULTILINE)
    return str(found)


# The verdict


def test_two_runs_of_one_recipe_claim_nothing_whatever_they_reached(before: Revision) -> None:
    settings: dict[str, Any] = {"params": before.params | {"train.seed": 2, "plot.mistakes": 9}, "seed": 2}
    for after in (
        retrained(before, 100, 500, recipe=before.recipe, **settings),
        retrained(before, 500, 100, recipe=before.recipe),  # of another CPU, for example
    ):
        text = review(before, after)
        assert verdict(text).startswith("**The same recipe.** Nothing that a score depends on differs but the seed")
        assert not CLAIMS.search(text)
        assert line(text, "Classes") == "the recipe is the same."
    text = review(before, retrained(before, 100, 500, recipe="another", **settings))
    assert CLAIMS.search(verdict(text))


def test_runs_of_one_recipe_with_other_code_or_data_are_judged(before: Revision) -> None:
    for dep in ("classifier/models.py", str(paths.TRAINING_SPLIT)):
        after = with_other(retrained(before, 100, 500, recipe=before.recipe), dep)
        assert verdict(review(before, after)).startswith("**Worse.**")


def test_the_same_model_is_named_as_such(before: Revision) -> None:
    text = review(before, dataclasses.replace(before, name="branch"))
    assert verdict(text).startswith("**The same model.**")
    assert not CLAIMS.search(text)


def test_another_evaluation_of_the_same_model_is_judged(before: Revision) -> None:
    after = dataclasses.replace(retrained(before, 100, 500), lock=before.lock)
    assert seeds.model(after.lock) == seeds.model(before.lock)
    assert verdict(review(before, after)).startswith("**Worse.**")


def test_the_seeds_of_both_revisions_are_joined(before: Revision) -> None:
    base = with_seeds(before, 5)
    fewer = base.seeds[base.recipe][:2]
    after = with_seeds(retrained(before, seeds={base.recipe: fewer}), 3)
    assert compared(base, after).runs == (5, 3)
    assert compared(after, base).runs == (3, 5)
    assert "(5 and 3 seeds)" in verdict(review(base, after))
    own = dataclasses.replace(before, seeds={before.recipe: fewer})
    rest = retrained(before, seeds={base.recipe: base.seeds[base.recipe][2:]})
    assert compared(own, rest).runs == (5, 1), "a table of each, with other seeds"
    assert compared(own, rest, {base.recipe: measured(before, 9)}).runs == (9, 1), "and one in the working tree"


def test_of_a_seed_that_several_tables_have_the_row_of_the_first_is_taken(before: Revision) -> None:
    first, second = measured(before, 2), measured(before, 3, model="second")
    table = join({"a": first}, {"a": second, "b": second})["a"]
    assert list(zip(table["seed"], table["model"], strict=True)) == [
        (before.seed, "0"), (before.seed + 1, "1"), (before.seed + 2, "second"),
    ]  # fmt: skip


def test_a_run_counts_once_although_it_is_in_the_table_of_seeds(before: Revision) -> None:
    base = with_seeds(before, 3)
    change = compared(base, retrained(before, 50, 50)).accuracy
    assert change.before == pytest.approx(base.seeds[base.recipe]["accuracy"].mean())


@pytest.mark.parametrize("field", Origin._fields)
def test_seeds_of_other_code_or_data_are_not_used_and_a_note_says_so(before: Revision, field: str) -> None:
    rows = measured(before, 5)
    rows.loc[rows.index[2:], field] = "0" * 12
    base = dataclasses.replace(before, seeds={before.recipe: rows})
    after = retrained(before, 300, 100)
    assert compared(base, after).runs == (2, 1)
    (note,) = notes(review(base, after))
    assert note.startswith("3 of the measured seeds of main ")
    assert "are of other code or data, and are not used: `make seeds` trains them again." in note


def test_stale_seeds_are_named_by_their_revision_if_the_recipes_are_equal(before: Revision) -> None:
    """The recipe is the same, the code is not: one table is current for the base and stale for the head."""
    base = with_seeds(before, 4)
    after = with_other(retrained(base, recipe=base.recipe), "classifier/models.py")
    assert compared(base, after).runs == (4, 1)
    assert [note.partition(" are of")[0] for note in notes(review(base, after))] == [
        f"4 of the measured seeds of {after.label}"
    ]
    assert compared(after, base).runs == (1, 4)
    assert [note.partition(" are of")[0] for note in notes(review(after, base))] == [
        f"4 of the measured seeds of {after.label}"
    ]


def test_the_spread_of_seeds_decides(before: Revision) -> None:
    after = retrained(before, 300, 220)
    calm, varying = (review(with_seeds(before, 4, sd), with_seeds(after, 4, sd)).splitlines()[2] for sd in (0.0, 0.01))
    assert calm.startswith("**Better.** Test accuracy ")
    assert varying.startswith("**Undecided: ")
    assert "(4 and 4 seeds)" in calm


def test_seeds_of_other_recipes_tell_how_much_runs_vary(before: Revision) -> None:
    after = retrained(before, 300, 220)
    assert "Seeds of no recipe are measured" in verdict(review(before, after))
    other = retrained(before, 10, 10, recipe="third")
    for sd, kind in ((0.0, "Better"), (0.01, "Undecided")):
        text = review(before, after, {"third": measured(other, 6, sd)})
        assert verdict(text).startswith(f"**{kind}")
        assert "Seeds of no recipe" not in text
    elsewhere = measured(other, 6, 0.01, data="other data")
    assert "Seeds of no recipe are measured" in verdict(review(before, after, {"third": elsewhere}))


def test_equivalence_is_said_only_if_the_90_percent_interval_lies_within_the_margin(before: Revision) -> None:
    """A p-value that is not small is no proof that there is no difference."""
    kinds = set()
    for sd, (gained, lost) in itertools.product((0, 0.002), ((0, 0), (60, 40), (300, 280))):
        base, after = with_seeds(before, 3, sd), retrained(before, gained, lost)
        change, text = compared(base, after).accuracy, verdict(review(base, after))
        inside = all(abs(end) < 0.003 for end in change.interval(0.1))
        assert text.startswith("**Equivalent within ±0.3 points.**") == (inside and change.p >= 0.05)
        assert "chance" not in text
        assert "no evidence" not in text.lower()
        kinds.add(text.split()[0])
    assert {"**Equivalent", "**Undecided:"} <= kinds


def test_the_verdict_on_validation_comes_first_until_the_change_is_committed(before: Revision) -> None:
    after = retrained(before, 300, 100, validation=-100)
    lines = review(before, after).splitlines()
    assert lines[2].startswith("**Better.** Test accuracy ")
    assert any(line.startswith("On validation: Worse. Validation accuracy ") for line in lines)
    lines = review(before, dataclasses.replace(after, commit=None, name="workspace")).splitlines()
    assert lines[2].startswith("**On validation: Worse.** Validation accuracy ")
    assert any(
        line.startswith("For the decision to merge, on the test set: **Better.** Test accuracy") for line in lines
    )


def test_results_older_than_the_validation_bits_are_judged_by_the_test_set(before: Revision) -> None:
    older = dataclasses.replace(before, correct={"test": before.correct["test"]})
    text = review(older, retrained(before, 300, 100, commit=None))
    assert verdict(text).startswith("**Better.** Test accuracy ")
    assert "validation accuracy" not in text.lower()


def test_older_results_without_sizes_are_judged_without_hours(before: Revision) -> None:
    older = dataclasses.replace(before, summary={"epochs": 25})
    text = review(older, retrained(before, 230, 220))
    assert verdict(text).startswith("**Undecided: about ")
    assert "hours" not in text
    assert "parameters: not known → 34,826" in line(text, "Costs")


# What stands beside the verdict


def test_classes_are_judged_with_their_seeds(before: Revision) -> None:
    after = retrained(before)
    is_bag = (before.predictions["actual"] == "Bag").to_numpy()
    worse = is_bag & before.correct["test"] & (np.arange(len(is_bag)) % 10 == 0)
    after.predictions.loc[worse, "predicted"] = "Shirt"
    after = dataclasses.replace(after, correct=after.correct | {"test": after.correct["test"] & ~worse})
    text = review(before, after)
    assert line(text, "Classes") == "recall fell in Bag."
    assert re.findall(r"^\| ([^|]+) \|.*\*\*p [<=] [\d.]+\*\*", text, re.MULTILINE) == ["Bag"]
    assert "recall rose in Bag" in line(review(after, before), "Classes")
    # Its recall varies as much from seed to seed
    varying = pd.concat([measured(before, 1)] * 6, ignore_index=True)
    for row in range(1, 6):
        bits = before.correct["test"] & ~(worse & (row % 2 > 0)) & ~(is_bag & (np.arange(len(is_bag)) % 97 == row))
        for name, value in (("seed", row + 1), ("correct", tables.pack(bits)), ("accuracy", bits.mean())):
            varying.loc[row, name] = value
    text = review(before, after, {before.recipe: varying})
    assert line(text, "Classes").startswith("no recall changed beyond what seeds and the sample of images explain")


def scaled(revision: Revision, factor: float) -> Revision:
    """The same predicted classes with other confidences."""
    table = revision.predictions.copy()
    table[revision.classes] *= factor
    return dataclasses.replace(revision, predictions=table)


def test_a_higher_log_loss_is_mentioned_although_the_same_images_are_correct(before: Revision) -> None:
    after = retrained(before)
    after.predictions["loss"] *= 3.2
    text = review(before, after)
    assert verdict(text).startswith("**Equivalent within ±0.3 points.**")
    loss = before.predictions["loss"].mean()
    assert f"The log loss rose from {loss:.3f} to {3.2 * loss:.3f} nats." in verdict(text)
    assert re.search(r"\| test log loss, nats \| .* \| ▽ worse \|", text)
    assert "log loss rose" not in review(after, before)
    little = retrained(before)
    little.predictions["loss"] += 0.005
    assert "log loss rose" not in review(before, little)


@pytest.mark.parametrize(("factor", "direction"), [(0.9, "under-confident"), (1.06, "over-confident")])
def test_a_worse_calibration_is_warned_of_although_the_accuracy_rose(
    before: Revision, factor: float, direction: str
) -> None:
    after = scaled(retrained(before, 300, 0), factor)
    text = review(before, after)
    assert verdict(text).startswith("**Better.**")
    gap, was = (
        100 * float(r.predictions[r.classes].max(axis=1).mean() - r.correct["test"].mean()) for r in (after, before)
    )
    assert (
        f"But the new model is {direction}: its mean confidence differs from its accuracy by {gap:+.1f} points "
        f"(before: {was:+.1f})."
    ) in verdict(text)
    assert f"mean confidence − accuracy {was:+.1f} → {gap:+.1f} points" in line(text, "Calibration")
    assert "confident" not in review(after, scaled(before, 1.0))


def test_a_little_worse_calibration_is_not_warned_of(before: Revision) -> None:
    assert "confident" not in review(before, scaled(retrained(before, 300, 0), 1.03))


def test_few_scores_are_shown_and_marked_only_beyond_chance(before: Revision) -> None:
    base = with_seeds(before, 3)
    marks = set()
    for after in (
        retrained(before, 20, 22, 3),
        retrained(before, 400, 20, 200),
        scaled(retrained(before, 20, 400, -200), 0.9),
        retrained(before, lost=1),
    ):
        text = review(base, after).partition("## Scores")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| (?!score|---)(.*) \|$", text, re.MULTILINE)
        assert 2 <= len(rows) <= 4
        for row in rows:
            *_, difference, mark = row.split("|")
            low, high = map(float, re.findall(r"([+-][\d.]+) to ([+-][\d.]+)", difference)[0])
            assert bool(mark.strip()) == (low > 0 or high < 0), row
            better = (low > 0) == ("accuracy" in row.split(" | ")[0] and "distance" not in row)
            assert mark.strip() in ("", "▲ better" if better else "▽ worse"), row
            marks.add(mark.strip())
    assert marks == {"", "▲ better", "▽ worse"}


@pytest.mark.parametrize("images", [3, 300])  # three images, of three classes
def test_no_number_of_a_report_is_nan_or_infinite(before: Revision, images: int) -> None:
    table = before.predictions[:images]
    others = [before.classes[before.classes.index(name) - 1] for name in table["actual"]]
    extremes = []
    for recipe, predicted in (("real", table["predicted"]), ("all correct", table["actual"]), ("all wrong", others)):
        predictions = table.assign(predicted=list(predicted))
        bits = {"test": (predictions["predicted"] == predictions["actual"]).to_numpy()}
        extremes.append(retrained(before, recipe=recipe, predictions=predictions, correct=bits))
    runs = measured(retrained(before, recipe="third"), 3).assign(
        images=images, correct=[tables.pack(before.correct["test"][step : step + images]) for step in range(3)]
    )
    for (first, second), here in itertools.product(itertools.permutations(extremes, 2), ({}, {"third": runs})):
        assert not re.search(r"\b(nan|inf)\b", review(first, second, here), re.IGNORECASE)


def test_changed_cells_are_in_the_order_of_the_classes() -> None:
    was, now = ({"actual": list("ccab"), "predicted": list(predicted)} for predicted in ("caab", "ccac"))
    cells = confusion_change(pd.DataFrame(was), pd.DataFrame(now), ["c", "a", "b"])
    assert list(zip(cells["actual"], cells["predicted"], strict=True)) == list(itertools.product("cab", "cab"))
    moved = cells[cells["change"] != 0][["actual", "predicted", "before", "after", "change"]]
    assert moved.to_numpy().tolist() == [
        ["c", "c", 1, 2, 1], ["c", "a", 1, 0, -1], ["b", "c", 0, 1, 1], ["b", "b", 1, 0, -1],
    ]  # fmt: skip


# Notes


def test_only_two_known_arithmetics_that_differ_are_noted(before: Revision) -> None:
    after = retrained(before, 10, 10)
    unknown = {key: value for key, value in before.summary.items() if key != "arithmetic"}
    for summary, noted in ((before.summary, 0), (unknown, 0), (before.summary | {"arithmetic": "00000000"}, 1)):
        changed = dataclasses.replace(after, summary=summary)
        for pair in ((before, changed), (changed, before)):
            assert sum("different floating-point arithmetic" in note for note in notes(review(*pair))) == noted


@pytest.mark.parametrize(
    ("gained", "validation", "noted"), [(300, -1, False), (300, -150, True), (1, -150, False), (300, 150, False)]
)
def test_opposite_changes_of_test_and_validation_are_noted_only_beyond_chance(
    before: Revision, gained: int, validation: int, noted: bool
) -> None:
    found = notes(review(before, retrained(before, gained, 0, validation)))
    expected = "Test accuracy rose and validation accuracy fell: selection by validation would not have chosen this."
    assert found == ([expected] if noted else [])


# Looks at the test set


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A git repository as the current folder, whose only file is a table of predictions."""
    project = Project(tmp_path)
    monkeypatch.chdir(tmp_path)
    project.git("init", "-q", "-b", "main")
    commit(project, "base")
    return project


def commit(project: Project, predictions: str) -> str:
    """Commit another table of predictions, and return the commit."""
    paths.PREDICTIONS.parent.mkdir(exist_ok=True)
    paths.PREDICTIONS.write_text(predictions)
    project.git("add", ".")
    project.git("commit", "-q", "--allow-empty", "-m", predictions)
    return project.git("rev-parse", "HEAD")


def count(
    before: Revision, base: str, head: str | None, of_base: Tables | None = None, of_head: Tables | None = None
) -> tuple[int, int]:
    """The looks since two commits parted, and ever. of_base, of_head: their tables of seeds."""
    return looks(
        dataclasses.replace(before, commit=base, seeds=of_base or {}),
        dataclasses.replace(before, commit=head, seeds=of_head or {}),
    )


def test_every_result_in_the_history_is_a_look(before: Revision, history: Project) -> None:
    start = history.git("rev-parse", "HEAD")
    assert count(before, start, start) == (1, 1)
    heads = [commit(history, name) for name in ("first", "second", "first", "third")]
    assert count(before, start, heads[-1]) == (3, 4), "three different ones, and that of the base"
    assert count(before, heads[0], heads[-1]) == (2, 4)
    assert count(before, start, None) == (3, 4)
    paths.PREDICTIONS.write_text("not committed")
    assert count(before, start, None) == (4, 5)
    history.git("rm", "-qf", str(paths.PREDICTIONS))
    history.git("commit", "-qm", "removed")
    assert count(before, start, commit(history, "fourth")) == (4, 5)


@pytest.mark.parametrize("how", ["ours", "reverted"])
def test_results_of_branches_that_a_merge_discarded_are_looks(before: Revision, history: Project, how: str) -> None:
    start = history.git("rev-parse", "HEAD")
    history.git("checkout", "-qb", "tried")
    for name in ("first", "second", "third"):
        commit(history, name)
    if how == "reverted":
        commit(history, "base")
    history.git("checkout", "-q", "main")
    history.git("commit", "-q", "--allow-empty", "-m", "other work")
    history.git("merge", "-q", "--no-ff", "-m", "merged", *(["-s", "ours"] if how == "ours" else []), "tried")
    assert paths.PREDICTIONS.read_text() == "base"
    assert history.git("log", "--format=%s", f"{start}..", "--", str(paths.PREDICTIONS)) == "", "git simplifies"
    assert count(before, start, commit(history, "chosen")) == (4, 5)


def test_a_result_that_only_a_merge_has_is_a_look(before: Revision, history: Project) -> None:
    start = history.git("rev-parse", "HEAD")
    history.git("checkout", "-qb", "tried")
    commit(history, "first")
    history.git("checkout", "-q", "main")
    commit(history, "second")
    history.run("git", "merge", "-q", "--no-commit", "-s", "ours", "tried")
    paths.PREDICTIONS.write_text("of both")
    history.git("commit", "-qam", "merged")
    head = commit(history, "chosen")
    assert count(before, start, head) == (4, 5)
    for setting in ("log.diffMerges=off", "log.follow=true", "log.showSignature=true"):  # of the user
        history.git("config", *setting.split("="))
    assert count(before, start, head) == (4, 5)


def test_a_history_that_git_cannot_read_is_an_error(before: Revision, history: Project) -> None:
    start = history.git("rev-parse", "HEAD")
    head = commit(history, "first")
    (history.folder / ".git/objects" / head[:2] / head[2:]).unlink()
    with pytest.raises(UserError, match="git cannot read all files of this revision"):
        count(before, start, head)


def test_a_recipe_whose_seeds_were_measured_is_a_look(before: Revision, history: Project) -> None:
    start = history.git("rev-parse", "HEAD")
    head = commit(history, "first")
    tried = {name: measured(before, 2) for name in ("a", "b")}
    assert count(before, start, head, of_head=tried) == (3, 4)
    assert count(before, start, head, of_base=tried, of_head=tried) == (1, 4), "known before"
    own = {before.recipe: measured(before, 5)}
    assert count(before, start, head, of_head=own) == (1, 2), "seeds of the two recipes themselves are no further trial"
    assert count(before, start, head, of_head=own | tried) == (3, 4)


def test_after_several_looks_better_needs_a_smaller_p(before: Revision, history: Project) -> None:
    start = history.git("rev-parse", "HEAD")
    for name in ("first", "second", "third", "fourth"):
        last = commit(history, name)
    paths.PREDICTIONS.write_text("not committed")
    base, after = dataclasses.replace(before, commit=start), retrained(before, 180, 135, commit=None, name="workspace")
    p = compared(base, after).accuracy.p
    assert 0.01 < p < 0.025
    text = review(base, after)
    assert "on the test set: **Undecided" in text
    assert "It would be better if it were the only recipe tried, but not as the best of 5." in text
    assert line(text, "Looks at the test set").startswith(
        "5 since the two parted, 6 ever. The best of 5 equal recipes appears better by 0."
    )
    assert "*Better* needs p < 0.01." in line(text, "Looks at the test set")
    text = review(dataclasses.replace(before, commit=last), after)
    assert "on the test set: **Better" in text
    assert line(text, "Looks at the test set") == "1 since the two parted, 6 ever."


# Text from a branch

HOSTILE = [
    "![x](http://evil.example/x.png)", "[x](http://evil.example)", "@everyone", "<!--", "<img src=http://evil.example/y>",
    "a | b", "`x`", "<script>document.title='run'</script>", "<a href=http://evil.example>x</a>", "www.evil.example",
    "x\n\n![x](http://evil.example/z.png)\n", "$x_$", "-->", "team/project#1",
]  # fmt: skip


@pytest.fixture
def hostile(before: Revision) -> tuple[Revision, Revision]:
    """Two revisions, all of whose texts are markup."""
    names = dict(zip(before.classes, HOSTILE, strict=False))
    predictions = before.predictions.replace({"actual": names, "predicted": names}).rename(columns=names)
    base = dataclasses.replace(before, predictions=predictions, classes=list(names.values()))
    lock = copy.deepcopy(retrained(before).lock)
    lock["train"]["deps"] += [{"path": f"{text}.py", "md5": "1"} for text in HOSTILE]
    worse = predictions.copy()
    worse.loc[:2000, "predicted"] = HOSTILE[0]
    after = dataclasses.replace(
        base, name=" ".join(HOSTILE), predictions=worse, lock=lock, recipe="hostile",
        params=base.params | dict.fromkeys(HOSTILE, "x") | {f"x{step}": text for step, text in enumerate(HOSTILE)},
        correct=base.correct | {"test": (worse["actual"] == worse["predicted"]).to_numpy()},
        stale=[f"train: param {text} modified" for text in HOSTILE], test_readers=HOSTILE,
        unusable=[f"{text}.csv: a seed stands there twice" for text in HOSTILE],
        summary=base.summary | {"parameters": HOSTILE[0], "arithmetic": HOSTILE[4]},
    )  # fmt: skip
    return base, after


def test_markup_in_texts_of_a_branch_is_shown_as_text(hostile: tuple[Revision, Revision], tmp_path: Path) -> None:
    base, after = hostile
    comparison = compared(base, after)
    text = report(base, after, comparison, caveats(base, after, comparison)).text
    plt.close("all")
    assert "evil.example" in text
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = [child for token in renderer.parse(text) for child in (token, *(token.children or []))]
    assert {token.type for token in tokens if token.type.startswith(("html", "link"))} == set()
    pictures = {str(token.attrs["src"]) for token in tokens if token.type == "image"}
    assert pictures == {"difference.png", "confusion_difference.png", "learning_curves.png"}
    assert all(
        len(row.split(" | ")) in (2, 3, 4, 5) for row in re.sub(r"\\\|", "", text).splitlines() if row[:1] == "|"
    )
    # What GitHub makes links or mentions of, outside of code
    assert not re.search(
        r"@\w|(?i:www\.)|://|\w#\d", "".join(token.content for token in tokens if token.type == "text")
    )


def test_the_page_of_a_hostile_branch_loads_nothing(
    hostile: tuple[Revision, Revision], tmp_path: Path, page: Page
) -> None:
    base, after = hostile
    text, pictures = report(base, after, compared(base, after), ["a note"])
    (tmp_path / "report.html").write_text(make_page(text), encoding="utf-8")
    for name, figure in pictures.items():
        figures.write(tmp_path / f"{name}.png", figure)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    assert {url for url in requests if not url.startswith("file:")} == set()
    assert page.title() == "Review"
    assert page.locator("img").count() == len(pictures) == 3
    assert min(page.eval_on_selector_all("img", "all => all.map(image => image.naturalWidth)")) > 800
    assert page.locator("a, script, iframe").count() == 0
    assert page.evaluate("document.createTreeWalker(document.body, NodeFilter.SHOW_COMMENT).nextNode()") is None
    shown = page.locator("body").inner_text().replace("\u2060", "")
    for expected in ("<!--", "@everyone", "![x](http://evil.example/x.png)", "<script>document.title='run'</script>"):
        assert expected in shown


@pytest.fixture
def outside() -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, asked


def test_the_page_forbids_the_browser_to_load_from_elsewhere(
    tmp_path: Path, page: Page, outside: tuple[str, list[str]]
) -> None:
    url, asked = outside
    page.context.set_offline(False)
    added = (
        f'<img src="{url}/image"><script>new Image().src = "{url}/script"</script><iframe src="{url}/frame"></iframe>'
        f'<link rel=stylesheet href="{url}/style"></body>'
    )
    protected = make_page("# Title").replace("</body>", added)
    unprotected = re.sub(r"<meta http-equiv=.*>", "", protected)
    assert unprotected != protected
    for name, content in (("protected", protected), ("unprotected", unprotected)):
        path = tmp_path / f"{name}.html"
        path.write_text(content)
        page.goto(path.as_uri(), wait_until="networkidle")
        assert sorted(asked) == ([] if name == "protected" else ["/frame", "/image", "/script", "/style"])
