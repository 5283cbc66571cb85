"""The report of a review as Markdown text with pictures: the verdict first, then the evidence."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from classifier.notation import percent
from project.significance import LEVEL, Change, gain_of_the_best
from project.text import Markdown, code, escape, table
from project.verdict import MARGIN, Sample, interval, judge, p_value, points, training_operations
from review import figures
from review.comparison import Comparison
from review.looks import Looks, looks
from review.revisions import Revision

WIDEST = 200  # characters of a param's value
MOVED_CELLS = 10  # rows in the table of the confusion matrix's largest changes
# From here on, a worse calibration or log loss is mentioned beside the verdict: a point, and 0.01 nats
NOTABLE = 0.01
SIZES = {
    "parameters": "parameters",
    "multiply_adds": "MACs per image",
    "epochs": "epochs",
    "images_seen": "images seen in training",
}


PICTURES = ("difference", "confusion_difference", "learning_curves", "newly_wrong", "newly_correct")


class Report(NamedTuple):
    """text: Markdown that refers to the pictures by their names, with .png."""

    text: str
    pictures: dict[str, Figure]


def report(before: Revision, after: Revision, comparison: Comparison | None, caveats: Sequence[str]) -> Report:
    """Report how the results of two revisions differ.

    comparison: None if their test sets differ. caveats: as by caveats.caveats.
    """
    pictures = dict(_pictures(before, after, comparison))
    summary = _summary(before, after, comparison) if comparison else [_not_comparable()]
    sections = [
        f"# Review: {escape(before.label)} → {escape(after.label)}",
        summary[0],
        *(f"> **Note:** {caveat}" for caveat in caveats),
        *summary[1:],
        "## What changed",
        *_what_changed(before, after),
        *(_evidence(comparison) if comparison else ()),
        "## Pictures",
        *(f"![{title}]({name}.png)" for name, (title, _) in pictures.items() if name != "difference"),
    ]
    return Report("\n\n".join(sections) + "\n", {name: figure for name, (_, figure) in pictures.items()})


def _not_comparable() -> str:
    return "**Not comparable.** The two were measured on different test sets."


def _summary(before: Revision, after: Revision, comparison: Comparison) -> list[str]:
    """What decides: the verdicts, the difference as a picture, the costs, the looks, the calibration, the classes."""
    tried = looks(before, after)
    size = (
        f"{name}: {_number(before.summary.get(key))} → {_number(after.summary.get(key))}"
        for key, name in SIZES.items()
        if before.summary.get(key) != after.summary.get(key)
    )
    return [
        *_verdicts(before, after, comparison, tried.since),
        "![The difference of the recipes, with intervals](difference.png)",
        "\n".join(
            f"- **{title}:** {text}"
            for title, text in (
                ("Costs", ", ".join(size) or "the same number of parameters, MACs and images seen in training"),
                ("Looks at the test set", _looks(comparison, tried)),
                ("Calibration", _calibration(comparison)),
                ("Classes", _classes(comparison)),
            )
        ),
    ]


def _verdicts(before: Revision, after: Revision, comparison: Comparison, tried: int) -> Iterator[str]:
    """The verdict on the test set, and that on the validation set: first, while the change is not committed."""
    if comparison.same_model:
        yield "**The same model.** The models have the same hash, and classify the same test images correctly."
        return
    if comparison.same_recipe:
        yield (
            "**The same recipe.** Nothing that a score depends on differs but the seed of the training, so every "
            f"difference is chance. Test accuracy {percent(before.correct['test'].mean())} → "
            f"{percent(after.correct['test'].mean())}."
        )
        return
    samples = [
        Sample(runs, _operations(revision)) for runs, revision in zip(comparison.runs, (before, after), strict=True)
    ]
    kind, reason = judge(comparison.accuracy, "test", samples[0], samples[1], tried)
    test = f"**{kind}.** {reason}{_warnings(comparison)}"
    if comparison.validation is None:
        yield test
        return
    kind, reason = judge(comparison.validation, "validation", samples[0], samples[1])
    reason += " This does not consider how many recipes were tried on the validation set."
    if after.commit is None:
        yield f"**On validation: {kind}.** {reason}"
        yield f"For the decision to merge, on the test set: {test}"
    else:
        yield test
        yield f"On validation: {kind}. {reason}"


def _operations(revision: Revision) -> float:
    """The floating-point operations of the training, 0 if they are unknown."""
    multiply_adds, images_seen = (revision.summary.get(key) for key in ("multiply_adds", "images_seen"))
    if isinstance(multiply_adds, int) and isinstance(images_seen, int):
        return float(training_operations(multiply_adds, images_seen))
    return 0.0


def _warnings(comparison: Comparison) -> str:
    """Sentences on a calibration or log loss that is worse, whatever the accuracy."""
    was, now = comparison.gap
    texts = []
    if _is_worse(comparison.miscalibration):
        direction = "under-confident" if now < 0 else "over-confident"
        texts.append(
            f"But the new model is {direction}: its mean confidence differs from its accuracy by {100 * now:+.1f} "
            f"points (before: {100 * was:+.1f})."
        )
    if _is_worse(comparison.loss):
        texts.append(f"The log loss rose from {comparison.loss.before:.3f} to {comparison.loss.after:.3f} nats.")
    return "".join(f" {text}" for text in texts)


def _is_worse(change: Change) -> bool:
    """Whether a value that should be small rose beyond chance and notably."""
    return change.difference > NOTABLE and change.interval()[0] > 0


def _looks(comparison: Comparison, tried: Looks) -> str:
    text = f"{tried.since} since the two parted, {tried.ever} ever."
    if tried.since == 1:
        return text
    gain = 100 * gain_of_the_best(tried.since, comparison.accuracy)
    return (
        f"{text} The best of {tried.since} equal recipes appears better by {gain:.2f} points on average. Here, "
        f"*Better* needs p < {LEVEL / tried.since:.2g}. Select by the validation set."
    )


def _calibration(comparison: Comparison) -> str:
    was, now = (f"{100 * gap:+z.1f}" for gap in comparison.gap)
    grown = comparison.miscalibration
    loss = comparison.loss
    return (
        f"mean confidence − accuracy {was} → {now} points, distance from 0 {100 * grown.difference:+z.1f} "
        f"({interval(grown, 100, 1)}); log loss {loss.difference:+z.4f} nats ({interval(loss, 1, 4)})."
    )


def _classes(comparison: Comparison) -> str:
    if comparison.same_recipe or comparison.same_model:
        return "the recipe is the same."
    changed = {name: change.difference for name, change in comparison.classes.items() if comparison.p[name] < LEVEL}
    fell = [str(escape(name)) for name, difference in changed.items() if difference < 0]
    rose = [str(escape(name)) for name, difference in changed.items() if difference > 0]
    texts = [f"recall {how} in {', '.join(names)}" for how, names in (("fell", fell), ("rose", rose)) if names]
    return f"{'; '.join(texts)}." if texts else "no recall changed beyond what seeds and the sample of images explain."


def _what_changed(before: Revision, after: Revision) -> Iterator[str]:
    keys = sorted(key for key in before.params | after.params if before.params.get(key) != after.params.get(key))
    was, now = before.code(), after.code()
    changed = sorted(name for name in was | now if was.get(name) != now.get(name))
    if keys:
        rows = [[code(key), *_values(before, after, key)] for key in keys]
        yield table(["param", "before", "after"], rows)
    if changed:
        yield f"Code behind the results: {', '.join(map(code, changed))}."
    if not keys and not changed:
        yield "Neither params nor code."


def _values(before: Revision, after: Revision, key: str) -> list[Markdown | None]:
    """The values of a param, or None; of two long ones, the parts from their first difference on."""
    values = [revision.params.get(key) for revision in (before, after)]
    same_text = str(values[0]) == str(values[1])  # as 1 and "1" have
    texts = [repr(value) if same_text else str(value) for value in values]
    differences = (place for place, (one, other) in enumerate(zip(*texts, strict=False)) if one != other)
    start = next(differences, 0) if min(map(len, texts)) > WIDEST else 0
    return [
        _shortened(text, start) if key in revision.params else None
        for revision, text in zip((before, after), texts, strict=True)
    ]


def _shortened(text: str, start: int) -> Markdown:
    end = start + WIDEST
    return code(f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}")


def _evidence(comparison: Comparison) -> Iterator[str]:
    yield "## Scores"
    yield _scores(comparison)
    yield (
        f"With {1 - LEVEL:.0%} intervals of the differences; ▲ better and ▽ worse stand where the interval excludes 0. "
        "Accuracies are means over the seeds, whose number is above. Log loss and calibration are those of the two "
        f"committed models. {comparison.newly_correct} test images are newly correct, {comparison.newly_wrong} newly "
        f"wrong in these two. The margin that matters is {100 * MARGIN:g} points (`MARGIN` in `project/verdict.py`), "
        f"the level {100 * LEVEL:g} %."
    )
    yield "## By class"
    yield _by_class(comparison)
    yield (
        f"The recall's {1 - LEVEL:.0%} intervals contain the seeds' share, and are those of single classes, not "
        f"simultaneous. p is corrected by Holm's method for {len(comparison.classes)} classes; below {LEVEL} in bold. "
        "The precision is that of the two committed models."
    )
    yield "## Largest changes in the confusion matrix"
    yield _moved_cells(comparison)


def _scores(comparison: Comparison) -> str:
    rows: list[list[object]] = []
    for name, change in (("validation accuracy", comparison.validation), ("test accuracy", comparison.accuracy)):
        if change:
            mark = _mark(comparison, change, 1)
            rows.append([name, percent(change.before), percent(change.after), points(change), mark])
    loss, off = comparison.loss, comparison.miscalibration
    rows.append(
        [
            "test log loss, nats", f"{loss.before:.4f}", f"{loss.after:.4f}",
            f"{loss.difference:+z.4f} ({interval(loss, 1, 4)})", _mark(comparison, loss, -1),
        ]
    )  # fmt: skip
    rows.append(
        [
            "distance of confidence from accuracy, points", f"{100 * off.before:.2f}", f"{100 * off.after:.2f}",
            points(off).replace(" points", ""), _mark(comparison, off, -1),
        ]
    )  # fmt: skip
    return table(["score", "before", "after", "difference", ""], rows)


def _mark(comparison: Comparison, change: Change, good: int) -> str:
    """Whether a change is for the better beyond chance; good: the sign of a change for the better."""
    low, high = change.interval()
    if not comparison.same_recipe and (low > 0 or high < 0):
        return "▲ better" if change.difference * good > 0 else "▽ worse"
    return ""


def _by_class(comparison: Comparison) -> str:
    rows = []
    for name, change in comparison.classes.items():
        p, (was, now) = comparison.p[name], comparison.precision[name]
        rows.append(
            [
                name,
                f"{change.before:.3f} → {change.after:.3f}",
                f"{100 * change.difference:+z.1f} ({interval(change, 100, 1)})",
                Markdown(f"**{p_value(p)}**") if p < LEVEL else p_value(p),
                f"{was:.3f} → {now:.3f}",
            ]
        )
    return table(["class", "recall", "difference in points", "p (Holm)", "precision"], rows)


def _moved_cells(comparison: Comparison) -> str:
    order = comparison.cells["change"].abs().sort_values(ascending=False, kind="stable").index
    moved = comparison.cells.loc[order].query("change != 0").head(MOVED_CELLS)
    if moved.empty:
        return "Nothing changed."
    rows = [[cell.actual, cell.predicted, cell.before, cell.after, f"{cell.change:+d}"] for cell in moved.itertuples()]
    return table(["true class", "predicted", "before", "after", "change"], rows)


def _pictures(
    before: Revision, after: Revision, comparison: Comparison | None
) -> Iterator[tuple[str, tuple[str, Figure]]]:
    """Each picture's name, title and figure."""
    histories = {revision.label: revision.history for revision in (before, after)}
    if comparison:
        yield "difference", ("", figures.difference(comparison, MARGIN, f"{before.label} → {after.label}"))
        title = f"Test set: changes in the confusion matrix from {before.label} to {after.label}"
        figure = figures.confusion_difference(comparison.cells, title)
        yield "confusion_difference", ("Changes in the confusion matrix", figure)
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


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "not known"
