"""What is measured of a split's predictions, all of it from labels and probabilities."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

Labels = NDArray[np.integer]
Probabilities = NDArray[np.floating]


def summary(labels: Labels, probabilities: Probabilities) -> dict[str, float]:
    """Loss (categorical cross-entropy, nats), accuracy, and precision, recall and F1 as means over the classes.

    A class that is never predicted has precision 0, one without images recall 0.
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
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }


def per_class(labels: Labels, probabilities: Probabilities, names: list[str]) -> pd.DataFrame:
    """A row a class, in the dataset's order: class, precision, recall, f1, support (images of the class)."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=np.arange(len(names)), zero_division=0
    )
    return pd.DataFrame({"class": names, "precision": precision, "recall": recall, "f1": f1, "support": support})


def confusion_counts(labels: Labels, probabilities: Probabilities, names: list[str]) -> pd.DataFrame:
    """A row a cell of the confusion matrix, in the dataset's order: actual, predicted, count."""
    counts = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), labels=np.arange(len(names)))
    cells = pd.MultiIndex.from_product([names, names], names=["actual", "predicted"])
    return pd.Series(counts.ravel(), cells, name="count").reset_index()


def confused_pairs(counts: pd.DataFrame) -> pd.DataFrame:
    """The confusions, most frequent first: actual, predicted, count, and share of the actual class's images."""
    share = counts["count"] / counts.groupby("actual")["count"].transform("sum")
    pairs = counts.assign(share=share)
    pairs = pairs[(pairs["actual"] != pairs["predicted"]) & (pairs["count"] > 0)]
    return pairs.sort_values("count", ascending=False, kind="stable")


def predictions(labels: Labels, probabilities: Probabilities, names: list[str]) -> pd.DataFrame:
    """A row an image, in the split's order: actual, predicted, loss (nats), and the probability of every class.

    Probabilities keep four decimals, which is small enough for git. That is too few for the loss of a confident
    mistake, so the loss has its own column.
    """
    exact = probabilities.astype(np.float64)
    true = np.maximum(exact[np.arange(len(labels)), labels], np.finfo(np.float64).eps)
    table = pd.DataFrame(exact.round(4), columns=names)
    table.insert(0, "actual", np.take(names, labels))
    table.insert(1, "predicted", np.take(names, probabilities.argmax(axis=1)))
    table.insert(2, "loss", -np.log(true))
    return table


def mistakes(table: pd.DataFrame) -> pd.DataFrame:
    """The wrong rows of a table of `predictions`, numbered from 0, with their highest probability as `confidence`."""
    wrong = table[table["actual"] != table["predicted"]].reset_index(drop=True)
    return wrong.assign(confidence=wrong.iloc[:, 3:].max(axis=1))
