"""Train the named experiments of experiments.yaml that are missing, and write their table and picture.

    python -m experiments

DVC's queue runs them, or a Ray cluster. What each seed reached is kept as soon as that run has finished, in
metrics/seeds/, and an experiment's row when its last seed has: commit both. To train an experiment anew, remove its
file there.
"""

import argparse
import inspect
import sys

from classifier import cli
from classifier.cli import PARAMS, InputError
from classifier.params import load_yaml
from experiments import plan, queue, runner, seeds, table
from experiments.cost import costs
from experiments.plan import Experiment, Plan
from experiments.runner import Runner
from review.repository import opened


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    runner.add_options(parser)
    parser.add_argument("--again", metavar="NAME", help="train an experiment's first seed again and compare the bits")
    options = parser.parse_args()
    wanted = plan.load()
    experiments = plan.experiments(wanted)
    if options.again:
        again(named(experiments, options.again))
    else:
        complete(experiments, wanted, runner.chosen(options))


def named(experiments: list[Experiment], name: str) -> Experiment:
    for experiment in experiments:
        if experiment.name == name:
            return experiment
    raise InputError(f"there is no experiment {name}; there are {', '.join(each.name for each in experiments)}")


def complete(experiments: list[Experiment], wanted: Plan, run_all: Runner) -> None:
    """Train what is missing, and publish each experiment as it gets complete."""
    cost = {row.recipe: row.cost for row in table.read()}
    measured = costs(load_yaml(PARAMS), {each.name: each.params for each in experiments if each.recipe not in cost})
    cost |= {each.recipe: measured[each.name] for each in experiments if each.name in measured}

    def publish() -> int:
        runs = [(each, seeds.runs(each.recipe)) for each in experiments]
        rows = [table.row(each, cost[each.recipe], found) for each, found in runs if len(found) >= wanted.seeds]
        table.publish(rows, wanted.references)
        return len(rows)

    print(f"{publish()} of {len(experiments)} experiments are complete")
    # The longest first, so that several workers finish at about the same time
    longest_first = sorted(experiments, key=lambda each: -cost[each.recipe].relative_time)
    with opened() as repo:
        for _ in seeds.train(repo, {each.recipe: each.changes for each in longest_first}, wanted.seeds, run_all):
            publish()


def again(experiment: Experiment) -> None:
    """Train an experiment's first seed once more, whatever DVC has in its cache.

    Raises:
        InputError: it was not trained before, or the scores or the model's bits differ.
    """
    runs = seeds.runs(experiment.recipe)
    if runs.empty:
        raise InputError(f"{experiment.name} was not trained yet; make experiments does")
    expected = {str(key): value for key, value in runs.iloc[0].items()}
    run, changes = f"again-{experiment.name}", experiment.changes | {"train.seed": int(expected["seed"])}
    with opened() as repo:
        for name in queue.run(repo, {run: changes}, anew=True):
            found = {"seed": expected["seed"], **seeds.reached(repo, name)}
    if found != expected:
        differences = ", ".join(key for key, value in expected.items() if found[key] != value)
        raise InputError(
            f"{experiment.name} came out otherwise: {differences} differ from {seeds.path(experiment.recipe)}"
        )
    print(f"{experiment.name}: identical, {expected['model']}")


if __name__ == "__main__":
    with cli.one_line_errors("experiments"):
        main()
