"""Runs on a Ray cluster: a task each, whose results come back through git and DVC's storage."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from tqdm import tqdm

from classifier.cli import InputError
from experiments import queue, worker
from experiments.queue import Changes
from review.repository import git

RETRIES = 5  # of a run whose node dies, on another one
SECONDS_TO_CONNECT = 10
UNCHANGED = ("params.yaml", "dvc.yaml", "dvc.lock", "stages", "classifier")  # nodes see what is committed


def run(repo: Repo, runs: dict[str, Changes], address: str, cpus: float = 1, gpus: float = 0) -> Iterator[str]:
    """Run the pipeline under each name with its changed params; yields each name when its results are here.

    address: of a Ray cluster whose nodes have the project's environment. cpus, gpus: what a run takes of a node. A run
    whose node dies starts on another one; one that git has already is only fetched. An interruption ends the runs; one
    that fails does not end the others.

    Raises:
        InputError: Ray or the cluster is not there, nodes could not get at the commit or the data, or, at the end, some
            runs have failed.
    """
    if not runs:
        return
    jobs = _jobs(repo, runs)
    ray = connected(address)
    try:
        task = ray.remote(worker.do).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        names = {task.remote(job): name for name, job in jobs.items()}
        yield from _finished(ray, names)
    finally:
        ray.shutdown()


def _jobs(repo: Repo, runs: dict[str, Changes]) -> dict[str, worker.Job]:
    url, commit = git("remote", "get-url", "origin"), git("rev-parse", "HEAD")
    if not url:
        raise InputError("there is no git remote origin, from which a cluster's nodes could clone")
    if not repo.config["core"].get("remote"):
        raise InputError("there is no DVC remote for the data; make remote URL=… sets one up")
    if git("status", "--porcelain", "--", *UNCHANGED):
        raise InputError("params, code or results are not committed; a cluster's nodes would not see them")
    git("fetch", "--quiet", "origin")
    if not git("branch", "--remotes", "--contains", commit):
        raise InputError(f"{commit[:7]} is not on origin, from which a cluster's nodes clone; git push it")
    queue.forget(repo, set(runs))
    local = Path(".dvc/config.local")
    dvc_config = local.read_text(encoding="utf-8") if local.exists() else ""
    return {name: worker.Job(name, changes, commit, url, dvc_config) for name, changes in runs.items()}


def connected(address: str) -> Any:
    """Ray, with a connection to the cluster.

    Raises:
        InputError: Ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed; make extra-ray installs it") from None
    ray.cloudpickle.register_pickle_by_value(worker)  # nodes have no such module
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster at {address}: {' '.join(str(error).split()):.200}") from None
    return ray


def _finished(ray: Any, names: dict[Any, str]) -> Iterator[str]:
    """names: by the tasks' references."""
    waiting, failed = list(names), []
    try:
        with tqdm(total=len(names), unit="run", desc="cluster") as progress:
            while waiting:
                (first, *_), waiting = ray.wait(waiting)
                try:
                    done = ray.get(first)
                except ray.exceptions.RayError as error:
                    done = worker.Done("the cluster", str(error).strip().splitlines()[-1])
                progress.update()
                progress.write(f"{names[first]} on {done.node}: {done.problem or 'done'}")
                if done.problem:
                    failed.append(names[first])
                else:
                    queue.dvc("exp", "pull", "--no-cache", "origin", names[first])
                    yield names[first]
    except BaseException:
        for task in waiting:
            ray.cancel(task)
        ray.wait(waiting, num_returns=len(waiting), timeout=60)  # until they have ended their trainings
        raise
    if failed:
        raise InputError(f"{', '.join(failed)} failed")
