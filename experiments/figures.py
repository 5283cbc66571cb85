"""The figure of the experiments."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from classifier.figures import BLUE


def accuracy_by_compute(table: pd.DataFrame, references: dict[str, float], title: str) -> Figure:
    """Mean test accuracy with its standard deviation against training compute, and lines for published accuracies.

    table: name, compute (10¹² floating-point operations), accuracy and accuracy_sd (shares). references: shares, by
    name.
    """
    figure, axes = plt.subplots(figsize=(11, 5.5), layout="constrained")
    compute, means, spreads = table["compute"], 100 * table["accuracy"], 100 * table["accuracy_sd"]
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
