"""Train the current params with several seeds, and keep their test scores in metrics/seeds/, beside the metrics.

    python -m review.seeds --count 5

DVC's experiment queue runs them one after another, from the files as they are now; what it has in its run cache it
does not train again. The table is named by the recipe, that is, by all params but train.seed. It has a row a seed,
and their mean and standard deviation.
"""

import argparse
import inspect
import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from dvc.repo import Repo
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier import artifacts, cli
from classifier.cli import InputError
from classifier.params import PATH, load_params
from review.repository import opened, switched
from review.revisions import SEEDS, recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    parser.add_argument("--count", type=int, default=5, metavar="N", help="seeds 1 to N; default 5")
    count = parser.parse_args().count
    if count < 2:
        raise InputError("a spread needs two seeds at least: --count 2")
    load_params()  # to stop now where the first run would
    name = recipe(YAML(typ="safe").load(PATH))
    experiments = {seed: f"seed-{seed}-of-{name}" for seed in range(1, count + 1)}

    with opened() as repo:
        _forget(repo, set(experiments.values()))
        for seed, experiment in experiments.items():
            _dvc("exp", "run", "--queue", "--name", experiment, "--set-param", f"train.seed={seed}")
        try:
            _dvc("queue", "start")
            _wait(repo, list(experiments.values()))
        except KeyboardInterrupt:
            _dvc("queue", "stop", "--kill")
            raise
        scores = {seed: _test_scores(repo, experiment) for seed, experiment in experiments.items()}
    table = summary(scores)
    artifacts.write_csv(Path(SEEDS, f"{name}.csv"), table)
    print(table.round(4).to_string(index=False))
    print(f"{SEEDS}/{name}.csv: commit it; reviews of these params use it")


def summary(scores: dict[int, dict[str, float]]) -> pd.DataFrame:
    """A row a seed with its scores, then the rows "mean" and "standard deviation" (with n − 1)."""
    table = pd.DataFrame.from_dict(scores, orient="index")
    spread = {"mean": table.mean(), "standard deviation": table.std()}
    return pd.concat([table, pd.DataFrame(spread).T]).rename_axis("seed").reset_index()


def _wait(repo: Repo, experiments: list[str]) -> None:
    """Show how many of the queued experiments have finished, until all have."""
    with tqdm(total=len(experiments), unit="seed", desc="dvc queue logs NAME shows the training") as progress:
        finished = 0
        while finished < len(experiments):
            time.sleep(3)  # asking DVC takes half a second of computing
            states = _states(repo)
            failed = [name for name in experiments if states.get(name) == "Failed"]
            if failed:
                raise InputError(f"{failed[0]} failed; dvc queue logs {failed[0]} tells why")
            finished = sum(states.get(name) == "Success" for name in experiments)
            progress.update(finished - progress.n)


def _states(repo: Repo) -> dict[str, str]:
    return {task["name"]: task["status"] for task in repo.experiments.celery_queue.status()}


def _forget(repo: Repo, experiments: set[str]) -> None:
    """Remove what an earlier call left under these names: tasks and experiments."""
    if tasks := experiments & set(_states(repo)):
        _dvc("queue", "remove", *tasks)
    if kept := experiments & {name for found in repo.experiments.ls(all_commits=True).values() for name, _ in found}:
        _dvc("exp", "remove", *kept)


def _test_scores(repo: Repo, experiment: str) -> dict[str, float]:
    with switched(repo, experiment):
        scores: dict[str, float] = json.loads(repo.dvcfs.read_text("metrics/evaluate.json"))["test"]
    return scores


def _dvc(*arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise InputError(f"dvc {' '.join(arguments)} failed")  # and has said why


if __name__ == "__main__":
    with cli.one_line_errors("review.seeds"):
        main()
