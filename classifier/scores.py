"""What is measured of a model's predictions, from true labels and predicted probabilities.

labels are of shape (n,), positions in the list of class names; probabilities are of shape (n, classes).
"""

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

Labels = NDArray[np.integer]
Probabilities = NDArray[np.floating]


def summary(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Loss (categorical cross-entropy, nats), accuracy, confidence, and macro averages of precision, recall and F1.

    confidence is the mean probability of the predicted class: its distance from the accuracy is the calibration gap. A
    class that is never predicted has precision 0, one without images recall 0.
    """
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    exact = probabilities.astype(np.float64)  # float32 probabilities add up to 1 in seven digits only
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        labels, predicted, labels=classes, average="macro", zero_division=0
    )
    return {
        "loss": float(metrics.log_loss(labels, exact / exact.sum(axis=1, keepdims=True), labels=classes)),
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "confidence": float(exact.max(axis=1).mean()),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def per_class(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """One row per class, in the dataset's order: class, precision, recall, f1, support (images of the class)."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)), zero_division=0
    )
    return pd.DataFrame({"class": class_names, "precision": precision, "recall": recall, "f1": f1, "support": support})


def confusion_counts(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """One row per cell of the confusion matrix, in the dataset's order: actual, predicted, count."""
    counts = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(len(class_names)))
    cells = pd.MultiIndex.from_product([class_names, class_names], names=["actual", "predicted"])
    return pd.Series(counts.ravel(), cells, name="count").reset_index()


def confused_pairs(counts: pd.DataFrame) -> pd.DataFrame:
    """The mistakes among confusion_counts, most frequent first, with `share`: of the images of the actual class."""
    share = counts["count"] / counts.groupby("actual")["count"].transform("sum")
    pairs = counts.assign(share=share)
    pairs = pairs[(pairs["actual"] != pairs["predicted"]) & (pairs["count"] > 0)]
    return pairs.sort_values("count", ascending=False, kind="stable")


def predictions(labels: Labels, probabilities: Probabilities, class_names: list[str]) -> pd.DataFrame:
    """One row per image, in the split's order: actual, predicted, loss (nats), and the probability of every class.

    Probabilities are rounded to four decimals, which keeps the table small enough for git. That is too few for the
    loss of a confident mistake, so the loss has a column of its own.
    """
    exact = probabilities.astype(np.float64)
    of_actual = np.maximum(exact[np.arange(len(labels)), labels], np.finfo(np.float64).eps)
    first = {
        "actual": np.take(class_names, labels),
        "predicted": np.take(class_names, probabilities.argmax(axis=1)),
        "loss": [-math.log(share) for share in of_actual],  # the last bits of np.log depend on the CPU
    }
    return pd.concat([pd.DataFrame(first), pd.DataFrame(exact.round(4), columns=class_names)], axis=1)


def mistakes(predictions: pd.DataFrame, class_names: list[str]) -> pd.DataFrame:
    """The wrong rows of a table of predictions, the most confident first.

    They have their highest probability as `confidence`, and as index their position among the wrong rows, which is
    that of their image among the images of mistakes.
    """
    wrong = predictions[predictions["actual"] != predictions["predicted"]].reset_index(drop=True)
    wrong = wrong.assign(confidence=wrong[class_names].max(axis=1))
    return wrong.sort_values("confidence", ascending=False, kind="stable")
