"""Runs on a Ray cluster, one task each. The results come back through git and DVC's storage."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from tqdm import tqdm

from classifier.errors import UserError
from experiments import dvc_queue, worker
from experiments.dvc_queue import Changes
from project.repository import dvc, git

RETRIES = 5  # of a run whose node fails, on another node
SECONDS_TO_CONNECT = 10
# The nodes clone the commit
COMMITTED = (".dvc/config", "params.yaml", "dvc.yaml", "dvc.lock", "stages", "classifier", "project")


def run(
    repo: Repo, runs: dict[str, Changes], address: str, cpus: float = 1, gpus: float = 0, stage: str = ""
) -> Iterator[str]:
    """Run the pipeline with the changed params of each run, by name; yields each name when its results have arrived.

    address: of a Ray cluster whose nodes have the project's environment. cpus, gpus: what a run takes of a node. stage:
    the last one that is run; all without it. A run whose node fails is started on another one. A run that git has
    already is only fetched. An interruption ends the runs. A run that fails does not end the others.

    Raises:
        UserError: Ray is not installed, there is no such cluster, its nodes could not reach the commit or the data, or,
            at the end, some runs have failed.
    """
    if not runs:
        return
    jobs = _jobs(repo, runs, stage)
    ray = connect(address)
    try:
        task = ray.remote(worker.run_job).options(num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES)
        yield from _finished(ray, {task.remote(job): job for job in jobs})
    finally:
        ray.shutdown()


def _jobs(repo: Repo, runs: dict[str, Changes], stage: str) -> list[worker.Job]:
    url, commit = git("remote", "get-url", "origin"), git("rev-parse", "HEAD")
    if not url:
        raise UserError("there is no git remote origin, from which a cluster's nodes could clone")
    if not repo.config["core"].get("remote"):
        raise UserError("there is no DVC remote for the data; make remote URL=… sets one up")
    if git("status", "--porcelain", "--", *COMMITTED):
        raise UserError("params, code or results are not committed; a cluster's nodes would not see them")
    git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")  # a clone may fetch one branch by default
    if not git("branch", "--remotes", "--list", "origin/*", "--contains", commit):
        raise UserError(f"{commit[:7]} is not on origin, from which a cluster's nodes clone; git push it")
    dvc_queue.forget(repo, set(runs))
    local = Path(".dvc/config.local")
    dvc_config = local.read_text(encoding="utf-8") if local.exists() else ""
    return [worker.Job(name, changes, stage, commit, url, dvc_config) for name, changes in runs.items()]


def connect(address: str) -> Any:
    """Connect to a cluster; returns the module ray.

    Raises:
        UserError: Ray is not installed, or there is no cluster at that address.
    """
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed; make extra-ray installs it") from None
    ray.cloudpickle.register_pickle_by_value(worker)  # the nodes do not have this module
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=SECONDS_TO_CONNECT).close()
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise UserError(f"no Ray cluster at {address}: {' '.join(str(error).split()):.200}") from None
    return ray


def _finished(ray: Any, jobs: dict[Any, worker.Job]) -> Iterator[str]:
    """Wait for the tasks, and fetch the experiment of each that is done; jobs: by the tasks' references."""
    waiting, failed = list(jobs), []
    try:
        with tqdm(total=len(jobs), unit="run", desc="cluster") as progress:
            while waiting:
                (first, *_), waiting = ray.wait(waiting)
                try:
                    done = ray.get(first)
                except ray.exceptions.RayError as error:
                    done = worker.Done("the cluster", str(error).strip().splitlines()[-1])
                job = jobs[first]
                if not done.problem:
                    done = done._replace(problem=_pull(job))
                progress.update()
                progress.write(f"{job.name} on {done.node}: {done.problem or 'done'}")
                if done.problem:
                    failed.append(job.name)
                else:
                    yield job.name
    except BaseException:
        for task in waiting:
            ray.cancel(task)
        ray.wait(waiting, num_returns=len(waiting), timeout=60)  # until they have ended their trainings
        raise
    if failed:
        raise UserError(f"{', '.join(failed)} failed")


def _pull(job: worker.Job) -> str:
    """Pull the experiment of a finished run; returns why that is not possible, or nothing."""
    ref = f"refs/exps/{job.commit[:2]}/{job.commit[2:]}/{job.name}"  # origin may have the name on another commit, too
    try:
        dvc("exp", "pull", "--no-cache", "origin", ref, quiet=True)
    except UserError as error:
        return str(error)
    return ""
