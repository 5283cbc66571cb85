"""The figure of the experiments."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import EngFormatter, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from classifier.figures import BLUE, WIDTH, legend_below

GREY = "0.6"
NO_MARKS: NDArray[np.floating] = np.empty((0, 3))
NAME_PLACES = [(side * 8, height) for height in (0, 7, -7, 13, -13, 19, -19) for side in (1, -1)]  # points


def accuracy_by_cost(experiments: pd.DataFrame, published: pd.DataFrame, title: str) -> Figure:
    """Mean test accuracy with its standard deviation against training compute, and against the number of parameters.

    experiments: one row each, with the columns name, compute (10¹² floating-point operations), parameters, accuracy and
    accuracy_sd (shares), seeds, differs (bool: better or worse than the baseline beyond chance) and earlier (bool: an
    earlier result). published: what others report, with the columns name, compute (NaN if it is not known), parameters
    and accuracy.
    """
    figure = Figure(figsize=(WIDTH, 5), layout="constrained")
    by_compute, by_parameters = figure.subplots(1, 2, sharey=True)
    figure.suptitle(title)
    for axes, column in ((by_compute, "compute"), (by_parameters, "parameters")):
        _draw_experiments(axes, experiments, column)
        _draw_published(axes, published.dropna(subset=column), column)
        axes.set(xscale="log")
        axes.margins(x=0.35, y=0.1)
        axes.xaxis.set_minor_formatter(NullFormatter())
    by_compute.xaxis.set_major_formatter("{x:,g}")
    by_compute.set(
        xlabel="training compute, 10¹² operations (TFLOP)",
        ylabel="test accuracy, %" + ("" if experiments.empty else f", mean ± 1 sd, {_seeds(experiments['seeds'])}"),
    )
    by_parameters.set(xlabel="parameters")
    by_parameters.xaxis.set_major_formatter(EngFormatter())
    legend_below(figure)
    figure.draw_without_rendering()
    others = published.assign(accuracy_sd=0.0)
    everything = pd.concat([experiments, others]).dropna(subset="compute")
    _place_names(by_compute, everything["name"], _marks(everything, "compute"))
    _place_names(by_parameters, others["name"], _marks(others, "parameters"), _marks(experiments, "parameters"))
    return figure


def _draw_experiments(axes: Axes, experiments: pd.DataFrame, column: str) -> None:
    current = ~experiments["earlier"].astype(bool)
    differs = experiments["differs"].astype(bool)
    means, spreads = 100 * experiments["accuracy"], 100 * experiments["accuracy_sd"]
    for group, marker, colour, fill, label in (
        (current & differs, "o", BLUE, BLUE, "better or worse than the baseline"),
        (current & ~differs, "o", BLUE, "white", "baseline, or no difference shown"),
        (~current, "D", GREY, GREY, "earlier result, not compared"),
    ):
        if group.any():
            axes.errorbar(
                experiments[column][group], means[group], spreads[group], fmt=marker, markersize=5, color=colour,
                markerfacecolor=fill, capsize=3, zorder=4, label=label,
            )  # fmt: skip


def _draw_published(axes: Axes, published: pd.DataFrame, column: str) -> None:
    if not published.empty:
        axes.errorbar(  # without bars: for its place in the legend, in which lines come first
            published[column], 100 * published["accuracy"], fmt="s", markersize=5, color=GREY,
            zorder=5,  # above ours, which have error bars
            label="reported by others",
        )  # fmt: skip


def _marks(points: pd.DataFrame, column: str) -> NDArray[np.floating]:
    """Rows of x, y and the length of the error bar."""
    return np.column_stack([points[column], 100 * points["accuracy"], 100 * points["accuracy_sd"]])


def _seeds(seeds: "pd.Series[int]") -> str:
    low, high = seeds.min(), seeds.max()
    return f"{low} seeds" if low == high else f"{low} to {high} seeds"


def _place_names(
    axes: Axes, names: Iterable[str], marks: NDArray[np.floating], obstacles: NDArray[np.floating] = NO_MARKS
) -> None:
    """Write names beside their marks, where they cover no mark, name or obstacle, and no grid line if possible.

    marks, obstacles: rows of x, y and the length of the error bar.
    """
    taken = [_mark(axes, *mark) for mark in [*marks, *obstacles]]
    for name, (x, y, _) in zip(names, marks, strict=True):
        label = axes.annotate(name, (x, y), textcoords="offset points", xytext=(0, 0), va="center", fontsize=9)
        label.set_in_layout(False)

        def cost(place: tuple[int, int], label: Annotation = label) -> int:
            box = _move(label, place)
            outside = box.x0 < axes.bbox.x0 + 5 or box.x1 > axes.bbox.x1 - 5
            covered = sum(box.overlaps(other) for other in taken)
            return int(100 * (outside + covered) + _crossings(axes, box, axes.get_yticks()))

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
