"""The figure of a prediction: each picture beside the image that the network sees and the probabilities."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from classifier.figures import BLUE, WIDTH
from classifier.notation import percent

CLASSES = 16  # at most so many are drawn for a picture: the most probable ones
NAME = 30  # characters of a name
ROW = 2.6  # inches


class Row(NamedTuple):
    """A picture with its prediction.

    picture: as it was read. image: uint8 of shape (height, width), as the network sees it.
    probabilities: of every class, in the order of the classes. note: what is unusual about it, or an empty text.
    """

    name: str
    picture: Image.Image
    image: NDArray[np.uint8]
    probabilities: NDArray[np.floating]
    note: str


def predictions(rows: Sequence[Row], class_names: list[str], title: str) -> Figure:
    """A row for each picture: the picture, the image that the network sees, and the probability of each class."""
    figure = Figure(figsize=(WIDTH, ROW * len(rows) + 0.5), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(len(rows), 3, squeeze=False, width_ratios=(1, 1, 1.5))
    for row, (original, seen, bars) in zip(rows, panels, strict=True):
        original.imshow(row.picture)
        original.set_title(_shorten(row.name), fontsize=9)
        seen.imshow(row.image, cmap="gray", vmin=0, vmax=255)
        seen.set_title("as the network sees it, {}×{}".format(*row.image.shape), fontsize=9)
        for axes in (original, seen):
            axes.set(xticks=[], yticks=[])
        _draw_probabilities(bars, row, class_names)
    return figure


def _draw_probabilities(axes: Axes, row: Row, class_names: list[str]) -> None:
    """Bars in the order of the classes, the first on top; that of the most probable class is blue."""
    drawn = np.sort(np.argsort(-row.probabilities, kind="stable")[:CLASSES])
    best = row.probabilities.argmax()
    places = np.arange(len(drawn))
    bars = axes.barh(places, row.probabilities[drawn], color=[BLUE if label == best else "0.6" for label in drawn])
    axes.bar_label(bars, [percent(share, 1) for share in row.probabilities[drawn]], fontsize=7, padding=2)
    axes.set_yticks(places, [_shorten(class_names[label]) for label in drawn], fontsize=8)
    axes.set(xlim=(0, 1.18), xticks=[], ylim=(len(drawn) - 0.5, -0.5))
    axes.grid(visible=False)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_title(f"{_shorten(class_names[best])}: {percent(row.probabilities[best], 1)}", fontsize=9, loc="left")
    axes.set_xlabel(textwrap.fill(row.note, 56), fontsize=8, loc="left")


def _shorten(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
