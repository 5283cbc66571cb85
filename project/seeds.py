"""Recipes, and the tables of what each seed of a recipe reached: metrics/seeds/RECIPE.csv.

A recipe is all params but the seed of the training. Runs of one recipe differ by chance alone.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from classifier import tables
from classifier.errors import UserError
from project import paths

NOT_OF_THE_RECIPE = ("train.seed", "dataset.sources", "plot.mistakes")

# The scores are those of the test split, but for validation_accuracy; model is the MD5 of the model file
COLUMNS: tables.Schema = {
    "seed": int, "loss": float, "accuracy": float, "precision": float, "recall": float, "f1": float,
    "validation_accuracy": float, "parameters": int, "multiply_adds": int, "epochs": int, "images_seen": int,
    "model": str,
}  # fmt: skip


def recipe(params: dict[str, Any]) -> str:
    """A short name for a recipe: a hash of all params that scores depend on, but the seed of the training.

    What is off, 0 or false, counts as absent: a new param that is off leaves the names as they are.
    """
    on = {
        section: {key: value for key, value in values.items() if value and f"{section}.{key}" not in NOT_OF_THE_RECIPE}
        for section, values in params.items()
    }
    kept = {section: values for section, values in on.items() if values}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def path(recipe: str) -> Path:
    return paths.SEEDS / f"{recipe}.csv"


def read(recipe: str) -> pd.DataFrame:
    """The runs of a recipe, one row per seed in ascending order, with the columns COLUMNS; none if there is no table.

    Raises:
        UserError: the file is not such a table.
    """
    if not path(recipe).exists():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    return tables.read(path(recipe), COLUMNS)


def add(recipe: str, run: dict[str, Any]) -> None:
    """Add a run to the table of its recipe. run: a value for each of COLUMNS."""
    rows = [*read(recipe).to_dict("records"), run]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("seed")
    tables.write(path(recipe), table, COLUMNS)


def read_accuracies(path: Path) -> list[float]:
    """The test accuracies in a table of seeds of any revision, one per seed.

    Older tables have fewer columns, and two rows for mean and standard deviation below the seeds.

    Raises:
        UserError: the file is not a table of seeds.
    """
    try:
        table = pd.read_csv(path, dtype={"seed": str, "accuracy": float})
        accuracies = table.loc[table["seed"].str.isdigit(), "accuracy"]
    except (ValueError, KeyError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a table of seeds ({reason}); make seeds makes it") from None
    return [float(accuracy) for accuracy in accuracies]
