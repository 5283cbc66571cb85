"""Runs through DVC's own queue, in copies of the project."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
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
    among them: fewer threads would change bits. anew: train even what DVC has in its run cache. An interruption ends
    the runs; one that fails does not end the others.

    Raises:
        InputError: the runs are under way already, DVC refuses one, or, at the end, some have failed.
    """
    if not runs:
        return
    forget(repo, set(runs))
    for name, changes in runs.items():
        options = [option for key, value in changes.items() for option in ("--set-param", f"{key}={value}")]
        dvc("exp", "run", "--queue", "--name", name, *options, *(["--force"] if anew else []))
    try:
        dvc("queue", "start", "--jobs", str(jobs))
        yield from _finished(repo, list(runs))
    except BaseException:
        _stop(repo, set(runs))
        raise


def result(repo: Repo, run: str, path: str) -> dict[str, Any]:
    """A JSON or YAML file of a finished run."""
    with switched(repo, run):
        text = repo.dvcfs.read_text(path)
    content: dict[str, Any] = json.loads(text) if path.endswith(".json") else YAML(typ="safe").load(text)
    return content


def _finished(repo: Repo, runs: list[str]) -> Iterator[str]:
    waiting, failed = set(runs), []
    with tqdm(total=len(runs), unit="run", desc="dvc queue logs NAME shows a training") as progress:
        while waiting:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            for name, state in _states(repo).items():
                if name in waiting and state in ("Success", "Failed"):
                    waiting.remove(name)
                    progress.update()
                    if state == "Success":
                        yield name
                    else:
                        failed.append(name)
    if failed:
        raise InputError(f"{', '.join(failed)} failed; dvc queue logs NAME tells why")


def _states(repo: Repo) -> dict[str, str]:
    return {task["name"]: task["status"] for task in repo.experiments.celery_queue.status()}


def forget(repo: Repo, runs: set[str]) -> None:
    """Remove what an earlier call left under these names: tasks and experiments."""
    states = _states(repo)
    if running := {name for name in runs if states.get(name) == "Running"}:
        if repo.experiments.celery_queue.worker_status():
            raise InputError(f"{', '.join(sorted(running))} is under way already; dvc queue status shows the queue")
        dvc("queue", "kill", "--force", *running)  # the machine went down meanwhile
    if tasks := runs & set(states):
        dvc("queue", "remove", *tasks)
    if kept := runs & {name for found in repo.experiments.ls(all_commits=True).values() for name, _ in found}:
        dvc("exp", "remove", *kept)


def _stop(repo: Repo, runs: set[str]) -> None:
    """End the workers and what they run, and take what is left of the runs out of the queue.

    DVC's own way leaves the trainings running: it ends the process that waits for them. Each worker is a process
    group of its own.
    """
    queue = repo.experiments.celery_queue
    for entry in list(queue.iter_active()):
        with suppress(ProcessLookupError):
            queue.proc.send_signal(entry.stash_rev, signal.SIGTERM, group=True)
    dvc("queue", "stop", "--kill")
    if left := {name for name, state in _states(repo).items() if name in runs and state != "Success"}:
        dvc("queue", "remove", *left)


def dvc(*arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise InputError(f"dvc {' '.join(arguments)} failed")  # and has said why
