"""The figure of the experiments."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from classifier.figures import BLUE, WIDTH, legend_below

GREY = "0.6"
NAME_PLACES = [(side * 8, height) for height in (0, 7, -7, 13, -13, 19, -19) for side in (1, -1)]  # points
LINE_GAP = 0.045  # between the names of published results, as a share of the axis


def accuracy_by_compute(table: pd.DataFrame, references: dict[str, float], title: str) -> Figure:
    """Mean test accuracy with its standard deviation against training compute, and lines for published accuracies.

    table: one row per experiment, with the columns name, compute (10¹² floating-point operations), accuracy and
    accuracy_sd (shares), seeds, differs (bool: better or worse than the baseline beyond chance) and earlier (bool: an
    earlier result). references: published test accuracies, as shares, by name.
    """
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    axes = figure.subplots()
    compute, means, spreads = table["compute"], 100 * table["accuracy"], 100 * table["accuracy_sd"]
    current = ~table["earlier"].astype(bool)
    differs = table["differs"].astype(bool)
    for group, marker, colour, fill, label in (
        (current & differs, "o", BLUE, BLUE, "better or worse than the baseline"),
        (current & ~differs, "o", BLUE, "white", "baseline, or no difference shown"),
        (~current, "D", GREY, GREY, "earlier result, not compared"),
    ):
        if group.any():
            axes.errorbar(
                compute[group], means[group], spreads[group], fmt=marker, markersize=5, color=colour,
                markerfacecolor=fill, capsize=3, zorder=4, label=label,
            )  # fmt: skip
    axes.set(
        title=title, xscale="log", xlabel="training compute, 10¹² floating-point operations (TFLOP)",
        ylabel="test accuracy, %" + ("" if table.empty else f", mean ± 1 sd, {_seeds(table['seeds'])}"),
    )  # fmt: skip
    axes.margins(x=0.35)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    _draw_references(axes, {name: 100 * accuracy for name, accuracy in references.items()})
    legend_below(figure)
    figure.draw_without_rendering()
    marks = np.column_stack([compute, means, spreads])
    _place_names(axes, table["name"], marks, [100 * accuracy for accuracy in references.values()])
    return figure


def _seeds(seeds: "pd.Series[int]") -> str:
    low, high = seeds.min(), seeds.max()
    return f"{low} seeds" if low == high else f"{low} to {high} seeds"


def _draw_references(axes: Axes, references: dict[str, float]) -> None:
    """Lines for published results, with their names in the right margin, moved apart where they are close."""
    for percent in references.values():
        axes.axhline(
            percent, color="0.55", linestyle="--", linewidth=1, zorder=1, label="reported by others, compute not known"
        )
    low, high = axes.get_ylim()
    lowest = low
    for name, percent in sorted(references.items(), key=lambda item: item[1]):
        height = max(percent, lowest)
        lowest = height + LINE_GAP * (high - low)
        axes.annotate(
            f"{percent:.4g} %  {name}", (1.015, height), xycoords=("axes fraction", "data"), va="center", fontsize=9
        )


def _place_names(axes: Axes, names: Iterable[str], marks: NDArray[np.floating], lines: list[float]) -> None:
    """Write names beside their marks, where they cover no mark, name or line, and no grid line if possible.

    marks: rows of x, y and the length of the error bar. lines: the heights of the lines of published results.
    """
    taken = [_mark(axes, *mark) for mark in marks]
    for name, (x, y, _) in zip(names, marks, strict=True):
        label = axes.annotate(name, (x, y), textcoords="offset points", xytext=(0, 0), va="center", fontsize=9)
        label.set_in_layout(False)

        def cost(place: tuple[int, int], label: Annotation = label) -> int:
            box = _move(label, place)
            outside = box.x0 < axes.bbox.x0 + 5 or box.x1 > axes.bbox.x1 - 5
            covered = sum(box.overlaps(other) for other in taken)
            crossed = 10 * _crossings(axes, box, lines) + _crossings(axes, box, axes.get_yticks())
            return int(100 * (outside + covered) + crossed)

        taken.append(_move(label, min(NAME_PLACES, key=cost)))


def _mark(axes: Axes, x: float, y: float, spread: float) -> Bbox:
    """The box of a point with its error bar, in pixels."""
    bar = axes.transData.transform([(x, y - spread), (x, y + spread)])
    return Bbox(bar).padded(8)


def _move(label: Annotation, place: tuple[int, int]) -> Bbox:
    """Move a label so far from its point, in points; returns its box in pixels."""
    label.set(position=place, ha="left" if place[0] > 0 else "right")
    return label.get_window_extent()


def _crossings(axes: Axes, box: Bbox, heights: Iterable[float]) -> int:
    """How many horizontal lines cross a box."""
    pixels = (axes.transData.transform((1, height))[1] for height in heights)
    return len([pixel for pixel in pixels if box.y0 - 2 < pixel < box.y1 + 2])
