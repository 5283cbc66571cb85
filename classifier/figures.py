"""The figures of stage plot, and the parts of them that reviews share.

Blue and orange can be told apart by colour-blind readers. The style starts from Matplotlib's defaults instead of the
user's matplotlibrc, so that the same data make the same file on every machine.
"""

import textwrap
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray
from seaborn.utils import relative_luminance

from classifier import artifacts
from classifier.notation import percent

matplotlib.rcdefaults()
sns.set_theme(
    style="whitegrid",
    palette="colorblind",
    rc={
        "figure.dpi": 150,
        "font.family": "DejaVu Sans",  # comes with Matplotlib
        "grid.color": "0.9",
        "text.parse_math": False,  # a class may be called $x_$
    },
)

WIDTH = 8.8  # inches; a README shows a picture about 880 pixels wide
BLUE, ORANGE, *_ = sns.color_palette("colorblind")
CORRECT = matplotlib.colormaps["Blues"]
ERRORS = ListedColormap(matplotlib.colormaps["Oranges"](np.linspace(0.15, 1, 256)))  # without the near-whites


def confusion_matrix(counts: pd.DataFrame, title: str) -> Figure:
    """A heat map of a confusion matrix (columns actual, predicted, count), with the accuracy in the title.

    Cells show counts. Their colour is the share of the true class: blue and linear on the diagonal, orange and
    logarithmic elsewhere, so that errors of 1 % and of 20 % differ as clearly as 70 % and 99 % correct. Cells without
    an error are empty.
    """
    matrix = pivot(counts, "count")
    share = matrix.div(matrix.sum(axis=1).clip(lower=1), axis=0)
    text = matrix.map("{:,}".format)
    correct = np.eye(len(matrix), dtype=bool)
    accuracy = np.trace(matrix) / max(1, matrix.to_numpy().sum())
    figure, _ = matrix_axes(f"{title}, accuracy {percent(accuracy)}", matrix.columns.tolist())
    bar = draw_cells(figure, share.where(correct), text, CORRECT, Normalize(0, 1), bar=(0.54, 0.46))
    bar.set_label("correct,\nshare of the true class", fontsize=10)
    bar.set_ticks([0, 0.2, 0.4, 0.6, 0.8, 1], labels=["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"])
    errors = share.where(~correct & (matrix > 0))
    bar = draw_cells(figure, errors, text, ERRORS, LogNorm(0.001, 1, clip=True), bar=(0, 0.46))
    bar.set_label("errors,\nshare of the true class", fontsize=10)
    bar.set_ticks([0.001, 0.01, 0.1, 1], labels=["≤ 0.1 %", "1 %", "10 %", "100 %"])
    bar.minorticks_off()
    return figure


def learning_curves(history: pd.DataFrame, title: str) -> Figure:
    """Loss and accuracy by epoch of a training. history: the columns of tables.HISTORY.

    The training's values are averages over the batches of an epoch, while the model changes, with dropout,
    augmentation and smoothed labels as the params say. The validation's are those of the model after the epoch. The
    model that is saved is that of the last epoch, wherever the validation loss is lowest.
    """
    figure, panels = curve_axes(title)
    epoch = history["epoch"]
    best, last = epoch.iloc[history["val_loss"].argmin()], epoch.iloc[-1]
    for score, axes in panels.items():
        axes.plot(epoch, history[score], "-o", markersize=3, color=BLUE, label="training (average during the epoch)")
        axes.plot(epoch, history[f"val_{score}"], "--s", markersize=3, color=ORANGE, label="validation")
        axes.axvline(best, color="0.5", linestyle=":", zorder=1, label=f"lowest validation loss: epoch {best}")
        mark_saved(axes, history, score, f"model saved: epoch {last}")
        value = history[f"val_{score}"].iloc[-1]
        text = percent(value) if score == "accuracy" else f"{value:.4f}"
        axes.set_title(f"validation {score} of the saved model: {text}", fontsize=10)
    legend_below(figure)
    return figure


