"""What train and evaluate write, read again with every value checked."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from classifier import artifacts
from classifier.cli import InputError

CURVES = ["loss", "accuracy", "val_loss", "val_accuracy"]
COST = TypeAdapter(dict[str, int | FiniteFloat | str])
PER_CLASS = {"split": str, "class": str, "precision": float, "recall": float, "f1": float, "support": int}


def read_history(path: Path) -> pd.DataFrame:
    """A training's curves: a row an epoch, 1 first.

    Raises:
        InputError: as by every function here, if the file is missing or holds something else.
    """
    return _read(path, {"epoch": int, **dict.fromkeys(CURVES, float)})


def read_cost(path: Path) -> dict[str, int | float | str]:
    """What a training cost and reached."""
    try:
        return COST.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing; dvc repro makes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        problem = ": ".join(map(str, [*first["loc"], first["msg"]]))
        raise InputError(f"{path}: {problem}; dvc repro makes it anew") from None


def read_per_class(path: Path, names: list[str]) -> pd.DataFrame:
    """The scores of scores.per_class for each split."""
    table = _read(path, PER_CLASS)
    for _, rows in table.groupby("split"):
        _check(list(rows["class"]) == names, path, "the classes are not those of params.yaml")
    return table


def read_confusion(path: Path, names: list[str]) -> pd.DataFrame:
    """The cells of scores.confusion_counts."""
    table = _read(path, {"actual": str, "predicted": str, "count": int})
    cells = zip(table["actual"], table["predicted"], strict=True)
    _check(list(cells) == list(product(names, names)), path, "the cells are not those of the classes of params.yaml")
    _check((table["count"] >= 0).all(), path, "a count is negative")
    return table


def read_predictions(path: Path, names: list[str]) -> pd.DataFrame:
    """The rows of scores.predictions."""
    table = _read(path, {"actual": str, "predicted": str, "loss": float, **dict.fromkeys(names, float)})
    _check(table[["actual", "predicted"]].isin(names).all(axis=None), path, "a class is not one of params.yaml")
    _check(
        table[names].ge(0).all(axis=None) and table[names].le(1).all(axis=None),
        path,
        "a probability is not between 0 and 1",
    )
    return table


def read_mistakes(path: Path, predictions: pd.DataFrame) -> NDArray[np.uint8]:
    """The images of the wrong ones of the predictions, in their order: uint8 of shape (n, height, width)."""
    images = artifacts.read_array(path)
    wrong = int((predictions["actual"] != predictions["predicted"]).sum())
    _check(images.dtype == np.uint8 and images.ndim == 3, path, f"{images.dtype} of shape {images.shape} are no images")
    _check(len(images) == wrong, path, f"{len(images)} images for {wrong} wrong predictions")
    return images


def _read(path: Path, columns: dict[str, type]) -> pd.DataFrame:
    table = artifacts.read_csv(path, columns)
    _check(len(table) > 0, path, "it is empty")
    return table


def _check(condition: bool | np.bool, path: Path, problem: str) -> None:
    if not condition:
        raise InputError(f"{path}: {problem}; dvc repro makes it anew")
