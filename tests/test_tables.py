"""Tables are read as they were written, and invalid tables are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifier import artifacts, scores, tables
from classifier.errors import UserError
from classifier.params import load_params
from tests.conftest import ROOT

NAMES = ["a", "b", "c"]
LABELS = np.array([0, 1, 2, 2])
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])


def test_tables_are_read_as_they_were_written(tmp_path: Path) -> None:
    predictions = scores.predictions(LABELS, PROBABILITIES, NAMES)
    counts = scores.confusion_counts(LABELS, PROBABILITIES, NAMES)
    for table, schema, read in (
        (predictions, tables.predictions_schema(NAMES), tables.read_predictions),
        (counts, tables.CONFUSION, tables.read_confusion),
    ):
        tables.write(tmp_path / "table.csv", table, schema)
        assert read(tmp_path / "table.csv", NAMES).equals(table.round(artifacts.DECIMALS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("actual", "real"), "its columns are not actual, predicted, count"),
        (lambda text: text + "a,b\n", "is not the table"),
        (lambda text: text.replace("a,a,1", "a,a,1,1"), "is not the table"),
        (lambda text: text.replace("a,a,1", "a,a,one"), "is not the table"),
        (lambda text: text.replace("a,a,1", "a,a,"), "is not the table"),
        (lambda text: text.replace("a,a,1", "a,a,1e300"), "is not the table"),
        (lambda text: text.replace("a,a,1", "a,a,-1"), "a count is negative"),
        (lambda text: text.replace("a,a,1\n", ""), "the cells are not those of the classes"),
        (lambda text: text.replace("a,a,1", "a,d,1"), "the cells are not those of the classes"),
        (lambda text: text.splitlines()[0], "it is empty"),
        (lambda text: "", "is not the table"),
        (lambda text: text + "\0\n\0", "is not the table"),
    ],
)
def test_invalid_tables_are_refused(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    path = tmp_path / "counts.csv"
    tables.write(path, scores.confusion_counts(LABELS, PROBABILITIES, NAMES), tables.CONFUSION)
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UserError, match=message):
        tables.read_confusion(path, NAMES)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("a,a,", "a,z,", "a class is not one of"),
        ("0.8", "1.8", "a probability is not between"),
        ("0.8", "inf", "values are missing"),
    ],
)
def test_invalid_predictions_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "predictions.csv"
    tables.write(path, scores.predictions(LABELS, PROBABILITIES, NAMES), tables.predictions_schema(NAMES))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        tables.read_predictions(path, NAMES)


def test_the_images_of_mistakes_must_match_the_wrong_predictions(tmp_path: Path) -> None:
    predictions = scores.predictions(LABELS, PROBABILITIES, NAMES)
    for array, message in (
        (np.zeros((2, 4, 4), np.uint8), "2 images for 1 wrong predictions"),
        (np.zeros((1, 4, 4)), "float64 of shape"),
        (np.zeros((1, 16), np.uint8), "uint8 of shape \\(1, 16\\), not images"),
    ):
        artifacts.write_array(tmp_path / "mistakes.npy", array)
        with pytest.raises(UserError, match=message):
            tables.read_mistakes(tmp_path / "mistakes.npy", predictions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Invalid JSON"),
        ("[1]", "should be an object"),
        ('{"epochs": null}', "epochs"),
        ('{"loss": NaN}', "loss"),
        ("\x00", "Invalid JSON"),
    ],
)
def test_an_invalid_summary_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "summary.json"
    artifacts.write_json(path, {"epochs": 25, "loss": 1.0, "arithmetic": "0a"})
    assert tables.read_summary(path) == {"epochs": 25, "loss": 1.0, "arithmetic": "0a"}
    path.write_text(content)
    with pytest.raises(UserError, match=rf"summary\.json: .*{message}[^\n]*; make repro makes it"):
        tables.read_summary(path)


def test_the_committed_results_are_valid() -> None:
    names = list(tables.read(ROOT / "metrics/per_class.csv", tables.PER_CLASS)["class"].unique())
    predictions = tables.read_predictions(ROOT / "metrics/predictions.csv", names)
    assert len(tables.read_mistakes(ROOT / "plots/mistakes.npy", predictions)) > 0
    assert len(tables.read_history(ROOT / "plots/history.csv")) > 0
    assert tables.read_summary(ROOT / "metrics/train.json")["epochs"] == load_params(ROOT / "params.yaml").train.epochs
