"""The figures of stage plot, from data frames and arrays.

The palettes can be told apart by colour-blind readers: one hue from light to dark for shares, seaborn's "colorblind"
for lines and bars.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from classifier import artifacts

plt.switch_backend("Agg")  # files only, no window, on every machine
sns.set_theme(style="whitegrid", palette="colorblind", rc={"figure.dpi": 110, "font.family": "DejaVu Sans"})

BLUE, ORANGE, *_ = sns.color_palette("colorblind")


def confusion_matrix(counts: pd.DataFrame, title: str) -> Figure:
    """A heat map of confusion counts (actual, predicted, count): counts in the cells, colour by share of the row."""
    names = counts["actual"].drop_duplicates()
    matrix = counts.pivot(index="actual", columns="predicted", values="count").loc[names, names]
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    figure, axes = plt.subplots(figsize=(8.4, 7.4), layout="constrained")
    sns.heatmap(
        share, annot=matrix, fmt=",d", cmap="Blues", vmin=0, vmax=1, square=True, linewidths=0.5, ax=axes,
        cbar_kws={"label": "share of the true class", "shrink": 0.8}, annot_kws={"fontsize": 9},
    )  # fmt: skip
    label_axes(axes, title)
    return figure


def learning_curves(history: pd.DataFrame, title: str) -> Figure:
    """Loss and accuracy by epoch, training and validation, with the epoch of the lowest validation loss marked."""
    best = history.sort_values("val_loss", kind="stable").iloc[0]
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, score, corner in zip(panels, ("loss", "accuracy"), ("upper right", "lower right"), strict=True):
        axes.plot(
            history["epoch"], history[score], marker="o", markersize=3, color=BLUE, label="training, with dropout"
        )
        axes.plot(history["epoch"], history[f"val_{score}"], "--s", markersize=3, color=ORANGE, label="validation")
        axes.axvline(best["epoch"], color="0.6", linewidth=1, zorder=0)
        axes.plot(
            best["epoch"], best[f"val_{score}"], "*", markersize=14, color=ORANGE, markeredgecolor="black",
            label=f"best epoch {best['epoch']:.0f}: {best[f'val_{score}']:.3f}",
        )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=score)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc=corner)  # where such curves leave room
    figure.suptitle(title)
    return figure


def per_class_scores(scores: pd.DataFrame, title: str) -> Figure:
    """Precision and recall of every class side by side, with their values."""
    tidy = scores.melt("class", ["precision", "recall"], "score", "value")
    figure, axes = plt.subplots(figsize=(10, 4.2), layout="constrained")
    sns.barplot(tidy, x="class", y="value", hue="score", palette=[BLUE, ORANGE], ax=axes)
    for bars in axes.containers:
        axes.bar_label(bars, fmt="%.2f", fontsize=7.5, padding=2)  # type: ignore[arg-type]  # they are all bars
    axes.set(xlabel="", ylabel="", ylim=(0, 1.12), yticks=np.linspace(0, 1, 6))
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    axes.tick_params("x", rotation=20)
    return figure


def gallery(images: NDArray[np.uint8], captions: list[str], title: str) -> Figure:
    """Images, uint8 of shape (n, height, width), under their captions of one or two lines."""
    columns = 5
    rows = max(1, -(-len(images) // columns))
    figure, panels = plt.subplots(rows, columns, figsize=(9, 2.05 * rows + 0.5), layout="constrained", squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, image, caption in zip(panels.flat, images, captions, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(caption, fontsize=8.5)
    figure.suptitle(title)
    return figure


def write(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, without Matplotlib's version in it.

    Raises:
        UserError: the file cannot be written.
    """
    with artifacts.replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def label_axes(axes: Axes, title: str) -> None:
    """Title a confusion matrix and label its axes."""
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    axes.tick_params("x", rotation=45)
    plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
