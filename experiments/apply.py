"""Have a named experiment in the working tree: its params, model, metrics and plots, to be reviewed and committed.

    python -m experiments.apply NAME

The changes of experiments.yaml are made in params.yaml, and the pipeline is run. What was trained before with the same
code and data, in DVC's queue as well, is restored from DVC's cache. A training that was interrupted goes on when the
same command is run again.
"""

from classifier.errors import UserError
from classifier.params import PARAMS, load_yaml
from experiments import plan, table
from experiments.dvc_queue import set_params
from experiments.plan import Experiment
from project import cli, paths
from project.repository import dvc, open_repo
from project.snapshot import snapshot


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("name", metavar="NAME", help="of experiments.yaml")
    experiment = find(parser.parse_args().name)
    if is_another_recipe(experiment):
        print(
            f"note: this is not the recipe that {paths.EXPERIMENTS_TABLE} has for {experiment.name}: {PARAMS} or "
            f"{paths.EXPERIMENTS} has changed since",
            flush=True,
        )
    with open_repo():
        dvc("exp", "run", *set_params(experiment.changes))
    print(f"{experiment.name} is in the working tree; make review compares it with main")


def find(name: str) -> Experiment:
    """The experiment of a name, as changes of the committed params.yaml.

    Raises:
        UserError: there is none, or params.yaml has other changes, which would be mixed with those of the experiment.
    """
    with snapshot("HEAD").extracted([PARAMS]) as folder:
        experiment = plan.find_experiment(plan.experiments(plan.load(), folder / PARAMS), name)
        if load_yaml(PARAMS) not in (load_yaml(folder / PARAMS), experiment.params):
            raise UserError(
                f"{PARAMS} has changes that are not committed; commit them, or undo them with git checkout {PARAMS}"
            )
    return experiment


def is_another_recipe(experiment: Experiment) -> bool:
    """Whether the table has an experiment of this name with another recipe."""
    return any(row.name == experiment.name and row.recipe != experiment.recipe for row in table.read())


if __name__ == "__main__":
    with cli.one_line_errors("experiments.apply"):
        main()
