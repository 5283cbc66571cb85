"""Have a named experiment in the working tree: its params, model, metrics and plots, to be reviewed and committed.

    python -m experiments.apply NAME

The changes of experiments.yaml are made in params.yaml, and the pipeline is run. What was trained before with the same
code and data, in DVC's queue as well, is restored from DVC's cache. A training that was interrupted goes on when the
same command is run again.
"""

from experiments import plan
from experiments.dvc_queue import set_params
from project import cli
from project.repository import dvc, open_repo


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("name", metavar="NAME", help="of experiments.yaml")
    experiment = plan.find_experiment(plan.experiments(plan.load()), parser.parse_args().name)
    with open_repo():
        dvc("exp", "run", *set_params(experiment.changes))
    print(f"{experiment.name} is in the working tree; make review compares it with main")


if __name__ == "__main__":
    with cli.one_line_errors("experiments.apply"):
        main()
