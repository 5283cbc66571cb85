"""What a revision of the project holds, read from git through DVC: no cache and no remote is needed."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.repo import Repo
from numpy.typing import NDArray
from pydantic import FiniteFloat, TypeAdapter
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from classifier import results
from classifier.cli import InputError
from review.repository import switched
from review.stale import stale

PREDICTIONS = "metrics/predictions.csv"
NEEDED = (
    "params.yaml",
    "dvc.lock",
    "metrics/train.json",
    "metrics/evaluate.json",
    PREDICTIONS,
    "plots/history.csv",
)
MISTAKES = "plots/mistakes.npy"
SEEDS = "metrics/seeds"
NOT_OF_THE_RECIPE = ("train.seed", "dataset.sources", "plot.mistakes")
PREPARED = "data/prepared"
TEST_SPLIT = "data/prepared/test"

SCORES = TypeAdapter(dict[str, dict[str, FiniteFloat]])


@dataclass(frozen=True)
class Revision:
    """A revision's params and results.

    name: as it was asked for. commit: None for the workspace. recipe: a name for its params. lock: the stages of
    dvc.lock. cost, scores, predictions, history: as train and evaluate wrote them. mistakes: the images of the wrong
    predictions, in the order of predictions, uint8 of shape (n, height, width); None where the revision has none.
    seeds: test accuracies of several seeds, by recipe. stale: what keeps the results from being up to date.
    test_readers: the stages that depend on the test split.
    """

    name: str
    commit: str | None
    recipe: str
    classes: list[str]
    lock: dict[str, Any]
    cost: dict[str, Any]
    scores: dict[str, dict[str, float]]
    predictions: pd.DataFrame
    history: pd.DataFrame
    mistakes: NDArray[np.uint8] | None
    seeds: dict[str, list[float]]
    stale: list[str]
    test_readers: list[str]

    @property
    def label(self) -> str:
        if self.commit is None:
            return self.name
        short = self.commit[:7]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    @property
    def code(self) -> dict[str, str]:
        """The hashes of the modules behind the results, by path."""
        return {path: md5 for path, md5 in self._inputs.items() if path.endswith(".py")}

    def hash_of(self, path: str) -> str | None:
        """The hash of a stage's input or output as dvc.lock records it."""
        return self._inputs.get(path)

    @cached_property
    def _inputs(self) -> dict[str, str]:
        return {item["path"]: item["md5"] for stage in self.lock.values() for item in stage.get("deps", [])}


def same_test_set(before: Revision, after: Revision) -> bool:
    """Whether the predictions are of the same images in the same order."""
    return before.hash_of(TEST_SPLIT) == after.hash_of(TEST_SPLIT) and before.predictions["actual"].equals(
        after.predictions["actual"]
    )


def recipe(params: dict[str, Any]) -> str:
    """A short name of all params that scores depend on, but the seed of the training.

    Runs of one recipe differ by chance alone. What is off, 0 or false, counts as absent: a new param that is off
    leaves the names as they are.
    """
    on = {
        section: {key: value for key, value in values.items() if value and f"{section}.{key}" not in NOT_OF_THE_RECIPE}
        for section, values in params.items()
    }
    kept = {section: values for section, values in on.items() if values}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def seed_rows(path: Path) -> pd.DataFrame:
    """The rows of a table of seeds, without those of their mean and standard deviation.

    Raises:
        InputError: it is no such table.
    """
    try:
        table = pd.read_csv(path, dtype={"seed": str, "model": str, "accuracy": float})
        table[["seed", "accuracy"]]  # older tables have no other columns in common
    except (ValueError, KeyError) as error:
        raise InputError(f"{path} is no table of seeds ({' '.join(str(error).split())}); make seeds makes it") from None
    return table[table["seed"].str.isdigit()].astype({"seed": int})


def read(repo: Repo, name: str) -> Revision:
    """Read a revision's results.

    Raises:
        InputError: there is no such revision, it holds no results, or they are not what the stages write.
    """
    with tempfile.TemporaryDirectory() as temporary, switched(repo, name) as commit:
        folder = Path(temporary)
        seeds = repo.dvcfs.find(SEEDS) if repo.dvcfs.exists(SEEDS) else []
        for path in filter(repo.dvcfs.exists, [*NEEDED, MISTAKES, *seeds]):
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            repo.dvcfs.get_file(path, str(target))
        for path in NEEDED:
            if not (folder / path).exists():
                raise InputError(f"{name} holds no results: {path} is missing; run dvc repro there, and commit")
        try:
            return _parsed(name, commit, folder, stale=stale(repo), test_readers=_test_readers(repo))
        except (InputError, ValueError, KeyError, TypeError, AttributeError, YAMLError) as error:
            reason = " ".join(str(error).replace(f"{folder}/", "").split())
            raise InputError(f"the results of {name} are not what the stages write: {reason:.200}") from error


def _test_readers(repo: Repo) -> list[str]:
    stages = repo.index.stages
    return sorted({stage.name for stage in stages for dep in stage.deps if dep.def_path in (TEST_SPLIT, PREPARED)})


def _accuracies(folder: Path) -> dict[str, list[float]]:
    """By recipe, of all tables with the two seeds that a spread needs."""
    tables = {path.stem: seed_rows(path)["accuracy"].tolist() for path in folder.glob("*.csv")}
    return {name: values for name, values in tables.items() if len(values) > 1}


def _scores(path: Path) -> dict[str, dict[str, float]]:
    scores = SCORES.validate_json(path.read_bytes())
    for split in ("validation", "test"):
        if "accuracy" not in scores.get(split, {}):
            raise ValueError(f"{path} lacks the accuracy of {split}")
    return scores


def _parsed(name: str, commit: str | None, folder: Path, **about: list[str]) -> Revision:
    yaml = YAML(typ="safe")
    params = yaml.load(folder / "params.yaml")
    classes = [str(name) for name in params["dataset"]["classes"]]
    predictions = results.read_predictions(folder / PREDICTIONS, classes)
    return Revision(
        name=name,
        commit=commit,
        recipe=recipe(params),
        classes=classes,
        lock=yaml.load(folder / "dvc.lock")["stages"],
        cost=results.read_cost(folder / "metrics/train.json"),
        scores=_scores(folder / "metrics/evaluate.json"),
        predictions=predictions,
        history=results.read_history(folder / "plots/history.csv"),
        mistakes=results.read_mistakes(folder / MISTAKES, predictions) if (folder / MISTAKES).exists() else None,
        seeds=_accuracies(folder / SEEDS),
        **about,
    )
