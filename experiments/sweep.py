"""Run every combination of some params' values.

    python -m experiments.sweep 'train.learning_rate=choice(0.0005,0.002)' 'model.dropout=range(0.2,0.5,0.1)'

The values are written as for dvc exp run --set-param; dvc exp show compares the runs.
"""

import argparse
import inspect
import sys

from dvc.exceptions import DvcException
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException

from classifier import cli
from classifier.cli import PARAMS, InputError
from experiments import runner
from experiments.queue import Changes
from review.repository import opened


def main() -> None:
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(sys.modules["__main__"]), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("params", nargs="+", metavar="KEY=VALUES", help="such as model.dropout=choice(0.3,0.5)")
    runner.add_options(parser)
    options = parser.parse_args()
    runs = combinations(options.params)
    print(f"{len(runs)} runs: {', '.join(runs)}")
    with opened() as repo:
        for _ in runner.chosen(options)(repo, runs):
            pass


def combinations(values: list[str]) -> dict[str, Changes]:
    """The runs by name, with the params that each changes.

    Raises:
        InputError: they are not written so.
    """
    try:
        sweeps = [sweep[str(PARAMS)] for sweep in get_hydra_sweeps({str(PARAMS): values})]
    except (DvcException, HydraException) as error:
        raise InputError(" ".join(str(error).split())) from None
    return {"-".join(sweep).replace("=", "-"): dict(change.split("=", 1) for change in sweep) for sweep in sweeps}


if __name__ == "__main__":
    with cli.one_line_errors("experiments.sweep"):
        main()
