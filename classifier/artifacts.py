"""How a stage writes its outputs: each appears under its name whole or not at all, with the same bytes every time."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.errors import UserError

DECIMALS = 6  # of scores and losses: far beyond the sampling error, short of the last bits
ROWS = 1000  # of an array, written at a time


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder, which is moved to `path` once it is complete.

    It is in a temporary folder beside `path`, whose name no other process uses.

    Raises:
        UserError: the disk is full, the folder is not writable, or the like. Nothing is left behind then, and an
            earlier file or folder of that name stays as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = folder / path.name
    try:
        yield temporary
        _flush(temporary)
        if path.is_dir():  # a folder cannot be renamed over a full one
            remove(path)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # the first error is the one to report
            remove(folder)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write nested dicts of numbers and strings as JSON, floats to DECIMALS decimals.

    Raises:
        UserError: as by replacing.
    """
    text = json.dumps(_rounded(value), indent=2, ensure_ascii=False, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8", newline="\n")


def write_array(path: Path, array: NDArray[Any], rows: NDArray[np.intp] | None = None) -> None:
    """Write an array, or only the given rows of it, in NumPy's format .npy.

    The rows are written in chunks, so that no second copy is held in memory. NumPy's own writer does not report why a
    disk refuses the data.

    Raises:
        UserError: as by replacing.
    """
    rows = np.arange(len(array)) if rows is None else rows
    shape = (len(rows), *array.shape[1:])
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": shape}
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, len(rows), ROWS):
            stream.write(array[rows[start : start + ROWS]].tobytes())


def read_array(path: Path) -> NDArray[Any]:
    """Read an array in NumPy's format .npy. No code in the file is run.

    Raises:
        UserError: the file is missing or is not a whole array.
    """
    try:
        with path.open("rb") as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            if stream.read(1):
                raise ValueError("there is data behind the end of the array")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make repro makes it") from None
    except Exception as error:  # of any kind: NumPy evaluates the header as Python literals
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a whole NumPy array ({reason:.200}); make repro makes it") from None
    return array


def remove(path: Path) -> None:
    """Remove a file or a folder with its content, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, DECIMALS) if isinstance(value, float) else value


def _flush(path: Path) -> None:
    """Make sure that a file, or all files of a folder, are on the disk before the final name is given."""
    for file in [path] if path.is_file() else filter(Path.is_file, path.rglob("*")):
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())
