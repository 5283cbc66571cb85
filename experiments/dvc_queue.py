"""Runs in DVC's queue, each in a temporary copy of the project."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from dvc.repo import Repo
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier.errors import UserError
from project.repository import at_revision, dvc

POLL_SECONDS = 3  # asking DVC for the states takes half a second of computing
PATIENCE = 5  # polls without a worker, or for the end of a run's processes
STARTS = 5  # of workers

Changes = dict[str, Any]  # params that a run changes, by their full names, as in train.epochs


def run(repo: Repo, runs: dict[str, Changes], jobs: int = 1, stage: str = "", *, force: bool = False) -> Iterator[str]:
    """Run the pipeline with the changed params of each run, by name; yields each name when it has finished.

    jobs: how many runs at a time; they share the cores, which changes no bits. stage: the last one that is run, all
    without it. force: train even what is in DVC's run cache. An interruption ends the runs; a training that is run
    again goes on after the last epoch that it finished. A run that fails does not end the others.

    Raises:
        UserError: the runs are in progress already, DVC refuses one, the queue's worker was killed, or, at the end,
            some runs have failed.
    """
    if not runs:
        return
    forget(repo, set(runs))
    os.environ["CHECKPOINTS"] = str(Path(repo.tmp_dir, "checkpoints"))  # for the workers
    try:
        for name, changes in runs.items():
            dvc(
                "exp", "run", "--queue", "--name", name, *set_params(changes), *["--force"][:force], *stage.split(),
                quiet=True,
            )  # fmt: skip
        yield from _finished(repo, list(runs), jobs)
    except BaseException:
        _stop(repo, set(runs))
        raise


def set_params(changes: Changes) -> list[str]:
    """The options of dvc exp run that change params."""
    return [option for key, value in changes.items() for option in ("--set-param", f"{key}={value}")]


def result(repo: Repo, run: str, path: Path) -> dict[str, Any]:
    """The content of a JSON or YAML file of a finished run."""
    with at_revision(repo, run):
        text = repo.dvcfs.read_text(str(path))
    content: dict[str, Any] = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
    return content


def _finished(repo: Repo, runs: list[str], jobs: int) -> Iterator[str]:
    waiting, failed, starts, unattended = set(runs), [], 0, PATIENCE
    with tqdm(total=len(runs), unit="run", desc="dvc queue logs NAME shows a run") as progress:
        while waiting:
            states = _states(repo)
            for name, state in states.items():
                if name in waiting and state in ("Success", "Failed"):
                    waiting.remove(name)
                    progress.update()
                    if state == "Success":
                        yield name
                    else:
                        failed.append(name)
            if waiting and unattended == PATIENCE:  # at first, and after workers have ended early, as DVC's do at times
                if starts == STARTS or "Running" in {states.get(name) for name in waiting}:
                    raise UserError("the worker of DVC's queue has ended; the same command goes on where it was")
                dvc("queue", "start", "--jobs", str(jobs), quiet=True)
                starts, unattended = starts + 1, 0
            time.sleep(POLL_SECONDS)
            unattended = 0 if _workers(repo) else unattended + 1
    if failed:
        raise UserError(f"{', '.join(failed)} failed; dvc queue logs NAME shows the reason")


def _states(repo: Repo) -> dict[str, str]:
    return {task["name"]: task["status"] for task in repo.experiments.celery_queue.status()}


def _workers(repo: Repo) -> list[psutil.Process]:
    """The workers of the queue that are alive. DVC asks the workers themselves, and a busy one may not answer."""
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if "queue-worker" in (process.info["cmdline"] or [])
        and Path(process.info["cwd"] or "").is_relative_to(repo.root_dir)
    ]


def forget(repo: Repo, runs: set[str]) -> None:
    """Remove the tasks and experiments that an earlier call left under these names.

    Raises:
        UserError: one of them is running.
    """
    running = sorted(name for name, state in _states(repo).items() if name in runs and state == "Running")
    if running and _workers(repo):
        raise UserError(f"{', '.join(running)} is running already; dvc queue status shows the queue")
    _abandon(repo, runs)
    _remove(repo, runs)
    if kept := runs & {name for found in repo.experiments.ls(all_commits=True).values() for name, _ in found}:
        dvc("exp", "remove", *kept, quiet=True)


def _stop(repo: Repo, runs: set[str]) -> None:
    """End the workers and their trainings, and remove the unfinished runs from the queue.

    Workers are killed, and first: one that is told to end, by a signal or by DVC's own command, may take no notice
    after some hours, and begin with the next run.
    """
    for worker in _workers(repo):
        with suppress(psutil.NoSuchProcess):
            worker.kill()
    queue = repo.experiments.celery_queue
    active = list(queue.iter_active())
    for entry in active:
        with suppress(ProcessLookupError):  # the group, because DVC's own command leaves the training running
            queue.proc.send_signal(entry.stash_rev, signal.SIGTERM, group=True)
    _abandon(repo, {entry.name for entry in active})
    _remove(repo, runs - {name for name, state in _states(repo).items() if state == "Success"})


def _abandon(repo: Repo, runs: set[str]) -> None:
    """Mark running runs that have no worker as failed, and remove the copies of the project that they ran in."""
    queue = repo.experiments.celery_queue
    abandoned = [entry for entry in queue.iter_active() if entry.name in runs]
    for _ in range(PATIENCE):
        running = [entry.name for entry in queue.iter_active() if entry.name in runs]
        if not running:
            break
        dvc("queue", "kill", "--force", *running, quiet=True)  # marks them once their processes have ended
        time.sleep(1)
    for entry in abandoned:
        with suppress(FileNotFoundError):  # of a run that had no copy yet
            run = json.loads(Path(queue.get_infofile_path(entry.stash_rev)).read_text())
            shutil.rmtree(run["root_dir"], ignore_errors=True)


def _remove(repo: Repo, runs: set[str]) -> None:
    if left := runs & set(_states(repo)):
        dvc("queue", "remove", *left, quiet=True)
