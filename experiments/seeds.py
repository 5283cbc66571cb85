"""Train the current params with several seeds, and keep what each reached in metrics/seeds/.

    python -m experiments.seeds --count 5

A table is named by its recipe, that is, by all params but train.seed. It has a row a seed, written as soon as that
run has finished, and their mean and standard deviation.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.repo import Repo

from classifier import artifacts, cli
from classifier.cli import PARAMS, InputError
from classifier.params import load_params, load_yaml
from experiments import queue, runner
from experiments.queue import Changes
from experiments.runner import Runner
from review.repository import opened
from review.revisions import SEEDS, recipe, seed_rows

MODEL = "models/model.keras"


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    parser.add_argument("--count", type=int, default=5, metavar="N", help="seeds 1 to N; default 5")
    runner.add_options(parser)
    options = parser.parse_args()
    if options.count < 2:
        raise InputError("a spread needs two seeds at least: --count 2")
    load_params()  # to stop now where the first run would
    name = recipe(load_yaml(PARAMS))
    with opened() as repo:
        for _ in train(repo, {name: {}}, options.count, runner.chosen(options)):
            pass
    print(with_spread(runs(name)).round(4).to_string(index=False))
    print(f"{path(name)}: commit it; reviews of these params use it")


def train(repo: Repo, recipes: dict[str, Changes], count: int, run_all: Runner) -> Iterator[str]:
    """Train every recipe with those of the seeds 1 to `count` that its table lacks; yields it after each run.

    recipes: the changed params, by the recipe's name.
    """
    missing = {
        f"seed-{seed}-of-{name}": (name, seed)
        for name in recipes
        for seed in range(1, count + 1)
        if seed not in set(runs(name)["seed"])
    }
    changes = {run: recipes[name] | {"train.seed": seed} for run, (name, seed) in missing.items()}
    for run in run_all(repo, changes):
        name, seed = missing[run]
        rows = [runs(name), pd.DataFrame([{"seed": seed, **reached(repo, run)}])]
        artifacts.write_csv(path(name), with_spread(pd.concat([row for row in rows if len(row)]).sort_values("seed")))
        yield name


def reached(repo: Repo, run: str) -> dict[str, Any]:
    """What a finished run reached: its scores, on the test split unless named otherwise, and its model's hash."""
    scores = queue.result(repo, run, "metrics/evaluate.json")
    trained = queue.result(repo, run, "dvc.lock")["stages"]["train"]
    model = next(out["md5"] for out in trained["outs"] if out["path"] == MODEL)
    return {**scores["test"], "validation_accuracy": scores["validation"]["accuracy"], "model": model}


def runs(recipe: str) -> pd.DataFrame:
    """A row for each seed that has been trained: seed, the scores, and the model's hash."""
    return seed_rows(path(recipe)) if path(recipe).exists() else pd.DataFrame({"seed": []})


def path(recipe: str) -> Path:
    return Path(SEEDS, f"{recipe}.csv")


def with_spread(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, and the scores' mean and standard deviation (with n − 1) below them."""
    spread = runs.drop(columns=["seed", "model"]).agg(["mean", "std"]).rename({"std": "standard deviation"})
    return pd.concat([runs.astype({"seed": str}), spread.rename_axis("seed").reset_index()])


if __name__ == "__main__":
    with cli.one_line_errors("experiments.seeds"):
        main()
