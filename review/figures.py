"""The figures of a review."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from classifier import figures, scores
from classifier.figures import BLUE, ORANGE, WIDTH, legend_below
from project.significance import LEVEL
from review.comparison import Comparison

GALLERY = 10  # images in each gallery
FEWER_TO_MORE = LinearSegmentedColormap.from_list("fewer_to_more", [ORANGE, "white", BLUE])


def difference(comparison: Comparison, margin: float, title: str) -> Figure:
    """A forest plot: the change of the accuracy and of each recall with its interval, beside ± the margin.

    Filled marks are changes beyond chance: of the classes, by the p-values that are corrected for their number. Two
    results of one recipe have none.
    """
    rows = [("all classes", comparison.accuracy, comparison.accuracy.p)]
    rows += [(name, change, comparison.p[name]) for name, change in comparison.classes.items()]
    figure = Figure(figsize=(WIDTH, 0.28 * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-100 * margin, 100 * margin, color="0.9", zorder=0, label=f"±{100 * margin:g} points: does not matter")
    axes.axvline(0, color="0.4", linewidth=1, zorder=1)
    for place, (_, change, p) in enumerate(rows):
        found = p < LEVEL and not comparison.same_recipe
        colour = (BLUE if change.difference > 0 else ORANGE) if found else "0.35"
        low, high = (100 * end for end in change.interval())
        axes.plot([low, high], [place, place], color=colour, linewidth=2.5 if place == 0 else 1.3, zorder=2)
        axes.plot(
            100 * change.difference, place, "D" if place == 0 else "o", markersize=7 if place == 0 else 5,
            color=colour, markerfacecolor=colour if found else "white", zorder=3,
        )  # fmt: skip
    axes.axhline(0.5, color="0.8", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("difference in percentage points: accuracy of all images, recall of each class; 95 % intervals")
    axes.set_title(textwrap.fill(title, 80), loc="left")
    kinds = [("better, beyond chance", BLUE, BLUE), ("worse, beyond chance", ORANGE, ORANGE)]
    for label, edge, face in [*kinds, ("chance can explain it", "0.35", "white")]:
        axes.plot([], [], "o-", color=edge, markerfacecolor=face, label=label)
    legend_below(figure, columns=2)
    return figure


def confusion_difference(changes: pd.DataFrame, title: str) -> Figure:
    """A heat map of the changes in a confusion matrix (columns actual, predicted, change).

    Number and colour both show the signed change: blue for more images, orange for fewer, in every cell. Whether more
    is better depends on the place, so the diagonal, where it is better, has an outline, and a note says so. Colours
    follow the square root of the change, so that a change of a few images can be seen beside one of a hundred.
    """
    matrix = figures.pivot(changes, "change")
    limit = max(1, int(matrix.abs().to_numpy().max()))
    figure, axes = figures.matrix_axes(title, matrix.columns.tolist())
    root = (lambda change: np.sign(change) * np.sqrt(np.abs(change)), lambda root: np.sign(root) * np.square(root))
    norm = FuncNorm(root, -limit, limit)
    bar = figures.draw_cells(
        figure, matrix.where(matrix != 0), matrix.map("{:+,}".format), FEWER_TO_MORE, norm, bar=(0, 1)
    )
    bar.set_label("change in images: fewer (orange), more (blue)")
    steps = {round(limit * part) for part in (0.1, 0.4, 1)}
    ticks = sorted({0, *steps, *(-step for step in steps)})
    bar.set_ticks(ticks, labels=[f"{tick:+,}" if tick else "0" for tick in ticks])
    for place in range(len(matrix)):
        axes.add_patch(
            Rectangle((place, place), 1, 1, fill=False, edgecolor="black", linewidth=1.5, zorder=3, clip_on=False)
        )
    note = "Diagonal, outlined: correct predictions, more is better.\nElsewhere: errors, fewer is better."
    axes.set_xlabel(f"{axes.get_xlabel()}\n\n{note}")
    return figure


def compared_curves(histories: dict[str, pd.DataFrame], title: str) -> Figure:
    """Validation loss and accuracy by epoch of two runs, by their names. histories: the columns of tables.HISTORY.

    The training's own curves are left out: they are measured with each run's dropout, augmentation and smoothed labels,
    so they can be compared neither with the validation's nor with those of a run of other params.
    """
    figure, panels = figures.curve_axes(title)
    for score, axes in panels.items():
        for (name, history), colour, line in zip(histories.items(), (BLUE, ORANGE), ("-o", "--s"), strict=False):
            label = f" {name}" if name.startswith("_") else name  # Matplotlib leaves out labels that begin with _
            axes.plot(history["epoch"], history[f"val_{score}"], line, markersize=3, color=colour, label=label)
        for history in histories.values():
            figures.mark_saved(axes, history, score, "model saved: last epoch")
        axes.set_ylabel(f"validation {axes.get_ylabel()}")
    legend_below(figure, columns=1)
    return figure


def changed_mistakes(
    wrong: pd.DataFrame, images: NDArray[np.uint8], other: pd.DataFrame, class_names: list[str], title: str, word: str
) -> Figure:
    """A gallery of the mistakes of one run that another run does not make, the most confident first.

    wrong, other: predictions of the two runs on the same images. images: those of all mistakes in `wrong`, uint8 of
    shape (n, height, width). word: says in the captions when the predicted class was or is predicted.
    """
    only_here = _is_correct(other)[~_is_correct(wrong)]
    mistakes = scores.mistakes(wrong, class_names)
    mistakes = mistakes[only_here[mistakes.index]]
    worst = mistakes.head(GALLERY)
    captions = figures.captions(worst, f"{word} predicted")
    return figures.gallery(images[worst.index], captions, f"{title}: {len(worst)} of {len(mistakes)} images")


def _is_correct(predictions: pd.DataFrame) -> NDArray[np.bool_]:
    return (predictions["predicted"] == predictions["actual"]).to_numpy()
