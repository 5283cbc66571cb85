"""Train a recipe with several seeds, and keep what each reached in metrics/seeds/.

    python -m experiments.seeds --count 5

trains the recipe of params.yaml with the seeds 1 to 5. A row is added to the recipe's table as soon as a run has
finished. Seeds that are in the table already are not trained again, unless the code or the data have changed since.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
from dvc.repo import Repo

from classifier.errors import UserError
from classifier.params import PARAMS, load_params, load_yaml
from experiments import dvc_queue, runner
from experiments.dvc_queue import Changes
from experiments.runner import Runner
from project import cli, paths, seeds
from project.repository import at_revision, open_repo
from project.text import mean_and_sd

COUNTED = ("images", "correct")  # columns of metrics/correct.csv


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--count", type=cli.number(int, 2), default=5, metavar="N", help="seeds 1 to N; default 5")
    runner.add_options(parser)
    options = parser.parse_args()
    load_params()  # an invalid params.yaml is reported now, not by the first run
    recipe = seeds.recipe(load_yaml(PARAMS))
    run_all = runner.select_runner(options)
    try:
        with open_repo() as repo:
            for _ in train(repo, {recipe: {}}, options.count, run_all):
                pass
    finally:  # what there is, if some runs have failed
        runs = of_this_code(recipe)
        print_scores(runs)
    if runs.empty:
        raise UserError(f"the code has changed since these trainings began, whose scores are in {seeds.path(recipe)}")
    print(f"{seeds.path(recipe)}: commit it; reviews of these params use it")


def print_scores(runs: pd.DataFrame) -> None:
    """Print the scores of each run, and the mean of the test accuracies if there are several runs."""
    if not runs.empty:
        print(runs[["seed", "validation_accuracy", "accuracy", "loss"]].round(4).to_string(index=False))
    if len(runs) > 1:
        accuracy = runs["accuracy"]
        print(f"test accuracy: {mean_and_sd(accuracy.mean(), accuracy.std(), len(runs))}")


def train(repo: Repo, recipes: dict[str, Changes], count: int, run_all: Runner) -> Iterator[str]:
    """Train every recipe with those of the seeds 1 to `count` that are missing or stale; yields it after each run.

    recipes: the changes of params.yaml, by recipe.
    """
    missing = {
        f"seed-{seed}-of-{recipe}": (recipe, seed)
        for recipe in recipes
        for seed in sorted(set(range(1, count + 1)) - set(of_this_code(recipe)["seed"]))
    }
    changes = {run: recipes[recipe] | {"train.seed": seed} for run, (recipe, seed) in missing.items()}
    for run in run_all(repo, changes):
        recipe, seed = missing[run]
        seeds.add(recipe, {"seed": seed, **run_results(repo, run)})
        yield recipe


def of_this_code(recipe: str) -> pd.DataFrame:
    """The runs in a recipe's table that belong to the code of the working tree.

    Their data follow from the recipe and the code, and may be others than those of the working tree.
    """
    runs = seeds.read(recipe)
    return runs[runs["code"] == seeds.code_of_working_tree()]


def run_results(repo: Repo, run: str) -> dict[str, Any]:
    """The columns of project.seeds for a finished run, without its seed."""
    scores = dvc_queue.result(repo, run, paths.SCORES)
    summary = dvc_queue.result(repo, run, paths.TRAINING_SUMMARY)
    lock = dvc_queue.result(repo, run, paths.DVC_LOCK)["stages"]
    with at_revision(repo, run), repo.dvcfs.open(str(paths.CORRECT)) as stream:
        correct = pd.read_csv(stream, index_col="split")
    return {
        **{name: scores["test"][name] for name in ("accuracy", "loss", "confidence", "f1")},
        "validation_accuracy": scores["validation"]["accuracy"],
        **{name: summary[name] for name in ("parameters", "multiply_adds", "epochs", "images_seen")},
        "model": seeds.model(lock),
        **seeds.origin(lock)._asdict(),
        **{f"{prefix}{name}": correct.at[split, name] for split, prefix in seeds.SPLITS.items() for name in COUNTED},
    }


if __name__ == "__main__":
    with cli.one_line_errors("experiments.seeds"):
        main()
