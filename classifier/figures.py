"""The pictures, from data frames and arrays; sizes and colours are decided here and nowhere else.

The palettes can be told apart by colour-blind readers: one hue from light to dark for shares, purple against orange
for better and worse, seaborn's "colorblind" for lines and bars.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

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
    _name_classes(axes, title)
    return figure


def confusion_difference(changes: pd.DataFrame, title: str) -> Figure:
    """A heat map of what moved in a confusion matrix (actual, predicted, change), coloured by whether that is good.

    More images on the diagonal are good, more beside it are bad.
    """
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
    _name_classes(axes, title)
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


def accuracy_by_compute(table: pd.DataFrame, references: dict[str, float], title: str) -> Figure:
    """Mean test accuracy with its standard deviation against training compute, and lines for published accuracies.

    table: name, accuracy, accuracy_sd, multiply_adds (of one image), images_seen. Compute counts two floating-point
    operations for each multiplication, and twice the forward pass for the backward one.
    """
    figure, axes = plt.subplots(figsize=(11, 5.5), layout="constrained")
    compute = 6 * table["multiply_adds"] * table["images_seen"] / 1e12
    means, spreads = 100 * table["accuracy"], 100 * table["accuracy_sd"]
    axes.errorbar(compute, means, spreads, fmt="o", color=BLUE, capsize=4, zorder=4)
    for name, x, y in zip(table["name"], compute, means, strict=True):
        # the name stands above the line of its point, or below it where a slightly better one is near
        crowded = ((compute / x).between(0.5, 2) & (means - y).between(0, 0.5, inclusive="neither")).any()
        axes.annotate(
            name, (x, y), xytext=(9, -7 if crowded else 4), textcoords="offset points", va="center", fontsize=9,
            zorder=3, bbox={"boxstyle": "round,pad=0.1", "color": "white"},
        )  # fmt: skip
    for name, accuracy in references.items():
        axes.axhline(100 * accuracy, color="0.5", linestyle="--", linewidth=1, zorder=0)
        axes.annotate(
            f"{name}, {100 * accuracy:.1f} %", (1.01, 100 * accuracy), xycoords=("axes fraction", "data"), va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set(
        title=title, xscale="log", xlabel="training compute, 10¹² floating-point operations", ylabel="test accuracy, %"
    )
    axes.margins(x=0.25)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
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


def _name_classes(axes: Axes, title: str) -> None:
    """Label the axes of a confusion matrix."""
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    axes.tick_params("x", rotation=45)
    plt.setp(axes.get_xticklabels(), ha="right", rotation_mode="anchor")
