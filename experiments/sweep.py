"""Run the pipeline with every combination of some params' values.

    python -m experiments.sweep 'train.learning_rate=choice(0.0005,0.002)' 'model.dropout=range(0.2,0.5,0.1)'

The syntax is that of dvc exp run --set-param. dvc exp show compares the runs.
"""

from dvc.exceptions import DvcException
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException

from classifier.errors import UserError
from classifier.params import PARAMS
from experiments import runner
from experiments.dvc_queue import Changes
from project import cli
from project.repository import open_repo


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("params", nargs="+", metavar="KEY=VALUES", help="such as model.dropout=choice(0.3,0.5)")
    runner.add_options(parser)
    options = parser.parse_args()
    runs = combinations(options.params)
    print(f"{len(runs)} runs: {', '.join(runs)}")
    with open_repo() as repo:
        for _ in runner.select_runner(options)(repo, runs):
            pass


def combinations(values: list[str]) -> dict[str, Changes]:
    """The runs by name, with the params that each changes.

    values: as in model.dropout=choice(0.3,0.5).

    Raises:
        UserError: the values are not written in this syntax.
    """
    try:
        sweeps = [sweep[str(PARAMS)] for sweep in get_hydra_sweeps({str(PARAMS): values})]
    except (DvcException, HydraException) as error:
        raise UserError(" ".join(str(error).split())) from None
    return {"-".join(sweep).replace("=", "-"): dict(change.split("=", 1) for change in sweep) for sweep in sweeps}


if __name__ == "__main__":
    with cli.one_line_errors("experiments.sweep"):
        main()
