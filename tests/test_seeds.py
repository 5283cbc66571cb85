"""Tables of seeds are read back as they were written, and refused if they hold what a training cannot have reached."""

import copy
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier import tables
from classifier.errors import UserError
from classifier.params import load_yaml
from project import paths, seeds
from project.seeds import COLUMNS, Origin
from tests.conftest import ROOT

NUMBERS = [name for name, kind in COLUMNS.items() if kind is not str]
LOCK: dict[str, Any] = {
    "prepare": {"deps": [{"path": "stages/prepare.py", "md5": "1"}]},
    "train": {
        "deps": [
            {"path": "data/prepared/train", "md5": "2.dir"},
            {"path": "data/prepared/validation", "md5": "3.dir"},
            {"path": "classifier/models.py", "md5": "4"},
        ],
        "params": {"params.yaml": {"train.epochs": 25}},
        "outs": [{"path": "models/model.keras", "md5": "5"}],
    },
    "evaluate": {"deps": [{"path": "data/prepared/test", "md5": "6.dir"}, {"path": "stages/evaluate.py", "md5": "7"}]},
}


def make_run(seed: int, size: int = 21, **changes: object) -> dict[str, Any]:
    """A valid run, whose images depend on the seed."""
    test, validation = (np.random.default_rng([seed, rest]).random(size - rest) < 0.7 for rest in (0, 4))
    return {
        "seed": seed, "accuracy": test.mean(), "loss": 0.25, "confidence": 0.8, "f1": 0.7,
        "validation_accuracy": validation.mean(), "parameters": 34826, "multiply_adds": 2025088, "epochs": 25,
        "images_seen": 1_350_000, "model": "0" * 32, "code": "1e4f00000000", "data": "00000000001e",
        "images": len(test), "correct": tables.pack(test),
        "validation_images": len(validation), "validation_correct": tables.pack(validation),
    } | changes  # fmt: skip


