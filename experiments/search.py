"""Train with every combination of some params' values, and record what each reaches on the validation split.

    python -m experiments.search 'train.learning_rate=choice(0.0005,0.002)' 'model.dropout=range(0.2,0.5,0.1)' \\
        --question 'Which learning rate?'

The syntax is that of dvc exp run --set-param. The pipeline is run up to stage train, so no test image is classified. A
row for each run is added to metrics/search.csv: commit it, so that others can check how a recipe was selected. Runs
that are there with the same code are not trained again.
"""

import re
from typing import Any, NamedTuple

import pandas as pd
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException
from ruamel.yaml import YAML

from classifier import tables
from classifier.errors import UserError
from classifier.params import PARAMS, load_params, load_yaml, validated
from experiments import dvc_queue, plan, runner
from experiments.dvc_queue import Changes
from project import cli, paths, seeds
from project.repository import at_revision, open_repo

STAGES = ("prepare", "train")  # whose code is that of a result

# changes: of params.yaml. The scores are those of the validation split after the last epoch. recipe, model, code, data:
# hashes, as in project.seeds; data are the training and the validation split
COLUMNS: tables.Schema = {
    "question": str, "changes": str, "seed": int, "epochs": int, "validation_accuracy": float, "validation_loss": float,
    "recipe": str, "model": str, "code": str, "data": str,
}  # fmt: skip


class Training(NamedTuple):
    """What is trained: with the same code, two runs of one recipe and seed are the same."""

    recipe: str
    seed: int


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("params", nargs="+", metavar="KEY=VALUES", help="such as model.dropout=choice(0.3,0.5)")
    parser.add_argument("--question", required=True, metavar="TEXT", help="what the runs are to answer, for the record")
    parser.add_argument("--experiment", metavar="NAME", help="start from an experiment of experiments.yaml")
    runner.add_options(parser)
    options = parser.parse_args()
    load_params()  # an invalid params.yaml is reported now, not by the first run
    base: Changes = {}
    if options.experiment:
        base = plan.find_experiment(plan.experiments(plan.load()), options.experiment).changes
    changes = combinations(options.params)
    runs = {describe(each): base | each for each in changes}
    trainings = {name: training(each) for name, each in runs.items()}
    refuse_without_effect(changes[0])
    recorded = current()
    missing = {short_name(name, made): runs[name] for name, made in trainings.items() if made not in recorded}
    print(f"{len(runs)} runs, of which {len(runs) - len(missing)} are recorded already")
    run_all = runner.select_runner(options, stage="train")
    try:
        with open_repo() as repo:
            for run in run_all(repo, missing):
                record({"question": options.question, "changes": describe(missing[run]), **result(repo, run)})
    finally:  # what there is, if some runs have failed
        print_recorded(trainings)


def print_recorded(trainings: dict[str, Training]) -> None:
    """Print those that are recorded with the current code, in descending order of the validation accuracy.

    trainings: by the changes that the command line names.
    """
    recorded = current()
    rows = [{"run": name, **recorded[made]} for name, made in trainings.items() if made in recorded]
    if rows:
        table = pd.DataFrame(rows)[["run", "validation_accuracy", "validation_loss"]]
        print(table.sort_values("validation_accuracy", ascending=False).to_string(index=False))
        print(f"{paths.SEARCH}: commit it; it shows how a recipe was selected")


def short_name(changes: str, training: Training) -> str:
    """The name of a run in DVC's queue, which is that of a file as well and so must not be long."""
    return f"{re.sub('[= ]', '-', changes)[:100]}-{training.recipe}-{training.seed}"


def combinations(values: list[str]) -> list[Changes]:
    """The params that each run changes, one run for each combination.

    values: as in model.dropout=choice(0.3,0.5).

    Raises:
        UserError: the values are not written in this syntax.
    """
    try:
        sweeps = [sweep[str(PARAMS)] for sweep in get_hydra_sweeps({str(PARAMS): values})]
    except (DvcException, HydraException) as error:
        raise UserError(" ".join(str(error).split())) from None
    return [dict(change.split("=", 1) for change in sweep) for sweep in sweeps]


def refuse_without_effect(changes: Changes) -> None:
    """Refuse params that no stage up to train reads.

    Raises:
        UserError: there is one.
    """
    stages = load_yaml(paths.DVC_YAML)["stages"]
    read = {param for stage in STAGES for param in stages[stage]["params"]}
    for key in changes:
        if not read & {key, key.partition(".")[0]}:
            raise UserError(f"{key} has no effect on {' and '.join(STAGES)}, so none on what a search compares")


def describe(changes: Changes) -> str:
    """The changes of a run in one line, as for dvc exp run --set-param."""
    return " ".join(f"{key}={value}" for key, value in changes.items())


def read() -> pd.DataFrame:
    """The recorded runs, with the columns COLUMNS; none if there is no record.

    Raises:
        UserError: the file is not such a table.
    """
    if not paths.SEARCH.exists():
        return seeds.no_rows(COLUMNS)
    try:
        return tables.read(paths.SEARCH, COLUMNS)
    except UserError as error:
        raise UserError(f"{str(error).rpartition(';')[0]}; git checkout {paths.SEARCH} restores it") from None


def current() -> dict[Training, dict[Any, Any]]:
    """The recorded runs of the code of the working tree, with a value for each of COLUMNS."""
    code = seeds.code_of_working_tree(STAGES)
    return {Training(run["recipe"], run["seed"]): run for run in read().to_dict("records") if run["code"] == code}


def training(changes: Changes) -> Training:
    """What a run trains, with the other params as in params.yaml.

    Raises:
        UserError: params.yaml has no such key, or it cannot have such a value.
    """
    params = load_yaml(PARAMS)
    for key, value in changes.items():
        section, _, name = key.partition(".")
        if not isinstance(params.get(section), dict) or name not in params[section]:
            raise UserError(f"{PARAMS} has no key {key}")
        params[section][name] = YAML(typ="safe").load(str(value))
    validated(params, describe(changes))
    return Training(seeds.recipe(params), params["train"]["seed"])


def record(run: dict[str, Any]) -> None:
    """Add a run to the table. run: a value for each of COLUMNS."""
    tables.write(paths.SEARCH, pd.DataFrame([*read().to_dict("records"), run], columns=list(COLUMNS)), COLUMNS)


def result(repo: Repo, run: str) -> dict[str, Any]:
    """The columns of a finished run, without question and changes."""
    lock = dvc_queue.result(repo, run, paths.DVC_LOCK)["stages"]
    params = dvc_queue.result(repo, run, PARAMS)
    with at_revision(repo, run), repo.dvcfs.open(str(paths.TRAINED_HISTORY)) as stream:
        last = pd.read_csv(stream).iloc[-1]
    return {
        "seed": params["train"]["seed"],
        "epochs": params["train"]["epochs"],
        "validation_accuracy": float(last["val_accuracy"]),
        "validation_loss": float(last["val_loss"]),
        "recipe": seeds.recipe(params),
        "model": seeds.model(lock),
        **seeds.origin(lock, STAGES)._asdict(),
    }


if __name__ == "__main__":
    with cli.one_line_errors("experiments.search"):
        main()
