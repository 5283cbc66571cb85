"""Recipes, and the tables of what each seed of a recipe reached: metrics/seeds/RECIPE.csv.

A recipe is all params that scores depend on, but the seed of the training. Runs of one recipe, with the same code and
data, differ by chance alone.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import tables
from classifier.errors import UserError
from classifier.params import load_yaml
from project import paths, snapshot

NOT_OF_THE_RECIPE = ("train.seed", "dataset.sources", "plot.mistakes")
REMEDY = "remove the file, and make seeds or make experiments makes it again"
STAGES = ("prepare", "train", "evaluate")  # whose code is that of a result

# The scores are those of the test split, but for those of the validation split, which say so. model, code, data:
# hashes, of the model file and as in Origin. correct: which images were classified correctly, as by tables.pack
COLUMNS: tables.Schema = {
    "seed": int, "accuracy": float, "loss": float, "confidence": float, "f1": float, "validation_accuracy": float,
    "parameters": int, "multiply_adds": int, "epochs": int, "images_seen": int,
    "model": str, "code": str, "data": str,
    "images": int, "correct": str, "validation_images": int, "validation_correct": str,
}  # fmt: skip
LARGEST_LOSS = 100  # nats; evaluate limits the loss of an image to less than half of it
SHARES = ("accuracy", "confidence", "f1", "validation_accuracy")
SPLITS = {"test": "", "validation": "validation_"}  # the prefix of a split's columns


class Origin(NamedTuple):
    """What a result was made from, beside the params: hashes of the code of STAGES, and of the splits."""

    code: str
    data: str


def recipe(params: dict[str, Any]) -> str:
    """A short name for a recipe: a hash of all params that scores depend on, but the seed of the training.

    What is off, 0 or false, counts as absent: a new param that is off leaves the names as they are.
    """
    on = {
        section: {key: value for key, value in values.items() if value and f"{section}.{key}" not in NOT_OF_THE_RECIPE}
        for section, values in params.items()
    }
    kept = {section: values for section, values in on.items() if values}
    return _short_hash(kept)


def origin(lock: dict[str, Any], stages: Sequence[str] = STAGES) -> Origin:
    """The origin of the results that belong to a dvc.lock.

    lock: the stages of dvc.lock. stages: those that made the results.
    """
    deps = {dep["path"]: dep.get("md5") for stage in stages for dep in lock.get(stage, {}).get("deps", [])}
    code = {path: md5 for path, md5 in deps.items() if path.endswith(".py")}
    splits = [deps.get(str(path)) for path in (paths.TRAINING_SPLIT, paths.VALIDATION_SPLIT, paths.TEST_SPLIT)]
    return Origin(_short_hash(code), _short_hash(splits))


def code_of_working_tree(stages: Sequence[str] = STAGES) -> str:
    """Origin.code of the results that the stages of the working tree would make."""
    declared = load_yaml(paths.DVC_YAML)["stages"]
    deps = {dep for stage in stages for dep in declared.get(stage, {}).get("deps", []) if dep.endswith(".py")}
    return _short_hash({dep: snapshot.md5(Path(dep).read_bytes()) for dep in deps if Path(dep).exists()})


def model(lock: dict[str, Any]) -> str | None:
    """The MD5 of the model file that belongs to a dvc.lock; None if that has none. lock: its stages."""
    outs = lock.get("train", {}).get("outs", [])
    return next((out.get("md5") for out in outs if out["path"] == str(paths.MODEL)), None)


def path(recipe: str) -> Path:
    return paths.SEEDS / f"{recipe}.csv"


def read(recipe: str) -> pd.DataFrame:
    """The runs of a recipe, one row per seed in ascending order, with the columns COLUMNS; none if there is no table.

    Raises:
        UserError: the file is not such a table.
    """
    if not path(recipe).exists():
        return no_rows(COLUMNS)
    return read_file(path(recipe))


def no_rows(columns: tables.Schema) -> pd.DataFrame:
    """An empty table with typed columns."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})


def read_file(path: Path) -> pd.DataFrame:
    """The runs in a table of seeds.

    Raises:
        UserError: the file is not such a table, has a seed twice, or a score that cannot be.
    """
    header = path.open(encoding="utf-8", errors="replace").readline().strip()
    if header != ",".join(COLUMNS):
        raise UserError(f"{path} was written by another version, or is not a table of seeds; {REMEDY}")
    try:
        table = tables.read(path, COLUMNS)
    except UserError as error:
        raise UserError(f"{str(error).rpartition(';')[0]}; {REMEDY}") from None
    if problem := _problem(table):
        raise UserError(f"{path}: {problem}; {REMEDY}")
    return table.sort_values("seed", ignore_index=True)  # merged by hand, they may be in another order


def read_all(folder: Path) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The tables in a folder by recipe, and why others in it cannot be used."""
    found, unusable = {}, []
    for path in sorted(folder.glob("*.csv")):
        try:
            found[path.stem] = read_file(path)
        except UserError as error:
            unusable.append(str(error).replace(f"{folder}/", ""))
    return found, unusable


def current(runs: pd.DataFrame, origin: Origin) -> pd.DataFrame:
    """The runs of this code and data; the others are stale."""
    return runs[(runs["code"] == origin.code) & (runs["data"] == origin.data)]


def correct(runs: pd.DataFrame, split: str = "test") -> NDArray[np.bool_]:
    """Which images each run classifies correctly: bool of shape (runs, images).

    Raises:
        ValueError: the runs are none, or of different numbers of images.
    """
    return np.stack([tables.unpack(*row) for row in _packed(runs, split)])


def add(recipe: str, run: dict[str, Any]) -> None:
    """Add a run to the table of its recipe, in place of one of the same seed. run: a value for each of COLUMNS."""
    others = [row for row in read(recipe).to_dict("records") if row["seed"] != run["seed"]]
    table = pd.DataFrame([*others, run], columns=list(COLUMNS)).sort_values("seed")
    tables.write(path(recipe), table, COLUMNS)


def _problem(table: pd.DataFrame) -> str:
    """Why no trainings can have reached what a table says; empty if they can."""
    counts = table[[f"{prefix}images" for prefix in SPLITS.values()]]
    if table["seed"].duplicated().any():
        return "a seed stands there twice"
    shares = table[list(SHARES)].apply(lambda column: column.between(0, 1)).all(axis=None)
    if not shares or not table["loss"].between(0, LARGEST_LOSS).all():
        return "a score is out of its range"
    if (counts < 1).any(axis=None) or (counts.groupby(table["data"]).nunique() > 1).any(axis=None):
        return "the numbers of images are not those of one data set"
    for split, prefix in SPLITS.items():
        try:
            accuracies = [tables.unpack(*row).mean() for row in _packed(table, split)]
        except ValueError as error:
            return str(error)
        if not np.allclose(accuracies, table[f"{prefix}accuracy"], rtol=0, atol=1e-6):
            return "an accuracy is not that of its images"
    return ""


def _packed(runs: pd.DataFrame, split: str) -> Iterable[tuple[str, int]]:
    """For each run, which images it classifies correctly, as by tables.pack, and their number."""
    prefix = SPLITS[split]
    return zip(runs[f"{prefix}correct"], runs[f"{prefix}images"], strict=True)


def _short_hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
