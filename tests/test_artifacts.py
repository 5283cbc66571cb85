"""Files are written completely or not at all, and the same content gives the same bytes."""

import hashlib
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from classifier import artifacts, figures, tables
from classifier.errors import UserError
from tests.conftest import ROOT


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with pytest.raises(RuntimeError), artifacts.replacing(path) as temporary:
        temporary.write_text("incomplete")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []


def test_an_earlier_file_or_folder_is_kept_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("earlier")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("earlier")
    for name in ("file", "folder"):
        with pytest.raises(RuntimeError), artifacts.replacing(tmp_path / name):
            raise RuntimeError
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "a").read_text() == "earlier"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with artifacts.replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]


def test_two_processes_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    with artifacts.replacing(tmp_path / "file") as first, artifacts.replacing(tmp_path / "file") as second:
        first.write_text("first")
        second.write_text("second")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "first"  # which was complete last


def test_a_folder_that_cannot_be_written_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "metrics").write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"cannot write .*train\.json: (Not a directory|File exists)$"):
        artifacts.write_json(tmp_path / "metrics" / "train.json", {})


@pytest.mark.parametrize(
    "write",
    [
        'tables.write({}, pandas.DataFrame({{"x": range(20_000)}}), {{"x": int}})',
        "artifacts.write_array({}, numpy.arange(20_000))",
    ],
)
def test_a_full_disk_leaves_no_incomplete_file(tmp_path: Path, write: str) -> None:
    path = tmp_path / "file"
    program = f"""
from pathlib import Path
import numpy, pandas
from classifier import artifacts, tables
from project import cli
with cli.one_line_errors("main"):
    {write.format(f"Path({str(path)!r})")}
"""

    def limit_file_size() -> None:  # writing more fails, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit_file_size)
    assert result.returncode == 1
    assert result.stderr == f"error: main: cannot write {path}: File too large\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", lambda data: data[:-1], lambda data: data + b"0", lambda data: data[:64] + data,
     lambda data: data.replace(b"(5,)", b"(9,)"), lambda data: data.replace(b"<i8", b"|O8")],
)  # fmt: skip
def test_a_corrupt_array_is_a_one_line_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "array.npy"
    artifacts.write_array(path, np.arange(5))
    assert artifacts.read_array(path).tolist() == [0, 1, 2, 3, 4]
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"array\.npy is not a whole NumPy array \(.+\); make repro makes it$"):
        artifacts.read_array(path)


@pytest.mark.parametrize("rows", [None, np.arange(2500)[::-1], np.arange(0)])
def test_an_array_is_written_as_numpy_writes_it(tmp_path: Path, rows: NDArray[np.intp] | None) -> None:
    array = np.arange(2500 * 6, dtype=np.uint16).reshape(2500, 2, 3)  # more rows than are written at a time
    artifacts.write_array(tmp_path / "actual.npy", array, rows)
    np.save(tmp_path / "expected.npy", array if rows is None else array[rows])
    assert (tmp_path / "actual.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_json_is_rounded_and_ends_with_a_newline(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "a.json", {"test": {"loss": 0.123456789, "epochs": 3}})
    assert (tmp_path / "a.json").read_bytes() == b'{\n  "test": {\n    "loss": 0.123457,\n    "epochs": 3\n  }\n}\n'


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    counts = pd.DataFrame({"actual": list("aabb"), "predicted": list("abab"), "count": [3, 1, 0, 4]})
    digests = set()
    for name in ("one", "two"):
        tables.write(tmp_path / "table", counts, tables.CONFUSION)
        artifacts.write_array(tmp_path / "array", np.arange(5))
        figures.write(tmp_path / "picture", figures.confusion_matrix(counts, "title"))
        content = b"".join((tmp_path / kind).read_bytes() for kind in ("table", "array", "picture"))
        digests.add(hashlib.sha256(content).hexdigest())
        assert b"\r" not in (tmp_path / "table").read_bytes(), name
        assert b"Software" not in (tmp_path / "picture").read_bytes()
    assert len(digests) == 1
