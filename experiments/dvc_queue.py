"""Runs in DVC's queue, each in a temporary copy of the project."""

import json
import os
import shutil
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from dvc.repo import Repo
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier.errors import UserError
from project import sources
from project.integrity import remove_corrupt
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
        UserError: the queue has other runs, DVC refuses one, the queue's worker was killed, or, at the end, some runs
            have failed.
    """
    if not runs:
        return
    _take_queue(repo, set(runs))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)  # as Ctrl-C
    os.environ |= {  # for the workers
        "CHECKPOINTS": str(Path(repo.tmp_dir, "checkpoints")),
        "DATASET_SOURCES": sources.for_a_copy(),
    }
    try:
        for name, changes in runs.items():
            dvc(
                "exp", "run", "--queue", "--name", name, *set_params(changes), *["--force"][:force], *stage.split(),
                quiet=True,
            )  # fmt: skip
        failed = yield from _finished(repo, set(runs), jobs)
    except BaseException:
        finished = {name for name, state in _states(repo).items() if state in ("Success", "Failed")}
        _end(_workers(repo))
        _abandon(repo, set(runs))
        _remove(repo, runs.keys() - finished)
        raise
    if failed:
        raise UserError(f"{', '.join(failed)} failed; dvc queue logs NAME shows the reason")


def set_params(changes: Changes) -> list[str]:
    """The options of dvc exp run that change params."""
    return [option for key, value in changes.items() for option in ("--set-param", f"{key}={value}")]


def result(repo: Repo, run: str, path: Path) -> dict[str, Any]:
    """The content of a JSON or YAML file of a finished run."""
    with at_revision(repo, run):
        text = repo.dvcfs.read_text(str(path))
    content: dict[str, Any] = json.loads(text) if path.suffix == ".json" else YAML(typ="safe").load(text)
    return content


def forget(repo: Repo, runs: set[str]) -> None:
    """Remove the tasks and experiments that an earlier call left under these names.

    Raises:
        UserError: one of them is running.
    """
    if not _workers(repo):
        remove_corrupt(Path(repo.tmp_dir, "exps/rwlock"))
        _abandon(repo, runs)
    if running := sorted(name for name, state in _states(repo).items() if name in runs and state == "Running"):
        raise UserError(f"{', '.join(running)} is running already; dvc queue status shows the queue")
    _remove(repo, runs)
    if kept := runs & {name for found in repo.experiments.ls(all_commits=True).values() for name, _ in found}:
        dvc("exp", "remove", *kept, quiet=True)


def _take_queue(repo: Repo, runs: set[str]) -> None:
    """Make sure that the queue has no other runs, which would run among these, and forget earlier ones of these names.

    Raises:
        UserError: it has others, or one of these is running.
    """
    waiting = [name for name, state in _states(repo).items() if state in ("Queued", "Running")]
    if others := sorted(set(waiting) - runs):
        raise UserError(
            f"DVC's queue has other runs: {', '.join(others)}; dvc exp run --run-all finishes them, dvc queue kill and "
            "dvc queue remove NAME remove one"
        )
    forget(repo, runs)
    _end(_workers(repo))  # an idle one would run the first task, and may not know CHECKPOINTS


def _finished(repo: Repo, runs: set[str], jobs: int) -> Generator[str, None, list[str]]:
    """Yield each run when it has finished; returns those that have failed."""
    waiting, failed, starts, unattended = set(runs), [], 0, PATIENCE
    with tqdm(total=len(runs), unit="run", desc="dvc queue logs NAME shows a run") as progress:
        while waiting:
            states = _states(repo)
            for name, state in states.items():
                if name in waiting and state in ("Success", "Failed"):
                    waiting.remove(name)
                    progress.update()
                    starts = 0
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
    return failed


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


def _end(processes: list[psutil.Process], number: int = signal.SIGKILL) -> None:
    """Send a signal to processes, and SIGKILL to those that are alive some seconds later.

    A worker is killed: told to end, by a signal or by DVC's own command, it may take no notice after some hours, and
    begin with the next run.
    """
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    for process in psutil.wait_procs(processes, timeout=PATIENCE)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _abandon(repo: Repo, runs: set[str]) -> None:
    """End running runs, which have no worker, and remove the copies of the project that they run in."""
    queue = repo.experiments.celery_queue
    abandoned = [entry for entry in queue.iter_active() if entry.name in runs]
    for entry in abandoned:
        file = queue.get_infofile_path(entry.stash_rev)
        _end(_processes(file), signal.SIGTERM)
        if info := queue.proc.get(entry.stash_rev):
            info.returncode = -signal.SIGTERM  # or DVC would kill the process that has this number by then
            queue.proc[entry.stash_rev] = info
        with suppress(FileNotFoundError, ValueError, KeyError):  # a run that had no copy yet
            shutil.rmtree(json.loads(Path(file).read_bytes())["root_dir"], ignore_errors=True)
    if abandoned:
        dvc("queue", "kill", "--force", *[entry.name for entry in abandoned], quiet=True)  # marks them as failed


def _processes(infofile: str) -> list[psutil.Process]:
    """The processes of a run. infofile: of DVC's about the run."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if infofile in (process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                found += [process, *process.children(recursive=True)]
    return found


def _remove(repo: Repo, runs: set[str]) -> None:
    """Remove runs from the queue. What a worker has just taken is twice there, and stays in it after the first call."""
    for _ in range(2):
        if not (left := runs & _states(repo).keys()):
            return
        dvc("queue", "remove", *left, quiet=True)
