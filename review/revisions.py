"""The params and results of a revision, read from git through DVC: no cache and no remote is needed."""

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

from classifier import tables
from classifier.errors import UserError
from classifier.params import PARAMS
from project import paths, seeds
from project.repository import at_revision
from project.stale import stale

NEEDED = (
    PARAMS,
    paths.DVC_LOCK,
    paths.TRAINING_SUMMARY,
    paths.SCORES,
    paths.PREDICTIONS,
    paths.HISTORY,
)

SCORES = TypeAdapter(dict[str, dict[str, FiniteFloat]])


@dataclass(frozen=True)
class Revision:
    """A revision's params and results.

    name: as the user gave it. commit: None for the workspace. recipe: see project.seeds. lock: the stages of dvc.lock.
    summary, scores, predictions, history: as train and evaluate wrote them. mistakes: the images of the wrong
    predictions, in the order of predictions, uint8 of shape (n, height, width); None if the revision lacks them.
    seeds: the test accuracies of several seeds, by recipe. stale: why the results are stale, empty if they are not.
    test_readers: the stages that depend on the test split.
    """

    name: str
    commit: str | None
    recipe: str
    classes: list[str]
    lock: dict[str, Any]
    summary: dict[str, Any]
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

    def hash_of(self, path: Path) -> str | None:
        """The hash of a dep of a stage, as dvc.lock records it."""
        return self._inputs.get(str(path))

    @cached_property
    def _inputs(self) -> dict[str, str]:
        return {item["path"]: item["md5"] for stage in self.lock.values() for item in stage.get("deps", [])}


def same_test_set(before: Revision, after: Revision) -> bool:
    """Whether the predictions are of the same images in the same order."""
    return before.hash_of(paths.TEST_SPLIT) == after.hash_of(paths.TEST_SPLIT) and before.predictions["actual"].equals(
        after.predictions["actual"]
    )


def read(repo: Repo, name: str) -> Revision:
    """Read a revision's params and results.

    Raises:
        UserError: there is no such revision, it holds no results, or they are not what the stages write.
    """
    with tempfile.TemporaryDirectory() as temporary, at_revision(repo, name) as commit:
        folder = Path(temporary)
        seeds_tables = repo.dvcfs.find(str(paths.SEEDS)) if repo.dvcfs.exists(str(paths.SEEDS)) else []
        for path in filter(repo.dvcfs.exists, [*map(str, NEEDED), str(paths.MISTAKES), *seeds_tables]):
            target = folder / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            repo.dvcfs.get_file(path, str(target))
        for needed in NEEDED:
            if not (folder / needed).exists():
                raise UserError(f"{name} holds no results: {needed} is missing; run dvc repro there, and commit")
        try:
            return _parse(name, commit, folder, stale=stale(repo), test_readers=_test_readers(repo))
        except (UserError, ValueError, KeyError, TypeError, AttributeError, YAMLError) as error:
            reason = " ".join(str(error).replace(f"{folder}/", "").split())
            raise UserError(f"the results of {name} are not what the stages write: {reason:.200}") from error


def _test_readers(repo: Repo) -> list[str]:
    """The stages that depend on the test split, or on the folder of all splits."""
    read = {str(paths.TEST_SPLIT), str(paths.PREPARED)}
    return sorted({stage.name for stage in repo.index.stages for dep in stage.deps if dep.def_path in read})


def _accuracies(folder: Path) -> dict[str, list[float]]:
    """The test accuracies of each recipe with at least two seeds, which is what a standard deviation needs."""
    by_recipe = {path.stem: seeds.read_accuracies(path) for path in folder.glob("*.csv")}
    return {recipe: accuracies for recipe, accuracies in by_recipe.items() if len(accuracies) > 1}


def _scores(path: Path) -> dict[str, dict[str, float]]:
    scores = SCORES.validate_json(path.read_bytes())
    for split in ("validation", "test"):
        if "accuracy" not in scores.get(split, {}):
            raise ValueError(f"{path} lacks the accuracy of {split}")
    return scores


def _parse(name: str, commit: str | None, folder: Path, **about: list[str]) -> Revision:
    """The revision whose files are in a folder."""
    yaml = YAML(typ="safe")
    params = yaml.load(folder / PARAMS)
    classes = [str(name) for name in params["dataset"]["classes"]]
    predictions = tables.read_predictions(folder / paths.PREDICTIONS, classes)
    mistakes = folder / paths.MISTAKES
    return Revision(
        name=name,
        commit=commit,
        recipe=seeds.recipe(params),
        classes=classes,
        lock=yaml.load(folder / paths.DVC_LOCK)["stages"],
        summary=tables.read_summary(folder / paths.TRAINING_SUMMARY),
        scores=_scores(folder / paths.SCORES),
        predictions=predictions,
        history=tables.read_history(folder / paths.HISTORY),
        mistakes=tables.read_mistakes(mistakes, predictions) if mistakes.exists() else None,
        seeds=_accuracies(folder / paths.SEEDS),
        **about,
    )
