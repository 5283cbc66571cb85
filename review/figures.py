"""The figures of a review."""

import numpy as np
import pandas as pd
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from classifier import figures, scores
from classifier.figures import BLUE, ORANGE
from review.significance import is_correct

GALLERY = 10  # images in each gallery
FEWER_TO_MORE = LinearSegmentedColormap.from_list("fewer_to_more", [ORANGE, "white", BLUE])


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
            axes.plot(history["epoch"], history[f"val_{score}"], line, markersize=3, color=colour, label=name)
        for history in histories.values():
            figures.mark_saved(axes, history, score, "model saved: last epoch")
        axes.set_ylabel(f"validation {axes.get_ylabel()}")
    figures.legend_below(figure, columns=1)
    return figure


def changed_mistakes(
    wrong: pd.DataFrame, images: NDArray[np.uint8], other: pd.DataFrame, class_names: list[str], title: str, word: str
) -> Figure:
    """A gallery of the mistakes of one run that another run does not make, the most confident first.

    wrong, other: predictions of the two runs on the same images. images: those of all mistakes in `wrong`, uint8 of
    shape (n, height, width). word: says in the captions when the predicted class was or is predicted.
    """
    only_here = is_correct(other)[~is_correct(wrong)]
    mistakes = scores.mistakes(wrong, class_names)
    mistakes = mistakes[only_here[mistakes.index]]
    worst = mistakes.head(GALLERY)
    captions = figures.captions(worst, f"{word} predicted")
    return figures.gallery(images[worst.index], captions, f"{title}: {len(worst)} of {len(mistakes)} images")
