"""Figures show the given data in the dataset's order, are readable, and are the same on every machine."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from seaborn.utils import relative_luminance

from classifier import figures, scores, tables
from experiments.figures import GREY, accuracy_by_cost
from review.figures import changed_mistakes, compared_curves, confusion_difference
from tests.conftest import ROOT

NAMES = ["cat", "ant", "bee"]
LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.eye(3)[[0, 1, 1, 2]]
MATRIX = [[12_000, 0, 120], [2400, 7000, 600], [0, 1, 0]]
DRAW = """
import sys
from pathlib import Path
import pandas as pd
from classifier import figures, tables
counts = pd.DataFrame({"actual": list("aabb"), "predicted": list("abab"), "count": [3, 1, 0, 4]})
history = pd.DataFrame([(1, 2, 0.1, 2, 0.1), (2, 1, 0.2, 1, 0.2)], columns=list(tables.HISTORY))
for drawn in (figures.confusion_matrix(counts, "t"), figures.learning_curves(history, "t")):
    figures.write(Path(sys.argv[1]), drawn)
    sys.stdout.write(Path(sys.argv[1]).read_bytes().hex() + "\\n")
"""


def cells(values: list[list[int]], names: list[str], column: str) -> pd.DataFrame:
    """A table with the values of a square matrix, one row per cell."""
    pairs = pd.MultiIndex.from_product([names, names], names=["actual", "predicted"])
    return pd.Series(np.ravel(values), pairs, name=column).reset_index()


def history(*val_losses: float) -> pd.DataFrame:
    """A training's history with the given validation losses, one per epoch."""
    epochs = np.arange(1, len(val_losses) + 1)
    shares = epochs / (len(epochs) + 1)
    values = (epochs, 7.0 / epochs, shares, val_losses, shares / 2)
    return pd.DataFrame(dict(zip(tables.HISTORY, values, strict=True)))


def tick_labels(axes: Axes) -> tuple[list[str], list[str]]:
    """The tick labels of the x axis and of the y axis."""
    return [each.get_text() for each in axes.get_xticklabels()], [each.get_text() for each in axes.get_yticklabels()]


def cell_texts(axes: Axes) -> dict[tuple[int, int], Text]:
    """The texts of a confusion matrix, by row and column."""
    return {(int(text.get_position()[1]), int(text.get_position()[0])): text for text in axes.texts}


def cell_colours(axes: Axes) -> dict[tuple[int, int], tuple[float, float, float]]:
    """The colours of the drawn cells, by row and column."""
    drawn = {}
    for mesh in axes.collections:
        values: Any = mesh.get_array()
        for place in np.argwhere(~np.ma.getmaskarray(values)):
            drawn[int(place[0]), int(place[1])] = to_rgb(tuple(mesh.to_rgba(values[tuple(place)])))
    return drawn


def find_line(axes: Axes, label: str) -> Line2D:
    """The line whose label contains a text."""
    return next(line for line in axes.lines if label in str(line.get_label()))


