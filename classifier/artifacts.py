"""How outputs are written and read again: whole or not at all, and the same bytes for the same content."""

import json
import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.cli import InputError, check_inputs

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

DECIMALS = 6  # of metrics and curves: beyond the sampling error by far, short of the last bits
ROWS = 1000  # of an array, written at a time
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` for a file or folder that takes its place once it is complete.

    Raises:
        InputError: the disk is full, the folder is not writable, or the like, or the stage's inputs have changed
            meanwhile; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        _flush(temporary)
        check_inputs()
        if path.is_dir():  # a folder cannot be renamed over a full one
            _remove(path)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # the first error is the one to tell
            _remove(temporary)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write nested numbers and strings as JSON, floats to DECIMALS decimals."""
    text = json.dumps(_rounded(value), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a data frame without its index as CSV, floats to DECIMALS decimals."""
    with replacing(path) as temporary:
        frame.round(DECIMALS).to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")


def read_csv(path: Path, columns: dict[str, type]) -> pd.DataFrame:
    """Read a table of exactly these columns, by name str, int or float; a class is a str, even if it is called NA.

    Raises:
        InputError: the file is missing, or is no such table of finite numbers.
    """
    try:
        with np.errstate(invalid="ignore"):  # pandas tells of numbers that are too large by an error as well
            table = pd.read_csv(path, dtype=columns, keep_default_na=False)
        if list(table.columns) != list(columns) or not isinstance(table.index, pd.RangeIndex):
            raise ValueError(f"its columns are not {', '.join(columns)}")
        numbers = table[[name for name, kind in columns.items() if kind is not str]]
        if table.isna().any(axis=None) or not np.isfinite(numbers.to_numpy(float)).all():
            raise ValueError("values are missing")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; dvc repro makes it") from None
    except (ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not the table that it should be: {reason:.200}; dvc repro makes it") from None
    return table


def write_array(path: Path, array: NDArray[Any], rows: NDArray[np.intp] | None = None) -> None:
    """Write a NumPy array, or those of its rows, as .npy.

    In chunks, so that no second copy is in memory; and not by NumPy itself, which would not say why a disk refuses it.
    """
    rows = np.arange(len(array)) if rows is None else rows
    shape = (len(rows), *array.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape}
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(rows), ROWS):
            stream.write(array[rows[start : start + ROWS]].tobytes())


def read_array(path: Path) -> NDArray[Any]:
    """Read a NumPy array from .npy, without running any code from the file.

    Raises:
        InputError: the file is missing or is not a whole array.
    """
    try:
        with path.open("rb") as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):
                raise ValueError("it goes on after its end")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; dvc repro makes it") from None
    except Exception as error:  # of any kind: NumPy reads the header as Python's literals
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not a whole NumPy array ({reason:.200}); dvc repro makes it") from None
    return array


def write_figure(path: Path, figure: "Figure") -> None:
    """Write a Matplotlib figure as PNG, without Matplotlib's version in it."""
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def write_model(path: Path, model: "keras.Model") -> None:
    """Write a Keras model in the native .keras format, the same bytes for the same model.

    Keras puts the date, zip times and memory addresses (shared_object_id) into the archive; here the times are
    fixed and the addresses numbered in order of appearance. It loads with the same weights and optimizer state.
    """
    with replacing(path) as temporary:
        saved = temporary.with_name(f".{path.stem}.saved.tmp.keras")  # Keras insists on the suffix
        try:
            model.save(saved)
            with zipfile.ZipFile(saved) as source, zipfile.ZipFile(temporary, "w") as target:
                for name in sorted(source.namelist()):
                    target.writestr(zipfile.ZipInfo(name, EPOCH_OF_ZIP), _canonical(name, source.read(name)))
        finally:
            _remove(saved)


def read_model(path: Path, image_shape: tuple[int, ...], classes: int) -> "keras.Model":
    """Load a model that write_model wrote, without running any code from the file. Wakes TensorFlow.

    Raises:
        InputError: the file is missing, is not a whole .keras archive, or its model is not one from images of that
            shape to that many classes.
    """
    import keras

    try:
        model = keras.saving.load_model(path, safe_mode=True)
        shapes = model.input_shape, model.output_shape
    except Exception as error:  # of any kind: Keras builds what the file asks for before all of it is checked
        reason = " ".join((str(error) or type(error).__name__).split())
        raise InputError(f"{path} is not a whole Keras model ({reason:.200}); dvc repro trains it") from error
    if shapes != ((None, *image_shape, 1), (None, classes)):
        raise InputError(f"{path} leads from {shapes[0]} to {shapes[1]}, the data from {image_shape} to {classes}")
    return model


def _canonical(name: str, content: bytes) -> bytes:
    if name == "metadata.json":
        metadata = json.loads(content)
        del metadata["date_saved"]
        return json.dumps(metadata).encode()
    if name == "config.json":
        numbers: dict[bytes, int] = {}
        return re.sub(
            rb'("shared_object_id": )(\d+)',
            lambda match: match[1] + str(numbers.setdefault(match[2], len(numbers))).encode(),
            content,
        )
    return content


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, DECIMALS) if isinstance(value, float) else value


def _flush(path: Path) -> None:
    """Make sure that what is below `path` has reached the disk before it gets its final name."""
    for file in [path] if path.is_file() else filter(Path.is_file, path.rglob("*")):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
