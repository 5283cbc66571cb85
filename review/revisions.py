"""The params and results of a revision, read from git alone."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import tables
from classifier.errors import UserError
from classifier.params import PARAMS
from project import paths, scores, seeds
from project.seeds import Origin
from project.snapshot import DESCRIBING, Snapshot, Stage, describe, snapshot
from project.stale import stale

NEEDED = (*DESCRIBING, paths.TRAINING_SUMMARY, paths.SCORES, paths.PREDICTIONS, paths.HISTORY)
LONGEST = 30_000  # characters of a param, and of a table's first line: a million columns would take gigabytes
LARGEST_NUMBER = 2**63  # of a training's summary
LARGEST_SCORE = 1e6  # in the learning curves


@dataclass(frozen=True)
class Revision:
    """A revision's params and results.

    name: as the user gave it. commit: None for the workspace. params: by their full names. recipe: see project.seeds.
    seed: of the training. lock: the stages of dvc.lock. summary, predictions, history: as train and evaluate
    wrote them. correct: whether each image is classified correctly, bool of shape (n,), by split; older revisions have
    the test split only. mistakes: the images of the wrong predictions, in the order of predictions, uint8 of shape
    (n, height, width); None if the revision lacks them. seeds: the tables of seeds, by recipe. unusable: why other
    tables of seeds cannot be used. stale: why the results are stale, empty if they are not. test_readers: the stages
    that depend on the test split.
    """

    name: str
    commit: str | None
    params: dict[str, Any]
    recipe: str
    seed: int
    classes: list[str]
    lock: dict[str, Any]
    summary: dict[str, Any]
    predictions: pd.DataFrame
    correct: dict[str, NDArray[np.bool_]]
    history: pd.DataFrame
    mistakes: NDArray[np.uint8] | None
    seeds: dict[str, pd.DataFrame]
    unusable: list[str]
    stale: list[str]
    test_readers: list[str]

    @property
    def label(self) -> str:
        if self.commit is None:
            return self.name
        short = self.commit[:7]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"

    @cached_property
    def origin(self) -> Origin:
        """The code and data of the results."""
        return seeds.origin(self.lock)

    def code(self, *stages: str) -> dict[str, Any]:
        """What the results of stages, or of all, come from, beside params and data: file hashes, and the commands."""
        chosen = {name: stage for name, stage in self.lock.items() if name in stages or not stages}
        made = {out["path"] for stage in self.lock.values() for out in stage["outs"]}
        deps = {
            dep["path"]: dep["md5"] for stage in chosen.values() for dep in stage["deps"] if dep["path"] not in made
        }
        return deps | {f"the command of {name}": stage["cmd"] for name, stage in chosen.items()}

    def hash_of(self, path: Path) -> str | None:
        """The hash of a dep of a stage, as dvc.lock records it."""
        return self._inputs.get(str(path))

    @cached_property
    def _inputs(self) -> dict[str, str | None]:
        return {item["path"]: item.get("md5") for stage in self.lock.values() for item in stage.get("deps", [])}


def same_test_set(before: Revision, after: Revision) -> bool:
    """Whether the predictions are of the same images in the same order."""
    return before.hash_of(paths.TEST_SPLIT) == after.hash_of(paths.TEST_SPLIT) and before.predictions["actual"].equals(
        after.predictions["actual"]
    )


def read(name: str) -> Revision:
    """Read a revision's params and results.

    Raises:
        UserError: there is no such revision, it holds no results, or they are not what the stages write.
    """
    files = snapshot(name)
    optional = [paths.CORRECT, paths.MISTAKES, *files.files(paths.SEEDS)]
    with files.extracted([*NEEDED, *optional]) as folder:
        for needed in NEEDED:
            if not (folder / needed).exists():
                raise UserError(f"{name} holds no results: {needed} is missing; run dvc repro there, and commit")
        try:
            _check_headers(folder)
            return _parse(files, folder)
        except (UserError, OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
            reason = " ".join(str(error).replace(f"{folder}/", "").split())
            raise UserError(f"the results of {name} are not what the stages write: {reason:.200}") from error


def _test_readers(stages: dict[str, Stage]) -> list[str]:
    """The stages that depend on the test split, on a part of it, or on a folder that contains it.

    data/raw contains it as well; of that, prepare makes the splits.
    """
    return sorted(
        name
        for name, stage in stages.items()
        if any(
            _overlap(Path(dep), paths.TEST_SPLIT) or (name != "prepare" and _overlap(Path(dep), paths.RAW))
            for dep in stage.deps
        )
    )


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def _correct(folder: Path, predictions: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    of_test = (predictions["predicted"] == predictions["actual"]).to_numpy()
    path = folder / paths.CORRECT
    if not path.exists():  # older than that file
        return {"test": of_test}
    correct = tables.read_correct(path)
    if not np.array_equal(correct.get("test", ()), of_test):
        raise ValueError(f"{path} does not belong to {paths.PREDICTIONS}")
    return correct


def _check_headers(folder: Path) -> None:
    for path in folder.rglob("*.csv"):
        if path.is_dir():
            raise ValueError(f"{path} is a folder")
        with path.open("rb") as stream:
            if len(stream.readline(LONGEST + 1)) > LONGEST:
                raise ValueError(f"the first line of {path} is too long for a table")


def _parse(files: Snapshot, folder: Path) -> Revision:
    """The revision whose files are in a folder."""
    params, stages, locked = description = describe(folder)
    classes = [str(name) for name in params["dataset"]["classes"]]
    predictions = tables.read_predictions(folder / paths.PREDICTIONS, classes)
    if not predictions["loss"].between(0, seeds.LARGEST_LOSS).all():
        raise ValueError(f"{paths.PREDICTIONS} has a loss that is out of its range")
    mistakes = folder / paths.MISTAKES
    scores.read(folder / paths.SCORES)  # no report uses them, but an invalid file is no result
    seeds_tables, unusable = seeds.read_all(folder / paths.SEEDS)
    values = flat(params)
    if any(len(str(value)) > LONGEST for value in values.values()):
        raise ValueError(f"{PARAMS} has a value that is too long")
    summary, history = tables.read_summary(folder / paths.TRAINING_SUMMARY), tables.read_history(folder / paths.HISTORY)
    if any(abs(value) > LARGEST_NUMBER for value in summary.values() if isinstance(value, int | float)):
        raise ValueError(f"{paths.TRAINING_SUMMARY} has a number that is too large")
    if not (history[tables.CURVES].abs() < LARGEST_SCORE).all(axis=None):
        raise ValueError(f"{paths.HISTORY} has a number that is too large")
    return Revision(
        name=files.name,
        commit=files.commit,
        params=values,
        recipe=seeds.recipe(params),
        seed=int(params["train"]["seed"]),
        classes=classes,
        lock={name: stage.model_dump() for name, stage in locked.items()},
        summary=summary,
        predictions=predictions,
        correct=_correct(folder, predictions),
        history=history,
        mistakes=tables.read_mistakes(mistakes, predictions) if mistakes.exists() else None,
        seeds=seeds_tables,
        unusable=unusable,
        stale=stale(files, description),
        test_readers=_test_readers(stages),
    )


def flat(params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested params by their full names, as in train.epochs."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
