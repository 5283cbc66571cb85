"""Runs through DVC's own queue, in copies of the project."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from dvc.repo import Repo
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier.cli import InputError
from review.repository import switched

SECONDS_BETWEEN_LOOKS = 3  # asking DVC takes half a second of computing

Changes = dict[str, Any]  # params that a run changes, by their full names, as in train.epochs


def run(repo: Repo, runs: dict[str, Changes], jobs: int = 1, *, anew: bool = False) -> Iterator[str]:
    """Run the pipeline under each name with its changed params; yields each name when it has finished.

    jobs: how many at a time. Each has the number of threads that params.yaml says, and the system shares the cores
    among them: fewer threads would change bits. anew: train even what DVC has in its run cache. An interruption stops
    the queue.

    Raises:
        InputError: DVC refuses a run, or it fails.
    """
    if not runs:
        return
    _forget(repo, set(runs))
    for name, changes in runs.items():
        options = [option for key, value in changes.items() for option in ("--set-param", f"{key}={value}")]
        _dvc("exp", "run", "--queue", "--name", name, *options, *(["--force"] if anew else []))
    try:
        _dvc("queue", "start", "--jobs", str(jobs))
        yield from _finished(repo, list(runs))
    except BaseException:
        _dvc("queue", "stop", "--kill")
        raise


def result(repo: Repo, run: str, path: str) -> dict[str, Any]:
    """A JSON or YAML file of a finished run."""
    with switched(repo, run):
        text = repo.dvcfs.read_text(path)
    content: dict[str, Any] = json.loads(text) if path.endswith(".json") else YAML(typ="safe").load(text)
    return content


def _finished(repo: Repo, runs: list[str]) -> Iterator[str]:
    waiting = list(runs)
    with tqdm(total=len(runs), unit="run", desc="dvc queue logs NAME shows a training") as progress:
        while waiting:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            states = _states(repo)
            for name in list(waiting):
                if states.get(name) == "Failed":
                    raise InputError(f"{name} failed; dvc queue logs {name} tells why")
                if states.get(name) == "Success":
                    waiting.remove(name)
                    progress.update()
                    yield name


def _states(repo: Repo) -> dict[str, str]:
    return {task["name"]: task["status"] for task in repo.experiments.celery_queue.status()}


def _forget(repo: Repo, runs: set[str]) -> None:
    """Remove what an earlier call left under these names: tasks and experiments."""
    if tasks := runs & set(_states(repo)):
        _dvc("queue", "remove", *tasks)
    if kept := runs & {name for found in repo.experiments.ls(all_commits=True).values() for name, _ in found}:
        _dvc("exp", "remove", *kept)


def _dvc(*arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise InputError(f"dvc {' '.join(arguments)} failed")  # and has said why
