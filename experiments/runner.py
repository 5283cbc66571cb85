"""What runs a list of experiments: DVC's queue on this machine, or a Ray cluster."""

import argparse
from collections.abc import Callable, Iterator
from functools import partial

from dvc.repo import Repo

from experiments import cluster, queue
from experiments.queue import Changes

Runner = Callable[[Repo, dict[str, Changes]], Iterator[str]]  # runs by name; yields each name when it has finished


def add_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time; default 1")
    where.add_argument("--cluster", metavar="ADDRESS", help="run on this Ray cluster: auto, HOST:PORT, ray://HOST:PORT")
    parser.add_argument("--cpus", type=float, default=1, metavar="N", help="of a node, for each run on it; default 1")
    parser.add_argument("--gpus", type=float, default=0, metavar="N", help="of a node, for each run on it; default 0")


def chosen(options: argparse.Namespace) -> Runner:
    """The runner that the options ask for."""
    if options.cluster:
        return partial(cluster.run, address=options.cluster, cpus=options.cpus, gpus=options.gpus)
    return partial(queue.run, jobs=options.jobs)
