"""Train the named experiments of experiments.yaml that are missing, and write their table and figure.

    python -m experiments [NAME ...]

They run in DVC's queue, or on a Ray cluster. What each seed reached is kept in metrics/seeds/ as soon as its run has
finished. An experiment is in the table, compared with the baseline, once all of its seeds are trained with the current
code and data; until then, its earlier row is kept and marked. Commit both. To train an experiment again, remove its
file in metrics/seeds/.
"""

from classifier.errors import UserError
from experiments import dvc_queue, plan, runner, table
from experiments.plan import Experiment, Plan
from experiments.runner import Runner
from experiments.seeds import of_this_code, run_results, train
from project import cli, seeds
from project.repository import open_repo


def main() -> None:
    parser = cli.parser(__doc__)
    runner.add_options(parser)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of experiments.yaml; default all")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--again", metavar="NAME", help="repeat an experiment's first seed and compare the bits")
    instead.add_argument("--table", action="store_true", help="write the table and the figure, and train nothing")
    options = parser.parse_args()
    run_all = runner.select_runner(options)
    wanted = plan.load()
    experiments = plan.experiments(wanted)
    if (options.cluster or options.names) and (options.again or options.table):
        raise UserError("--again and --table take no names and no --cluster")
    if options.again:
        repeat(plan.find_experiment(experiments, options.again))
    else:
        print(f"{publish(experiments, wanted)} of {len(experiments)} experiments are complete")
        if not options.table:
            complete(experiments, options.names, wanted, run_all)


def publish(experiments: list[Experiment], wanted: Plan) -> int:
    """Write the table and the figure; returns how many experiments have all seeds of the current code and data."""
    runs = {each.name: found for each in experiments if len(found := of_this_code(each.recipe)) >= wanted.seeds}
    table.publish(table.update(table.read(), experiments, runs), wanted.references)
    return len(runs)


def complete(experiments: list[Experiment], names: list[str], wanted: Plan, run_all: Runner) -> None:
    """Train the missing runs of the named experiments, or of all, and publish what there is after each."""
    chosen = [plan.find_experiment(experiments, name) for name in names] or experiments
    with open_repo() as repo:
        for _ in train(repo, {each.recipe: each.changes for each in chosen}, wanted.seeds, run_all):
            publish(experiments, wanted)


def repeat(experiment: Experiment) -> None:
    """Train an experiment's first seed once more, even if DVC has the run in its cache.

    Raises:
        UserError: the experiment was not trained with the current code and data, or the scores or bits differ.
    """
    runs = of_this_code(experiment.recipe)
    if runs.empty:
        raise UserError(
            f"{experiment.name} was not trained with the current code and data yet; make experiments trains it"
        )
    expected = {str(name): value for name, value in runs.to_dict("records")[0].items()}
    run, changes = f"again-{experiment.name}", experiment.changes | {"train.seed": expected["seed"]}
    with open_repo() as repo:
        for name in dvc_queue.run(repo, {run: changes}, force=True):
            found = {"seed": expected["seed"], **run_results(repo, name)}
    if found != expected:
        differences = ", ".join(key for key, value in expected.items() if found[key] != value)
        table = seeds.path(experiment.recipe)
        raise UserError(f"{experiment.name} has other results: {differences} differ from {table}")
    print(f"{experiment.name}: identical, {expected['model']}")


if __name__ == "__main__":
    with cli.one_line_errors("experiments"):
        main()