def legend_texts(figure: Figure) -> list[str]:
    """The texts in the legend of a figure."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_confusion_matrix_has_counts_in_cells_and_classes_in_order() -> None:
    axes = figures.confusion_matrix(cells(MATRIX, NAMES, "count"), "Pets: confusion matrix").axes[0]
    assert tick_labels(axes) == (NAMES, NAMES)
    assert axes.get_ylim() == (3, 0)  # the first class on top
    assert {place: text.get_text() for place, text in cell_texts(axes).items()} == {
        (0, 0): "12,000", (0, 2): "120", (1, 0): "2,400", (1, 1): "7,000", (1, 2): "600", (2, 1): "1", (2, 2): "0",
    }  # fmt: skip
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


def test_the_title_of_a_confusion_matrix_ends_with_the_accuracy() -> None:
    axes = figures.confusion_matrix(cells(MATRIX, NAMES, "count"), "Pets: confusion matrix").axes[0]
    assert axes.get_title() == "Pets: confusion matrix, accuracy 85.89 %"  # 19,000 of 22,121
    nothing = figures.confusion_matrix(cells([[0, 0], [0, 0]], NAMES[:2], "count"), "Pets").axes[0]
    assert nothing.get_title() == "Pets, accuracy 0.00 %"


def test_cells_with_different_shares_of_errors_have_different_colours() -> None:
    rows = [[799, 1, 0, 0], [0, 792, 8, 0], [0, 0, 720, 80], [160, 0, 0, 640]]  # errors: 0.125 %, 1 %, 10 %, 20 %
    axes = figures.confusion_matrix(cells(rows, [*NAMES, "dog"], "count"), "Errors").axes[0]
    drawn = cell_colours(axes)
    assert (0, 2) not in drawn and (0, 2) not in cell_texts(axes)
    few, one, ten, twenty = (drawn[place] for place in ((0, 1), (1, 2), (2, 3), (3, 0)))
    assert np.subtract(1, few).max() > 0.2  # it differs from white
    for first, second in combinations([few, one, ten, twenty], 2):
        assert np.abs(np.subtract(first, second)).max() > 0.08
    assert all(red > blue for red, _, blue in (few, one, ten, twenty))  # orange
    assert all(drawn[place, place][2] > drawn[place, place][0] for place in range(4))  # blue


@pytest.mark.parametrize("top", [1, 5, 100, 1000])
def test_numbers_in_cells_have_enough_contrast(top: int) -> None:
    rows = np.linspace(0, top, 16).astype(int).reshape(4, 4)
    counts = cells(rows.tolist(), [*NAMES, "dog"], "count")
    changes = counts.assign(change=counts["count"] - top // 2)
    for figure in (figures.confusion_matrix(counts, "Test set"), confusion_difference(changes, "Changes")):
        drawn = cell_colours(figure.axes[0])
        for place, text in cell_texts(figure.axes[0]).items():
            dark, light = sorted([relative_luminance(drawn[place]), relative_luminance(text.get_color())])
            assert (light + 0.05) / (dark + 0.05) > 3.5


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_confusion_matrix_has_room_for_many_classes_with_long_names(classes: int, tmp_path: Path) -> None:
    names = [f"a rather long name of class number {number}" for number in range(classes)]
    values = np.random.default_rng(1).integers(1, 9999, (classes, classes))
    figure = figures.confusion_matrix(cells(values.tolist(), names, "count"), "Many")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert tick_labels(axes) == (names, names)
    side = axes.bbox.width / classes
    assert max(text.get_window_extent().width for text in axes.texts) < side
    labels = [each.get_window_extent() for each in axes.get_yticklabels()]
    bars = [each.yaxis.label.get_window_extent() for each in axes.child_axes]
    assert not any(first.overlaps(second) for boxes in (labels, bars) for first, second in combinations(boxes, 2))


def test_the_number_and_the_colour_of_a_change_have_the_same_sign() -> None:
    changes = cells([[5, -5, 0], [5, 0, -80], [1, -1, 80]], NAMES, "change")
    axes = confusion_difference(changes, "Changes").axes[0]
    drawn = cell_colours(axes)
    assert {place: text.get_text() for place, text in cell_texts(axes).items()} == {
        (0, 0): "+5", (0, 1): "-5", (1, 0): "+5", (1, 2): "-80", (2, 0): "+1", (2, 1): "-1", (2, 2): "+80",
    }  # fmt: skip
    for place, text in cell_texts(axes).items():
        red, _, blue = drawn[place]
        assert (blue > red) == text.get_text().startswith("+")
    assert drawn[0, 0] == drawn[1, 0]  # the colour does not depend on the place
    outlined = [
        axes.transData.inverted().transform(patch.get_extents().get_points().mean(axis=0)) for patch in axes.patches
    ]
    np.testing.assert_allclose(outlined, [(0.5, 0.5), (1.5, 1.5), (2.5, 2.5)])  # the diagonal
    assert "Diagonal, outlined: correct predictions, more is better" in axes.get_xlabel()


def test_a_confusion_matrix_without_changes_is_drawn() -> None:
    axes = confusion_difference(cells([[0, 0], [0, 0]], NAMES[:2], "change"), "Changes").axes[0]
    assert not axes.texts


def test_class_names_may_look_like_numbers_missing_values_or_formulas(tmp_path: Path) -> None:
    names = ["7", "NA", "$x_$"]
    tables.write(tmp_path / "counts.csv", scores.confusion_counts(LABELS, PROBABILITIES, names), tables.CONFUSION)
    table = scores.per_class(LABELS, PROBABILITIES, names)
    table.insert(0, "split", "test")
    tables.write(tmp_path / "scores.csv", table, tables.PER_CLASS)
    matrix = figures.confusion_matrix(tables.read_confusion(tmp_path / "counts.csv", names), "Cost in $, or $")
    bars = figures.per_class_scores(tables.read_per_class(tmp_path / "scores.csv", names), "Cost in $, or $")
    for figure in (matrix, bars):
        axes = figure.axes[0]
        assert tick_labels(axes)[0] == names
        assert not any(text.get_parse_math() for text in (axes.title, *axes.get_xticklabels(), *axes.texts))
        figures.write(tmp_path / "picture.png", figure)  # $x_$ is not a valid formula


def test_learning_curves_mark_the_saved_model_at_the_last_epoch() -> None:
    figure = figures.learning_curves(history(3, 1, 2), "Curves")
    loss, accuracy = figure.axes
    for axes, value in ((loss, 2), (accuracy, 0.375)):
        np.testing.assert_allclose(np.asarray(find_line(axes, "model saved: epoch 3").get_xydata()), [[3, value]])
        lowest = np.asarray(find_line(axes, "lowest validation loss: epoch 2").get_xdata())
        np.testing.assert_array_equal(lowest, [2, 2])
    assert loss.get_title() == "validation loss of the saved model: 2.0000"
    assert accuracy.get_title() == "validation accuracy of the saved model: 37.50 %"
    assert legend_texts(figure)[:2] == ["training (average during the epoch)", "validation"]


@pytest.mark.parametrize("epochs", [1, 60])
def test_learning_curves_of_any_length_have_whole_epochs_as_ticks(epochs: int) -> None:
    figure = figures.learning_curves(history(*np.linspace(2, 1, epochs)), "Curves")
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        shown = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert shown and all(tick == round(tick) for tick in shown)


def test_compared_curves_show_the_validation_scores_only() -> None:
    runs = {"main": history(3, 2, 1), "_smoothed": history(2, 1)}
    figure = compared_curves(runs, "Curves")
    for axes, score in zip(figure.axes, ("loss", "accuracy"), strict=True):
        first, second, *saved = axes.lines
        for line, run in ((first, "main"), (second, "_smoothed")):
            np.testing.assert_allclose(np.asarray(line.get_ydata()), runs[run][f"val_{score}"])
        assert [np.asarray(mark.get_xdata()).tolist() for mark in saved] == [[3], [2]]
        assert axes.get_ylabel().startswith(f"validation {score}")
    assert legend_texts(figure) == ["main", " _smoothed", "model saved: last epoch"]


def test_per_class_scores_have_one_bar_per_class_and_score() -> None:
    axes = figures.per_class_scores(scores.per_class(LABELS, PROBABILITIES, NAMES), "Scores").axes[0]
    assert tick_labels(axes)[0] == NAMES
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [pytest.approx([1, 0.5, 1]), pytest.approx([0.5, 1, 1])]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_gallery_shows_every_image_under_its_caption(count: int) -> None:
    images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    captions = [f"true: bee\npredicted: ant {number}" for number in range(count)]
    panels = [axes for axes in figures.gallery(images, captions, "Mistakes").axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == captions
    assert [np.unique(np.asarray(axes.images[0].get_array())) for axes in panels] == [
        [number] for number in range(count)
    ]


def test_captions_name_the_true_and_the_predicted_class_and_do_not_overlap() -> None:
    mistakes = pd.DataFrame({"actual": ["bee"] * 6, "predicted": ["ant"] * 6, "confidence": 0.9987})
    assert figures.captions(mistakes)[0] == "true: bee\npredicted: ant\nprobability 99.9 %"
    long = mistakes.assign(actual="a class with a long name and another one", predicted="a second one as long as that")
    figure = figures.gallery(np.zeros((6, 28, 28), np.uint8), figures.captions(long), "Mistakes")
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    pictures = [axes.bbox for axes in figure.axes]
    assert len(boxes) == 6
    assert not any(first.overlaps(second) for first, second in combinations(boxes, 2))
    assert not any(box.overlaps(picture) for box in boxes for picture in pictures)


def test_changed_mistakes_are_those_that_the_other_run_does_not_make() -> None:
    wrong = scores.predictions(np.array([0, 1, 2]), np.array([[0.1, 0.9, 0], [0.7, 0.3, 0], [0, 0, 1]]), NAMES)
    other = scores.predictions(np.array([0, 1, 2]), np.array([[0.1, 0.9, 0], [0.3, 0.7, 0], [0, 0, 1]]), NAMES)
    figure = changed_mistakes(wrong, np.zeros((2, 28, 28), np.uint8), other, NAMES, "Newly wrong", "now")
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        "true: ant\nnow predicted: cat\nprobability 70.0 %"
    ]
    assert figure.get_suptitle() == "Newly wrong: 1 of 1 images"


def experiments(*rows: tuple[str, float, float, float, int]) -> pd.DataFrame:
    """The columns of the table of experiments that its figure uses; none differs from the baseline."""
    table = pd.DataFrame(rows, columns=["name", "accuracy", "accuracy_sd", "compute", "seeds"])
    return table.assign(parameters=34_826, differs=False, earlier=False)


def published(*rows: tuple[str, int, float | None, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "parameters", "compute", "accuracy"])


def test_accuracy_by_cost_has_one_point_per_experiment_and_published_result() -> None:
    table = experiments(("small", 0.9, 0.002, 12, 3), ("large", 0.94, 0.001, 120, 3))
    others = published(("students", 34_826, None, 0.9073), ("WRN", 8_900_000, 5000, 0.967))
    figure = accuracy_by_cost(table, others, "Cost")
    by_compute, by_parameters = figure.axes
    np.testing.assert_allclose(np.asarray(by_compute.lines[0].get_xydata()), [[12, 90], [120, 94]])
    np.testing.assert_allclose(np.asarray(by_parameters.lines[0].get_xydata()), [[34_826, 90], [34_826, 94]])
    squares = [np.asarray(line.get_xydata()) for axes in figure.axes for line in axes.lines if line.get_marker() == "s"]
    np.testing.assert_allclose(squares[0], [[5000, 96.7]])
    np.testing.assert_allclose(squares[1], [[34_826, 90.73], [8_900_000, 96.7]])
    assert [text.get_text() for text in by_compute.texts] == ["small", "large", "WRN"]
    assert [text.get_text() for text in by_parameters.texts] == ["students", "WRN"]
    assert by_compute.get_xscale() == by_parameters.get_xscale() == "log"
    assert by_compute.get_ylabel() == "test accuracy, %, mean ± 1 sd, 3 seeds"
    figure = accuracy_by_cost(table.assign(seeds=[5, 3]), published(), "")
    assert figure.axes[0].get_ylabel() == "test accuracy, %, mean ± 1 sd, 3 to 5 seeds"
    assert accuracy_by_cost(table[:0], published(), "").axes[0].get_ylabel() == "test accuracy, %"


def test_experiments_that_differ_from_the_baseline_are_filled_and_earlier_ones_are_grey() -> None:
    table = experiments(("baseline", 0.9, 0, 12, 3), ("better", 0.94, 0, 120, 3), ("old", 0.92, 0, 60, 3))
    table = table.assign(differs=[False, True, False], earlier=[False, False, True])
    figure = accuracy_by_cost(table, published(), "")
    points = {
        float(np.asarray(line.get_ydata())[0]): (line.get_marker(), line.get_markerfacecolor())
        for line in figure.axes[0].lines
        if line.get_marker() in ("o", "D")
    }
    assert points == {90: ("o", "white"), 94: ("o", figures.BLUE), 92: ("D", GREY)}
    assert legend_texts(figure) == [
        "better or worse than the baseline", "baseline, or no difference shown", "earlier result, not compared"
    ]  # fmt: skip


def test_names_do_not_overlap_other_names_or_points() -> None:
    table = experiments(
        ("cnn", 0.908, 0.002, 12, 3), ("flipped-cnn", 0.9085, 0.001, 12, 3), ("wider-cnn", 0.9165, 0.0001, 13, 3),
        ("twin", 0.9084, 0.001, 14, 3),
        ("resnet", 0.943, 0, 600, 3), ("resnet-erased", 0.945, 0, 660, 3),
    )  # fmt: skip
    others = published(
        ("students", 34_826, 11, 0.9073), ("others", 40_000, 13, 0.908), ("a third group", 34_000, 12, 0.9083),
        ("two convolutions", 113_000, 30, 0.916), ("a wide one", 9_000_000, 3000, 0.967),
        ("a dense one", 768_000, 700, 0.954),
    )  # fmt: skip
    figure = accuracy_by_cost(table, others, "Cost")
    figure.draw_without_rendering()
    drawn = pd.concat([table, others])
    for axes, names, x in zip(figure.axes, (drawn, others), ("compute", "parameters"), strict=True):
        boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
        assert list(boxes) == list(names["name"])
        assert not any(first.overlaps(second) for first, second in combinations(boxes.values(), 2))
        points = axes.transData.transform(np.column_stack([drawn[x], 100 * drawn["accuracy"]]))
        for box in boxes.values():
            assert axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
            assert not any(box.contains(*point) for point in points)


@pytest.mark.slow
def test_the_matplotlibrc_of_the_user_does_not_change_figures(tmp_path: Path) -> None:
    settings = (
        "font.size: 30\naxes.facecolor: red\nsavefig.dpi: 50\nlines.linewidth: 9\naxes.formatter.use_mathtext: True"
    )
    (tmp_path / "matplotlibrc").write_text(settings)
    pictures = [
        subprocess.run(
            [sys.executable, "-c", DRAW, str(tmp_path / "picture.png")],
            cwd=ROOT, env=os.environ | variables, check=True, capture_output=True, text=True,
        ).stdout
        for variables in ({}, {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "PYTHONHASHSEED": "7"})
    ]  # fmt: skip
    assert pictures[0] == pictures[1] and pictures[0].count("\n") == 2