def write(path: Path, *runs: dict[str, Any]) -> Path:
    """Write runs without any check."""
    pd.DataFrame(runs).to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the tables of a project that is the current folder."""
    monkeypatch.chdir(tmp_path)
    paths.SEEDS.mkdir(parents=True)
    return paths.SEEDS


def test_runs_are_read_back_as_they_were_added(folder: Path) -> None:
    runs = {seed: make_run(seed) for seed in (3, 1, 2)}
    for run in runs.values():
        seeds.add("abc", run)
    table = seeds.read("abc")
    assert list(table.columns) == list(COLUMNS)
    assert list(table["seed"]) == [1, 2, 3]
    for row in table.to_dict("records"):
        assert row == pytest.approx(runs[row["seed"]], abs=1e-6)
    for split, prefix in seeds.SPLITS.items():
        expected = [tables.unpack(runs[seed][f"{prefix}correct"], runs[seed][f"{prefix}images"]) for seed in (1, 2, 3)]
        assert (seeds.correct(table, split) == expected).all()


def test_a_run_replaces_that_of_the_same_seed(folder: Path) -> None:
    for run in (make_run(1), make_run(2), make_run(1, code="another00000")):
        seeds.add("abc", run)
    assert list(seeds.read("abc")["code"]) == ["another00000", "1e4f00000000"]


def test_rows_in_another_order_are_sorted(folder: Path) -> None:
    write(seeds.path("abc"), make_run(2), make_run(1))
    assert list(seeds.read("abc")["seed"]) == [1, 2]


def test_a_recipe_without_a_table_has_no_runs(folder: Path) -> None:
    table = seeds.read("abc")
    assert (len(table), list(table.columns)) == (0, list(COLUMNS))
    assert seeds.current(table, Origin("a", "b")).empty


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, value) for column in NUMBERS for value in ("", "nan", "inf", "many")),
        *((column, value) for column in seeds.SHARES for value in (-0.01, 1.01)),
        ("loss", -0.01),
        ("loss", 101),
        ("accuracy", make_run(2)["accuracy"] + 1e-4),
        ("validation_accuracy", make_run(2)["validation_accuracy"] - 1e-4),
        ("seed", 1),
        ("seed", 2.5),
        ("images", 30),
        ("images", 0),
        ("images", -1),
        ("images", 10**12),
        ("validation_images", 30),
        ("correct", ""),
        ("correct", "/+"),
        ("correct", "§§§§"),
        ("correct", make_run(3)["correct"]),
        ("validation_correct", "////"),
    ],
)
def test_a_table_with_an_impossible_value_is_refused(folder: Path, column: str, value: object) -> None:
    path = write(folder / "abc.csv", make_run(1), make_run(2))
    assert len(seeds.read("abc")) == 2
    write(path, make_run(1), make_run(2) | {column: value})
    assert_refused(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed,accuracy", "accuracy,seed"),
        (",confidence", ""),
        ("seed,", "number,"),
        (",validation_correct\n", ",validation_correct,note\n"),
        ("seed,", "<<<<<<< HEAD\nseed,"),
        ("\n1,", "\n<<<<<<< HEAD\n1,"),
        ("\n1,", "\n1,1,"),
        ("\n1,", "\n"),
        ("\n1,", "\n\0,"),
        ("\n1,", '\n"1,'),
        ("\n1,", "\n" + "9" * 30 + ","),
    ],
)
def test_a_file_that_is_not_a_table_of_seeds_is_refused(folder: Path, old: str, new: str) -> None:
    path = write(folder / "abc.csv", make_run(1), make_run(2))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert_refused(path)


@pytest.mark.parametrize("content", [b"", b"\n", b"seed,accuracy\n1,0.91\nmean,0.91\n", b"\xff\xfe\x00", b"PK\x03\x04"])
def test_other_files_are_refused(folder: Path, content: bytes) -> None:
    path = folder / "abc.csv"
    path.write_bytes(content)
    assert_refused(path)


def test_a_table_of_an_older_version_is_named_as_such(folder: Path) -> None:
    path = folder / "abc.csv"
    path.write_text("seed,accuracy\n1,0.91\n")
    with pytest.raises(UserError, match="was written by another version, or is not a table of seeds"):
        seeds.read_file(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": 1}, "a seed stands there twice"),
        ({"accuracy": 1.5}, "a score is out of its range"),
        ({"loss": -1.0}, "a score is out of its range"),
        ({"accuracy": 0.71}, "an accuracy is not that of its images"),
        ({"correct": "AAA="}, "2 bytes do not hold 21 bits"),
        ({"images": 0, "correct": ""}, "the numbers of images are not those of one data set"),
    ],
)
def test_the_reason_why_a_table_is_refused_is_named(folder: Path, changes: dict[str, Any], reason: str) -> None:
    path = write(folder / "abc.csv", make_run(1), make_run(2) | changes)
    with pytest.raises(UserError) as caught:
        seeds.read("abc")
    assert str(caught.value) == f"{path}: {reason}; {seeds.REMEDY}"


def assert_refused(path: Path) -> None:
    """Assert that reading the table is an error of one line, which names the file and the remedy."""
    with pytest.raises(UserError) as caught:
        seeds.read_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(seeds.REMEDY)
    assert "dvc repro" not in message
    assert "\n" not in message


@given(st.data())
@settings(max_examples=300, deadline=None, derandomize=True)
def test_a_damaged_table_is_refused_or_still_valid(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.getbasetemp() / "damaged.csv", make_run(1), make_run(2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(
            st.binary(max_size=2) | st.sampled_from(DAMAGE)
        )
    path.write_bytes(content)
    try:
        table = seeds.read_file(path)
    except UserError:
        return
    assert table["seed"].is_unique
    assert np.isfinite(table[NUMBERS].to_numpy(float)).all()
    for split, prefix in seeds.SPLITS.items():
        assert list(seeds.correct(table, split).mean(axis=1)) == pytest.approx(
            list(table[f"{prefix}accuracy"]), abs=1e-4
        )


DAMAGE = [b"0", b"9", b"-", b".", b",", b"\n", b"nan", b"inf", b"e9", b'"', b"A", b"/"]


def test_all_usable_tables_of_a_folder_are_read_and_the_others_named(folder: Path) -> None:
    write(folder / "good.csv", make_run(1), make_run(2))
    write(folder / "twice.csv", make_run(1), make_run(1))
    write(folder / "nan.csv", make_run(1, accuracy="nan"))
    (folder / "README.md").write_text("no table")
    found, unusable = seeds.read_all(folder)
    assert {name: len(table) for name, table in found.items()} == {"good": 2}
    assert [reason.split()[0].rstrip(":") for reason in unusable] == ["nan.csv", "twice.csv"]
    assert "twice.csv: a seed stands there twice" in unusable[1]
    assert seeds.read_all(folder / "missing") == ({}, [])


def test_runs_on_another_number_of_images_can_stay_in_a_table(folder: Path) -> None:
    for run in (make_run(1), make_run(2), make_run(3, 40, data="other0000000"), make_run(4, 40, data="other0000000")):
        seeds.add("abc", run)
    table = seeds.read("abc")
    assert list(table["images"]) == [21, 21, 40, 40]
    assert seeds.correct(table[2:], "validation").shape == (2, 36)
    assert_refused(write(folder / "abc.csv", make_run(1), make_run(2, 40)))


def test_runs_of_other_code_or_data_are_stale(folder: Path) -> None:
    current = make_run(1)
    origin = Origin(current["code"], current["data"])
    for run in (current, make_run(2), make_run(3, code="x"), make_run(4, data="x"), make_run(5, code="x", data="x")):
        seeds.add("abc", run)
    assert list(seeds.current(seeds.read("abc"), origin)["seed"]) == [1, 2]


@pytest.mark.parametrize(
    ("stage", "path", "field"),
    [
        ("train", "classifier/models.py", "code"),
        ("evaluate", "stages/evaluate.py", "code"),
        ("train", "data/prepared/train", "data"),
        ("train", "data/prepared/validation", "data"),
        ("evaluate", "data/prepared/test", "data"),
        ("prepare", "stages/prepare.py", "code"),
    ],
)
def test_the_origin_changes_with_the_code_of_the_results_and_with_their_data(stage: str, path: str, field: str) -> None:
    before, changed = seeds.origin(LOCK), copy.deepcopy(LOCK)
    next(dep for dep in changed[stage]["deps"] if dep["path"] == path)["md5"] = "other"
    after = seeds.origin(changed)
    assert [name for name in Origin._fields if getattr(before, name) != getattr(after, name)] == [field]


def test_the_origin_depends_on_nothing_else() -> None:
    changed = copy.deepcopy(LOCK)
    changed["train"]["params"]["params.yaml"]["train.epochs"] = 24
    changed["train"]["outs"][0]["md5"] = "other"
    changed["plot"] = {"deps": [{"path": "stages/plot.py", "md5": "8"}]}
    assert seeds.origin(changed) == seeds.origin(dict(reversed(changed.items()))) == seeds.origin(LOCK)
    del changed["train"]["deps"][2]
    assert seeds.origin(changed).code != seeds.origin(LOCK).code


def test_the_code_of_the_working_tree_is_that_of_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared: dict[str, Any] = load_yaml(ROOT / paths.DVC_YAML)
    code = {dep for stage in seeds.STAGES for dep in declared["stages"][stage]["deps"] if dep.endswith(".py")}
    assert len(code) > 10
    for path in (*code, paths.DVC_YAML):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    monkeypatch.chdir(tmp_path)
    before = seeds.code_of_working_tree()
    assert before == seeds.origin(load_yaml(ROOT / paths.DVC_LOCK)["stages"]).code
    edited = Path("classifier/models.py")
    edited.write_text(edited.read_text() + "\n")
    assert seeds.code_of_working_tree() not in (before, seeds.code_of_working_tree(["prepare"]))
    edited.write_bytes((ROOT / edited).read_bytes())
    Path("classifier/new.py").touch()
    assert seeds.code_of_working_tree() == before
    new = paths.DVC_YAML.read_text().replace("- stages/train.py", "- stages/train.py\n      - classifier/new.py")
    paths.DVC_YAML.write_text(new)
    assert seeds.code_of_working_tree() != before, "with a dep that the next run will have"


def test_the_committed_tables_are_valid() -> None:
    found, unusable = seeds.read_all(ROOT / paths.SEEDS)
    assert unusable == []
    assert found
    for recipe, table in found.items():
        assert re.fullmatch("[0-9a-f]{12}", recipe)
        assert len(table) > 1
        assert table["model"].is_unique
