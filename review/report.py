"""The review as one Markdown text with pictures: the verdict first, then what it rests on."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier import figures, scores
from review.revisions import Revision
from review.statistics import LEVEL, Change, Comparison, right, seed_margin, welch_test
from review.verdict import in_points, interval, judge, p_value

MOVED_CELLS = 10  # of the confusion matrix: the table shows the largest changes
GALLERY = 10  # images in each gallery

# Of metrics/evaluate.json and train.json, the most important first; more is better for all but the losses
SCORES = [
    f"{split}.{score}"
    for split in ("test", "validation", "train")
    for score in ("accuracy", "loss", "f1", "recall", "precision")
] + ["best_val_accuracy", "best_val_loss"]
COSTS = {"parameters": "parameters", "epochs": "epochs", "images_seen": "images seen while training"}

Differences = dict[str, dict[str, Any]]  # by key, as DVC's diffs give them: old and new
SeedRuns = dict[str, list[float]]  # the test accuracies of a revision's params with several seeds, by its label


class Report(NamedTuple):
    """text: Markdown that shows the pictures by their names, with .png."""

    text: str
    pictures: dict[str, Figure]


def report(
    before: Revision,
    after: Revision,
    comparison: Comparison | None,
    params: Differences,
    metrics: Differences,
    caveats: Sequence[str],
) -> Report:
    """Tell how two revisions of one classification differ.

    comparison: None if their test sets differ. params, metrics: what DVC says differs. caveats: what a reader must
    know before trusting the comparison.
    """
    seeds = before.seeds | after.seeds
    recipes = {revision.recipe: revision.label for revision in (after, before)}
    runs = {label: seeds[name] for name, label in recipes.items() if name in seeds}
    margin = seed_margin(*runs.values()) if runs else None
    pictures = dict(_pictures(before, after, comparison))
    sections = [
        f"# Review: {before.label} → {after.label}",
        _verdict(before, after, params, comparison, margin),
        *(f"> **Note:** {caveat}" for caveat in caveats),
        "## What changed",
        *_what_changed(before, after, params),
        "## Scores",
        _scores(metrics),
        *(_evidence(comparison, runs, margin) if comparison else ()),
        "## Cost of the training",
        _table(
            ["", "before", "after"],
            [[name, _number(before.cost.get(key)), _number(after.cost.get(key))] for key, name in COSTS.items()],
        ),
        "## Pictures",
        *(f"![{title}]({name}.png)" for name, (title, _) in pictures.items()),
    ]
    return Report("\n\n".join(sections) + "\n", {name: figure for name, (_, figure) in pictures.items()})


def _verdict(
    before: Revision, after: Revision, params: Differences, comparison: Comparison | None, margin: float | None
) -> str:
    if not comparison:
        return "**Not comparable.** The two were measured on different test sets."
    only_seed = set(params) == {"train.seed"} and before.code == after.code
    kind, reason = judge(comparison, margin, only_seed)
    significant = [change for change in comparison.classes if change.p < LEVEL]
    fell = [change.name for change in significant if change.recall.difference < 0]
    rose = [change.name for change in significant if change.recall.difference > 0]
    classes = [f"{how} in {', '.join(names)}" for how, names in (("fell", fell), ("rose", rose)) if names]
    if only_seed or not classes:
        return f"**{kind}.** {reason}"
    return f"**{kind}.** {reason} Between these two runs recall {' and '.join(classes)}."


def _what_changed(before: Revision, after: Revision, params: Differences) -> Iterator[str]:
    code = sorted(path for path in before.code | after.code if before.code.get(path) != after.code.get(path))
    if params:
        yield _table(
            ["param", "before", "after"],
            [[key, change.get("old"), change.get("new")] for key, change in sorted(params.items())],
        )
    if code:
        yield f"Code behind the results: {', '.join(f'`{path}`' for path in code)}."
    if not params and not code:
        yield "Neither params nor code."


def _scores(metrics: Differences) -> str:
    rows = []
    for name in filter(metrics.__contains__, SCORES):
        old, new = (metrics[name].get(key) for key in ("old", "new"))
        if old is None or new is None:
            rows.append([name, _number(old), _number(new), "", ""])
            continue
        better = (new < old) == name.endswith("loss")
        rows.append([name, _number(old), _number(new), f"{new - old:+z.4f}", "▲ better" if better else "▽ worse"])
    if not rows:
        return "No score differs."
    return _table(["score", "before", "after", "change", ""], rows)


def _evidence(comparison: Comparison, runs: SeedRuns, margin: float | None) -> Iterator[str]:
    found = comparison.outcomes
    yield "## Is the difference real?"
    yield _difference(comparison)
    yield (
        f"Of {sum(found):,} images {found.gained} were gained and {found.lost} lost; {found.both:,} are right in both, "
        f"{found.neither} in neither. McNemar's exact test: {p_value(comparison.p)}."
    )
    yield _seed_noise(runs, margin)
    yield "## By class"
    yield _by_class(comparison)
    yield (
        f"With {1 - LEVEL:.0%} intervals of the changes. p: McNemar's exact test on the class's images, corrected by "
        f"Holm's method for {len(comparison.classes)} comparisons; below {LEVEL} in bold. These tests know of the "
        "images' chance, not of the seeds'."
    )
    yield "## What moved in the confusion matrix"
    yield _moved_cells(comparison)


def _difference(comparison: Comparison) -> str:
    accuracy, loss, (was, now) = comparison.accuracy, comparison.loss, comparison.calibration
    change = f"{loss.difference:+z.4f} ({interval(loss, 1, 4)})"
    return _table(
        ["on the same test images", "before", "after", f"change ({1 - LEVEL:.0%} interval)"],
        [
            ["accuracy", f"{accuracy.before:.2%}", f"{accuracy.after:.2%}", in_points(accuracy)],
            ["log loss", f"{loss.before:.4f}", f"{loss.after:.4f}", change],
            ["expected calibration error", f"{was:.4f}", f"{now:.4f}", f"{now - was:+z.4f}"],
        ],
    )


def _by_class(comparison: Comparison) -> str:
    rows = []
    for change in comparison.classes:
        p = f"**{p_value(change.p)}**" if change.p < LEVEL else p_value(change.p)
        rows.append([change.name, *_class_cells(change.recall), p, *_class_cells(change.precision)])
    return _table(["class", "recall", "change in points", "is it chance?", "precision", "change in points"], rows)


def _class_cells(change: Change) -> tuple[str, str]:
    difference = f"{100 * change.difference:+z.1f} ({interval(change, 100, 1)})"
    return f"{change.before:.3f} → {change.after:.3f}", difference


def _moved_cells(comparison: Comparison) -> str:
    order = comparison.cells["change"].abs().sort_values(ascending=False, kind="stable").index
    moved = comparison.cells.loc[order].query("change != 0").head(MOVED_CELLS)
    if moved.empty:
        return "Nothing."
    rows = [[cell.actual, cell.predicted, cell.before, cell.after, f"{cell.change:+d}"] for cell in moved.itertuples()]
    return _table(["true class", "predicted", "before", "after", "change"], rows)


def _seed_noise(runs: SeedRuns, margin: float | None) -> str:
    if margin is None:
        return "Seed noise: not measured for the params of either; `make seeds` does."
    measured = "; ".join(
        f"{label}: {np.mean(values):.2%} ± {100 * np.std(values, ddof=1):.2f} over {len(values)} seeds"
        for label, values in runs.items()
    )
    text = (
        f"Seed noise, as mean ± standard deviation of the test accuracy: {measured}. So by their seeds alone two runs "
        f"lie up to {100 * margin:.2f} points apart, in {1 - LEVEL:.0%} of all cases."
    )
    if len(runs) == 2:
        text += f" The two means, by Welch's t-test: {p_value(welch_test(*runs.values()))}."
    return text


def _pictures(
    before: Revision, after: Revision, comparison: Comparison | None
) -> Iterator[tuple[str, tuple[str, Figure]]]:
    """Each picture's name, title and figure."""
    histories = {revision.label: revision.history for revision in (before, after)}
    if comparison:
        title = f"Test set: what moved from {before.label} to {after.label}"
        yield "confusion_difference", (title, figures.confusion_difference(comparison.cells, title))
    yield "learning_curves", ("Learning curves", figures.compared_curves(histories, "Learning curves"))
    if comparison:
        for name, title, wrong, other, word in (
            ("lost", "Right before, wrong after", after, before, "now"),
            ("gained", "Wrong before, right after", before, after, "was"),
        ):
            if wrong.mistakes is not None:
                yield name, (title, _gallery(wrong.predictions, wrong.mistakes, right(other.predictions), title, word))


def _gallery(
    predictions: pd.DataFrame, images: NDArray[np.uint8], right_elsewhere: NDArray[np.bool_], title: str, word: str
) -> Figure:
    """The mistakes that the other revision does not make, the most confident first; images: of all mistakes."""
    only_here = scores.mistakes(predictions)[right_elsewhere[~right(predictions)]]
    worst = only_here.sort_values("confidence", ascending=False, kind="stable").head(GALLERY)
    captions = [f"{row.actual}\n{word} {row.predicted}, {row.confidence:.0%}" for row in worst.itertuples()]
    return figures.gallery(images[worst.index], captions, f"{title}: {len(worst)} of {len(only_here)} images")


def _number(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.4f}"
    return None if value is None else f"{value:,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(item) for item in line) + " |" for line in lines)


def _cell(item: object) -> str:
    """A cell's text; what comes from params or class names must not end the cell or begin a tag."""
    if item is None:
        return "–"
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(str(item).split()).replace("|", "\\|"))