def per_class_scores(scores: pd.DataFrame, title: str) -> Figure:
    """Precision and recall of every class side by side, with their values. scores: columns class, precision, recall."""
    tidy = scores.melt("class", ["precision", "recall"], "score", "value")
    figure = Figure(figsize=(max(WIDTH, 0.8 * len(scores)), 4.2), layout="constrained")
    axes = figure.subplots()
    sns.barplot(tidy, x="class", y="value", hue="score", palette=[BLUE, ORANGE], ax=axes)
    for bars in axes.containers:
        axes.bar_label(bars, fmt="%.2f", fontsize=8, padding=2)  # type: ignore[arg-type]  # they are all bars
    axes.set(xlabel="", ylabel="", ylim=(0, 1.12), yticks=np.linspace(0, 1, 6))
    axes.set_title(title, loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    tilt_labels(axes, 25)
    return figure


def captions(mistakes: pd.DataFrame, word: str = "predicted") -> list[str]:
    """Captions of misclassified images: true class, predicted class, and the probability of the predicted class.

    mistakes: the columns actual, predicted and confidence. word: stands before the predicted class. Lines that are
    longer than a column of a gallery are wrapped.
    """
    rows = zip(mistakes["actual"], mistakes["predicted"], mistakes["confidence"], strict=True)
    return [
        "\n".join(
            textwrap.fill(line, 27)
            for line in (f"true: {actual}", f"{word}: {predicted}", f"probability {percent(confidence, 1)}")
        )
        for actual, predicted, confidence in rows
    ]


def gallery(images: NDArray[np.uint8], captions: list[str], title: str) -> Figure:
    """Images, uint8 of shape (n, height, width), in rows of five under their captions."""
    columns = 5
    rows = max(1, -(-len(images) // columns))
    figure = Figure(figsize=(WIDTH, 2.25 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.axis("off")
    for axes, image, text in zip(panels.flat, images, captions, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(text, fontsize=8.5)
    figure.suptitle(title)
    return figure


def write(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, cut or widened to what is drawn, without Matplotlib's version in it.

    Raises:
        UserError: the file cannot be written.
    """
    with artifacts.replacing(path) as temporary:
        figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})


def pivot(cells: pd.DataFrame, values: str) -> pd.DataFrame:
    """A matrix with true classes as rows and predicted classes as columns, in the order of the cells.

    cells: one row per cell, with the columns actual, predicted, and the one that `values` names.
    """
    names = cells["actual"].drop_duplicates()
    return cells.pivot(index="actual", columns="predicted", values=values).loc[names, names]


def matrix_axes(title: str, class_names: list[str]) -> tuple[Figure, Axes]:
    """Empty axes for a confusion matrix. They fill the figure; `write` adds the space for the labels around them."""
    classes = len(class_names)
    side = max(4.2, 0.35 * classes + 2.5)  # inches
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, classes), ylim=(classes, 0), xlabel="predicted class", ylabel="true class")
    axes.set_xticks(np.arange(classes) + 0.5, class_names)
    axes.set_yticks(np.arange(classes) + 0.5, class_names)
    axes.set_title(textwrap.fill(title, round(10 * side + 15)), pad=10)
    axes.grid(False)
    tilt_labels(axes, 45)
    return figure, axes


def draw_cells(
    figure: Figure,
    values: pd.DataFrame,
    text: pd.DataFrame,
    colours: Colormap,
    norm: Normalize,
    bar: tuple[float, float],
) -> Colorbar:
    """Draw cells of a confusion matrix, coloured by their values, with their text and a colour bar beside them.

    figure: as matrix_axes makes it. values, text: one row per true class and one column per predicted class; values
    are NaN where no cell is drawn. bar: lower end and height of the colour bar, as shares of the matrix.
    """
    axes = figure.axes[0]
    cells = np.ma.masked_invalid(values.to_numpy(float))
    mesh = axes.pcolormesh(cells, cmap=colours, norm=norm, edgecolor="0.9", linewidth=0.5)
    texts = text.to_numpy(str)
    cell = 72 * figure.get_figwidth() / len(texts)  # points
    size = min(10, 1.5 * cell / max(map(len, texts.flat)))
    for row, column in np.argwhere(~cells.mask):
        colour = "black" if relative_luminance(colours(norm(cells[row, column]))) > 0.22 else "white"
        axes.text(column + 0.5, row + 0.5, texts[row, column], ha="center", va="center", color=colour, fontsize=size)
    bottom, height = bar
    return figure.colorbar(mesh, cax=axes.inset_axes((1.03, bottom, 0.03, height)))


def curve_axes(title: str) -> tuple[Figure, dict[str, Axes]]:
    """Axes for curves by epoch, by score: loss and accuracy."""
    figure = Figure(figsize=(WIDTH, 4), layout="constrained")
    figure.suptitle(title)
    loss, accuracy = figure.subplots(1, 2)
    for axes, label in ((loss, "loss, nats"), (accuracy, "accuracy")):
        axes.set(xlabel="epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    accuracy.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    return figure, {"loss": loss, "accuracy": accuracy}


def mark_saved(axes: Axes, history: pd.DataFrame, score: str, label: str) -> None:
    """Mark the validation score of the saved model, which is that of the last epoch."""
    last = history.iloc[-1]
    axes.plot(last["epoch"], last[f"val_{score}"], "D", color="white", markeredgecolor="black", label=label)


def legend_below(figure: Figure, columns: int = 2) -> None:
    """A legend under the panels of a figure, for each label once."""
    once: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            once.setdefault(label, handle)
    figure.legend(list(once.values()), list(once), loc="outside lower center", ncols=columns, frameon=False)


def tilt_labels(axes: Axes, degrees: float) -> None:
    """Tilt the labels of the x axis so that their ends stand below their ticks."""
    for label in axes.get_xticklabels():
        label.set(rotation=degrees, ha="right", rotation_mode="anchor")
