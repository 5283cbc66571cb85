"""Where a list of runs is executed: in DVC's queue on this machine, or on a Ray cluster."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

from dvc.repo import Repo

from classifier.errors import UserError
from experiments import cluster, dvc_queue
from experiments.dvc_queue import Changes
from project import cli

Runner = Callable[[Repo, dict[str, Changes]], Iterator[str]]  # runs by name; yields each name when it has finished


def add_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=cli.number(int, 1), default=1, metavar="N", help="trainings at a time; default 1")
    where.add_argument("--cluster", metavar="ADDRESS", help="run on this Ray cluster: auto, HOST:PORT, ray://HOST:PORT")
    parser.add_argument("--cpus", type=cli.number(float, 0), metavar="N", help="of a node, for each run; default 1")
    parser.add_argument("--gpus", type=cli.number(float, 0), metavar="N", help="of a node, for each run; default 0")


def select_runner(options: argparse.Namespace, stage: str = "") -> Runner:
    """The runner that the command line's options ask for. stage: the last one that is run; all without it.

    Raises:
        UserError: options of a cluster are given without one.
    """
    node = {name: value for name in ("cpus", "gpus") if (value := getattr(options, name)) is not None}
    if options.cluster:
        return partial(cluster.run, address=options.cluster, stage=stage, **node)
    if node:
        raise UserError("--cpus and --gpus are for --cluster")
    return partial(dvc_queue.run, jobs=options.jobs, stage=stage)
