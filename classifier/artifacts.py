"""How outputs are written and read again: whole or not at all, and the same bytes for the same content."""

import io
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

from classifier.cli import InputError

if TYPE_CHECKING:
    import keras
    from matplotlib.figure import Figure

DECIMALS = 6  # of metrics and curves: beyond the sampling error by far, short of the last bits
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path` for a file or folder that takes its place once it is complete.

    Raises:
        InputError: the disk is full, the folder is not writable, or the like; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)
        yield temporary
        _flush(temporary)
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


def read_csv(path: Path) -> pd.DataFrame:
    """Read what write_csv wrote; a class is a string, even if its name is 7 or NA."""
    return pd.read_csv(path, dtype=dict.fromkeys(("actual", "predicted", "class"), str), keep_default_na=False)


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write a NumPy array as .npy."""
    content = io.BytesIO()  # NumPy itself would not say why a disk refuses a file
    np.save(content, array, allow_pickle=False)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_array(path: Path) -> NDArray[Any]:
    """Read a NumPy array from .npy, without running any code from the file.

    Raises:
        InputError: the file is missing or is not a whole array.
    """
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; dvc repro makes it") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is not a whole NumPy array ({error}); remove it and dvc repro") from None
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


def read_model(path: Path) -> "keras.Model":
    """Load a model that write_model wrote, without running any code from the file. Wakes TensorFlow.

    Raises:
        InputError: the file is missing or is not a whole .keras archive.
    """
    import keras

    try:
        return keras.saving.load_model(path, safe_mode=True)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not a whole Keras model ({reason}); dvc repro trains it") from error


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
