"""The report of a review as Markdown text with pictures: the verdict first, then the evidence."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from classifier.notation import percent
from project.text import mean_and_sd, table
from review import figures
from review.revisions import Revision
from review.significance import LEVEL, Change, Comparison, SeedNoise, seed_noise
from review.verdict import in_points, interval, judge, p_value

MOVED_CELLS = 10  # rows in the table of the confusion matrix's largest changes

# Of metrics/evaluate.json and train.json, the most important first; higher is better for all but the losses
SCORES = [
    f"{split}.{score}"
    for split in ("test", "validation", "train")
    for score in ("accuracy", "loss", "f1", "recall", "precision")
] + ["best_val_accuracy", "best_val_loss"]
COSTS = {"parameters": "parameters", "epochs": "epochs", "images_seen": "images seen in training"}

Differences = dict[str, dict[str, Any]]  # by key, as DVC's diffs give them: old and new


class Report(NamedTuple):
    """text: Markdown that refers to the pictures by their names, with .png."""

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
    """Report how the results of two revisions differ.

    comparison: None if their test sets differ. params, metrics: the differences that DVC finds. caveats: as by
    caveats.caveats.
    """
    seeds = before.seeds | after.seeds
    recipes = {revision.recipe: revision.label for revision in (after, before)}
    noise = seed_noise({label: seeds[name] for name, label in recipes.items() if name in seeds})
    pictures = dict(_pictures(before, after, comparison))
    sections = [
        f"# Review: {before.label} → {after.label}",
        _verdict(before, after, params, comparison, noise),
        *(f"> **Note:** {caveat}" for caveat in caveats),
        "## What changed",
        *_what_changed(before, after, params),
        "## Scores",
        _scores(metrics),
        *(_evidence(comparison, noise) if comparison else ()),
        "## Cost of the training",
        table(
            ["", "before", "after"],
            [[name, _number(before.summary.get(key)), _number(after.summary.get(key))] for key, name in COSTS.items()],
        ),
        "## Pictures",
        *(f"![{title}]({name}.png)" for name, (title, _) in pictures.items()),
    ]
    return Report("\n\n".join(sections) + "\n", {name: figure for name, (_, figure) in pictures.items()})


def _verdict(
    before: Revision, after: Revision, params: Differences, comparison: Comparison | None, noise: SeedNoise | None
) -> str:
    if not comparison:
        return "**Not comparable.** The two were measured on different test sets."
    only_seed = set(params) == {"train.seed"} and before.code == after.code
    kind, reason = judge(comparison, noise.margin if noise else None, only_seed)
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
        yield table(
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
    return table(["score", "before", "after", "change", ""], rows)


def _evidence(comparison: Comparison, noise: SeedNoise | None) -> Iterator[str]:
    found = comparison.outcomes
    yield "## Is the difference more than chance?"
    yield _difference(comparison)
    yield (
        f"Of {sum(found):,} images {found.newly_correct} are newly correct and {found.newly_wrong} newly wrong; "
        f"{found.both:,} are correct in both, {found.neither} in neither. McNemar's exact test: "
        f"{p_value(comparison.p)}."
    )
    yield _seed_noise(noise)
    yield "## By class"
    yield _by_class(comparison)
    yield (
        f"With {1 - LEVEL:.0%} intervals of the changes. p (Holm): McNemar's exact test on the class's images, "
        f"corrected by Holm's method for {len(comparison.classes)} comparisons; below {LEVEL} in bold. These tests "
        "consider the sampling of the test images, not the seeds of the training."
    )
    yield "## Largest changes in the confusion matrix"
    yield _moved_cells(comparison)


def _difference(comparison: Comparison) -> str:
    accuracy, loss, (was, now) = comparison.accuracy, comparison.loss, comparison.calibration
    change = f"{loss.difference:+z.4f} ({interval(loss, 1, 4)})"
    return table(
        ["on the same test images", "before", "after", f"change ({1 - LEVEL:.0%} interval)"],
        [
            ["accuracy", percent(accuracy.before), percent(accuracy.after), in_points(accuracy)],
            ["log loss, nats", f"{loss.before:.4f}", f"{loss.after:.4f}", change],
            ["expected calibration error", f"{was:.4f}", f"{now:.4f}", f"{now - was:+z.4f}"],
        ],
    )


def _by_class(comparison: Comparison) -> str:
    rows = []
    for change in comparison.classes:
        p = f"**{p_value(change.p)}**" if change.p < LEVEL else p_value(change.p)
        rows.append([change.name, *_class_cells(change.recall), p, *_class_cells(change.precision)])
    return table(["class", "recall", "change in points", "p (Holm)", "precision", "change in points"], rows)


def _class_cells(change: Change) -> tuple[str, str]:
    difference = f"{100 * change.difference:+z.1f} ({interval(change, 100, 1)})"
    return f"{change.before:.3f} → {change.after:.3f}", difference


def _moved_cells(comparison: Comparison) -> str:
    order = comparison.cells["change"].abs().sort_values(ascending=False, kind="stable").index
    moved = comparison.cells.loc[order].query("change != 0").head(MOVED_CELLS)
    if moved.empty:
        return "Nothing changed."
    rows = [[cell.actual, cell.predicted, cell.before, cell.after, f"{cell.change:+d}"] for cell in moved.itertuples()]
    return table(["true class", "predicted", "before", "after", "change"], rows)


def _seed_noise(noise: SeedNoise | None) -> str:
    if noise is None:
        return "Seed noise: not measured for the params of either; `make seeds` measures it."
    measured = "; ".join(
        f"{label}: {mean_and_sd(float(np.mean(values)), float(np.std(values, ddof=1)), len(values))}"
        for label, values in noise.runs.items()
    )
    text = (
        f"Seed noise, as mean ± standard deviation of the test accuracy: {measured}. By their seeds alone, two runs of "
        f"one recipe differ by up to {100 * noise.margin:.2f} points in {1 - LEVEL:.0%} of all cases."
    )
    if noise.p is not None:
        text += f" The two means, by Welch's t-test: {p_value(noise.p)}."
    return text


def _pictures(
    before: Revision, after: Revision, comparison: Comparison | None
) -> Iterator[tuple[str, tuple[str, Figure]]]:
    """Each picture's name, title and figure."""
    histories = {revision.label: revision.history for revision in (before, after)}
    if comparison:
        title = f"Test set: changes in the confusion matrix from {before.label} to {after.label}"
        yield "confusion_difference", (title, figures.confusion_difference(comparison.cells, title))
    yield "learning_curves", ("Learning curves", figures.compared_curves(histories, "Learning curves"))
    if comparison:
        for name, title, wrong, other, word in (
            ("newly_wrong", "Newly wrong", after, before, "now"),
            ("newly_correct", "Newly correct", before, after, "was"),
        ):
            if wrong.mistakes is not None:
                figure = figures.changed_mistakes(
                    wrong.predictions, wrong.mistakes, other.predictions, wrong.classes, title, word
                )
                yield name, (title, figure)


def _number(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.4f}"
    return None if value is None else f"{value:,}"
