"""The tables that the stages write: the columns of each, one writer, and a reader for each that checks every value."""

import base64
import math
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from classifier import artifacts
from classifier.errors import UserError
from classifier.params import RESERVED_NAMES

Schema = dict[str, type]  # str, int or float by the column's name, in the columns' order

HISTORY: Schema = {"epoch": int, "loss": float, "accuracy": float, "val_loss": float, "val_accuracy": float}
CURVES = [name for name in HISTORY if name != "epoch"]
PER_CLASS: Schema = {"split": str, "class": str, "precision": float, "recall": float, "f1": float, "support": int}
CONFUSION: Schema = {"actual": str, "predicted": str, "count": int}
CONFUSED_PAIRS: Schema = {**CONFUSION, "share": float}
CORRECT: Schema = {"split": str, "images": int, "correct": str}
OPERATIONS: Schema = {"operation": str, "crc32": str}
SUMMARY = TypeAdapter(dict[str, int | FiniteFloat | str])


def predictions_schema(class_names: list[str]) -> Schema:
    """actual, predicted, loss (nats), and a column for the probability of each class."""
    return {**dict(zip(RESERVED_NAMES, (str, str, float), strict=True)), **dict.fromkeys(class_names, float)}


def write(path: Path, table: pd.DataFrame, schema: Schema) -> None:
    """Write a table as CSV, floats to artifacts.DECIMALS decimals.

    Raises:
        ValueError: the table has other columns than the schema.
        UserError: the file cannot be written.
    """
    if list(table.columns) != list(schema):
        raise ValueError(f"{path}: the columns are {list(table.columns)}, not {list(schema)}")
    with artifacts.replacing(path) as temporary:
        table.round(artifacts.DECIMALS).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def read(path: Path, schema: Schema) -> pd.DataFrame:
    """Read a table of exactly these columns. A class is a str even if it is called NA or 7.

    Raises:
        UserError: the file is missing, or is not a table of these columns with finite numbers.
    """
    try:
        with np.errstate(invalid="ignore"):  # pandas reports numbers that are too large by an error as well
            table = pd.read_csv(path, dtype=schema, keep_default_na=False)
        if list(table.columns) != list(schema) or not isinstance(table.index, pd.RangeIndex):
            raise ValueError(f"its columns are not {', '.join(schema)}")
        numbers = table[[name for name, kind in schema.items() if kind is not str]]
        if table.isna().any(axis=None) or not np.isfinite(numbers.to_numpy(float)).all():
            raise ValueError("values are missing")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make repro makes it") from None
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not the table that it should be: {reason:.200}; make repro makes it") from None
    return table


def read_history(path: Path) -> pd.DataFrame:
    """Read the learning curves of a training: one row per epoch, 1 first, with the columns of HISTORY.

    Raises:
        UserError: the file is missing, empty or another table.
    """
    return _read_rows(path, HISTORY)


def read_summary(path: Path) -> dict[str, int | float | str]:
    """Read what stages/train.py writes about a training: its size and best epoch, by name.

    Raises:
        UserError: the file is missing or is not a JSON object of finite numbers and strings.
    """
    try:
        return SUMMARY.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make repro makes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = ": ".join(map(str, [*first["loc"], first["msg"]]))
        raise UserError(f"{path}: {problem}; make repro makes it") from None


def read_operations(path: Path) -> pd.DataFrame:
    """Read the hashes of what the CPU computes for each operation, with the columns of OPERATIONS.

    Raises:
        UserError: the file is missing, empty or another table.
    """
    return _read_rows(path, OPERATIONS)


def read_per_class(path: Path, class_names: list[str]) -> pd.DataFrame:
    """Read the scores by class: one row per split and class, with the columns of PER_CLASS.

    Raises:
        UserError: the file is missing, empty or another table, or has other classes.
    """
    table = _read_rows(path, PER_CLASS)
    for _, rows in table.groupby("split"):
        _check(list(rows["class"]) == class_names, path, "the classes are not those of params.yaml")
    return table


def read_confusion(path: Path, class_names: list[str]) -> pd.DataFrame:
    """Read a confusion matrix: one row per cell in the order of the classes, with the columns of CONFUSION.

    Raises:
        UserError: the file is missing, empty or another table, has other cells or a negative count.
    """
    table = _read_rows(path, CONFUSION)
    cells = list(zip(table["actual"], table["predicted"], strict=True))
    _check(cells == list(product(class_names, repeat=2)), path, "the cells are not those of the classes of params.yaml")
    _check((table["count"] >= 0).all(), path, "a count is negative")
    return table


def read_predictions(path: Path, class_names: list[str]) -> pd.DataFrame:
    """Read the predictions on a split: one row per image, with the columns of predictions_schema.

    Raises:
        UserError: the file is missing, empty or another table, or holds another class or an impossible probability.
    """
    table = _read_rows(path, predictions_schema(class_names))
    _check(table[["actual", "predicted"]].isin(class_names).all(axis=None), path, "a class is not one of params.yaml")
    probabilities = table[class_names].to_numpy()
    _check(((probabilities >= 0) & (probabilities <= 1)).all(), path, "a probability is not between 0 and 1")
    return table


def read_mistakes(path: Path, predictions: pd.DataFrame) -> NDArray[np.uint8]:
    """Read the images of the wrong predictions, in their order: uint8 of shape (n, height, width).

    Raises:
        UserError: the file is missing or broken, or has another number of images than there are wrong predictions.
    """
    images = artifacts.read_array(path)
    mistakes = int((predictions["actual"] != predictions["predicted"]).sum())
    _check(images.dtype == np.uint8 and images.ndim == 3, path, f"{images.dtype} of shape {images.shape}, not images")
    _check(len(images) == mistakes, path, f"{len(images)} images for {mistakes} wrong predictions")
    return images


def read_correct(path: Path) -> dict[str, NDArray[np.bool_]]:
    """Read which images are classified correctly: bool of shape (n,), by the split's name.

    Raises:
        UserError: the file is missing, empty or another table, or does not have a bit for each image.
    """
    table = _read_rows(path, CORRECT)
    try:
        return {
            split: unpack(correct, images)
            for split, images, correct in zip(table["split"], table["images"], table["correct"], strict=True)
        }
    except ValueError as error:
        raise UserError(f"{path}: {error}; make repro makes it") from None


def pack(correct: NDArray[np.bool_]) -> str:
    """Bits as Base64, in a sixth of the characters that 0 and 1 would take."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode("ascii")


def unpack(text: str, count: int) -> NDArray[np.bool_]:
    """The bits that pack was given, bool of shape (count,).

    Raises:
        ValueError: the text is not Base64 of so many bits.
    """
    content = base64.b64decode(text, validate=True)
    if len(content) != math.ceil(count / 8):
        raise ValueError(f"{len(content)} bytes do not hold {count} bits")
    return np.unpackbits(np.frombuffer(content, np.uint8), count=count).astype(bool)


def _read_rows(path: Path, schema: Schema) -> pd.DataFrame:
    table = read(path, schema)
    _check(len(table) > 0, path, "it is empty")
    return table


def _check(condition: bool | np.bool, path: Path, problem: str) -> None:
    if not condition:
        raise UserError(f"{path}: {problem}; make repro makes it")
