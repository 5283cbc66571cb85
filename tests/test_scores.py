"""Scores are compared with values calculated by hand."""

import math

import numpy as np
import pytest

from classifier import scores

NAMES = ["cat", "ant", "bee"]  # not in alphabetical order
LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.9, 0.05, 0.05], [0.0, 0.9, 0.1]],
    dtype=np.float32,
)  # predicted: cat cat ant ant cat ant


def test_the_summary_has_the_loss_the_accuracy_and_macro_averages() -> None:
    summary = scores.summary(LABELS, PROBABILITIES)
    assert summary["accuracy"] == pytest.approx(3 / 6)
    assert summary["precision"] == pytest.approx((2 / 3 + 1 / 3 + 0) / 3)
    assert summary["recall"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert summary["f1"] == pytest.approx((2 / 3 + 2 / 5 + 0) / 3)
    assert summary["loss"] == pytest.approx(-sum(map(math.log, [0.7, 0.6, 0.1, 0.5, 0.05, 0.1])) / 6, rel=1e-6)


def test_per_class_keeps_the_datasets_order() -> None:
    table = scores.per_class(LABELS, PROBABILITIES, NAMES)
    assert list(table["class"]) == NAMES
    assert list(table["support"]) == [3, 2, 1]
    assert list(table["precision"]) == pytest.approx([2 / 3, 1 / 3, 0])
    assert list(table["recall"]) == pytest.approx([2 / 3, 1 / 2, 0])


def test_confusion_counts_have_every_cell_in_the_datasets_order() -> None:
    counts = scores.confusion_counts(LABELS, PROBABILITIES, NAMES)
    assert list(counts.columns) == ["actual", "predicted", "count"]
    assert list(counts["actual"]) == ["cat"] * 3 + ["ant"] * 3 + ["bee"] * 3
    assert list(counts["count"]) == [2, 1, 0, 1, 1, 0, 0, 1, 0]


def test_confused_pairs_are_the_mistakes_with_their_share_of_the_class() -> None:
    pairs = scores.confused_pairs(scores.confusion_counts(LABELS, PROBABILITIES, NAMES))
    found = [(row.actual, row.predicted, row.count_) for row in pairs.rename(columns={"count": "count_"}).itertuples()]
    assert found == [("cat", "ant", 1), ("ant", "cat", 1), ("bee", "ant", 1)]
    assert list(pairs["share"]) == pytest.approx([1 / 3, 1 / 2, 1])


def test_predictions_have_class_names_and_the_exact_loss_of_confident_mistakes() -> None:
    probabilities = np.array([[0.123456, 0.876543, 1.23456e-7]], np.float32)
    table = scores.predictions(np.array([2]), probabilities, NAMES)
    assert list(table.columns) == ["actual", "predicted", "loss", *NAMES]
    assert list(table.iloc[0]) == ["bee", "ant", pytest.approx(-math.log(1.23456e-7)), 0.1235, 0.8765, 0]


def test_mistakes_are_the_wrong_predictions_in_descending_order_of_confidence() -> None:
    wrong = scores.mistakes(scores.predictions(LABELS, PROBABILITIES, NAMES), NAMES)
    found = list(wrong[["actual", "predicted", "confidence"]].itertuples(name=None))
    assert found == [(1, "ant", "cat", 0.9), (2, "bee", "ant", 0.9), (0, "cat", "ant", 0.8)]
