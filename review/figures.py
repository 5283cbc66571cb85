"""The figures of a review."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier import figures, scores
from classifier.figures import BLUE, ORANGE, label_axes
from review.significance import is_correct

GALLERY = 10  # images in each gallery


def confusion_difference(changes: pd.DataFrame, title: str) -> Figure:
    """A heat map of the changes in a confusion matrix (actual, predicted, change), coloured by their sign."""
    names = changes["actual"].drop_duplicates()
    matrix = changes.pivot(index="actual", columns="predicted", values="change").loc[names, names]
    good = matrix * np.where(np.eye(len(names)), 1, -1)
    limit = max(1, np.abs(good.to_numpy()).max())
    figure, axes = plt.subplots(figsize=(8.4, 7.4), layout="constrained")
    signed = matrix.map(lambda change: f"{change:+d}" if change else "·")
    sns.heatmap(
        good, annot=signed, fmt="", cmap="PuOr", vmin=-limit, vmax=limit, square=True, linewidths=0.5, ax=axes,
        cbar_kws={"label": "images: worse  ←  → better", "shrink": 0.8}, annot_kws={"fontsize": 9},
    )  # fmt: skip
    label_axes(axes, title)
    return figure


def compared_curves(histories: dict[str, pd.DataFrame], title: str) -> Figure:
    """Loss and accuracy by epoch of two runs, by their names."""
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, score in zip(panels, ("loss", "accuracy"), strict=True):
        for (name, history), colour, marker in zip(histories.items(), (BLUE, ORANGE), "os", strict=False):
            axes.plot(history["epoch"], history[score], ":", color=colour, label=f"{name}, training")
            axes.plot(
                history["epoch"], history[f"val_{score}"], marker=marker, markersize=4, color=colour,
                label=f"{name}, validation",
            )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=score)
        axes.xaxis.get_major_locator().set_params(integer=True)
    panels[0].legend()
    figure.suptitle(title)
    return figure


def changed_mistakes(
    wrong: pd.DataFrame, images: NDArray[np.uint8], other: pd.DataFrame, class_names: list[str], title: str, word: str
) -> Figure:
    """A gallery of the mistakes of one run that another run does not make, the most confident first.

    wrong, other: predictions of the two runs on the same images. images: those of all mistakes in `wrong`. word: says
    in the captions when the predicted class was or is predicted.
    """
    only_here = is_correct(other)[~is_correct(wrong)]
    mistakes = scores.mistakes(wrong, class_names)
    mistakes = mistakes[only_here[mistakes.index]]
    worst = mistakes.head(GALLERY)
    captions = [f"{row.actual}\n{word} {row.predicted}, {row.confidence:.0%}" for row in worst.itertuples()]
    return figures.gallery(images[worst.index], captions, f"{title}: {len(worst)} of {len(mistakes)} images")
