"""The pictures show what they are given, in the dataset's order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifier import figures, scores, tables
from experiments.figures import accuracy_by_compute

NAMES = ["cat", "ant", "bee"]
LABELS = np.array([0, 0, 1, 2])
PROBABILITIES = np.eye(3)[[0, 1, 1, 2]]


def test_confusion_matrix_has_counts_in_cells_and_classes_in_order() -> None:
    figure = figures.confusion_matrix(scores.confusion_counts(LABELS, PROBABILITIES, NAMES), "Test set")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    assert [label.get_text() for label in axes.get_yticklabels()] == NAMES
    assert [text.get_text() for text in axes.texts] == ["1", "1", "0", "0", "1", "0", "0", "0", "1"]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("predicted class", "true class", "Test set")
    colours = axes.collections[0].get_array()
    assert colours is not None
    np.testing.assert_allclose(np.ravel(colours)[:3], [0.5, 0.5, 0])  # share of the row


def test_classes_may_be_called_like_numbers_or_nothing(tmp_path: Path) -> None:
    names = ["7", "NA", "1"]
    tables.write(tmp_path / "counts.csv", scores.confusion_counts(LABELS, PROBABILITIES, names), tables.CONFUSION)
    table = scores.per_class(LABELS, PROBABILITIES, names)
    table.insert(0, "split", "test")
    tables.write(tmp_path / "scores.csv", table, tables.PER_CLASS)
    matrix = figures.confusion_matrix(tables.read_confusion(tmp_path / "counts.csv", names), "Test set")
    bars = figures.per_class_scores(tables.read_per_class(tmp_path / "scores.csv", names), "Scores")
    for axes in (matrix.axes[0], bars.axes[0]):
        assert [label.get_text() for label in axes.get_xticklabels()] == names


def test_learning_curves_mark_the_epoch_of_the_lowest_validation_loss() -> None:
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3, 2, 1], "accuracy": [0.1, 0.5, 0.9]})
    history = history.assign(val_loss=[3, 1, 2], val_accuracy=[0.1, 0.4, 0.3])
    loss, accuracy = figures.learning_curves(history, "Curves").axes
    for axes, value in ((loss, 1), (accuracy, 0.4)):
        star = next(line for line in axes.lines if line.get_marker() == "*")
        np.testing.assert_array_equal(star.get_xydata(), [[2, value]])


def test_per_class_scores_have_a_bar_a_class_and_score() -> None:
    axes = figures.per_class_scores(scores.per_class(LABELS, PROBABILITIES, NAMES), "Scores").axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [pytest.approx([1, 0.5, 1]), pytest.approx([0.5, 1, 1])]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_gallery_shows_every_image_under_its_caption(count: int) -> None:
    images = np.arange(count, dtype=np.uint8)[:, None, None] * np.ones((28, 28), np.uint8)
    captions = [f"bee\nas ant, {number}%" for number in range(count)]
    panels = [axes for axes in figures.gallery(images, captions, "Mistakes").axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == captions
    assert [np.unique(np.asarray(axes.images[0].get_array())) for axes in panels] == [
        [number] for number in range(count)
    ]


def test_names_of_experiments_close_to_each_other_do_not_overlap() -> None:
    table = pd.DataFrame(
        [
            ("cnn", 0.9, 0.002, 12),
            ("resnet", 0.943, 0, 600),
            ("wide", 0.945, 0, 660),
        ],
        columns=["name", "accuracy", "accuracy_sd", "compute"],
    )
    figure = accuracy_by_compute(table, {"people": 0.835}, "Compute")
    figure.draw_without_rendering()
    _, first, second, _ = (text.get_window_extent() for text in figure.axes[0].texts)
    assert not first.overlaps(second)


def test_accuracy_by_compute_has_a_point_an_experiment_and_a_line_a_reference() -> None:
    table = pd.DataFrame(
        [("small", 0.9, 0.002, 12), ("large", 0.94, 0.001, 120)],
        columns=["name", "accuracy", "accuracy_sd", "compute"],
    )
    axes = accuracy_by_compute(table, {"people": 0.835}, "Compute").axes[0]
    points, *_, line = axes.lines
    np.testing.assert_allclose(np.asarray(points.get_xydata()), [[12, 90], [120, 94]])
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [83.5, 83.5])
    assert [text.get_text() for text in axes.texts] == ["small", "large", "people, 83.5 %"]
    assert axes.get_xscale() == "log"
