"""experiments.yaml with types and ranges."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from classifier.errors import UserError
from classifier.params import PARAMS, Count, Section, load_yaml, validated
from experiments.dvc_queue import Changes
from project import paths
from project.seeds import recipe

Sections = dict[str, dict[str, Any]]  # by section and key of params.yaml


class Reference(Section):
    """A published result.

    compute: floating-point operations of the training in units of 10¹², counted as experiments.table.Row.compute, None
    if it is not known. accuracy: as a share of the test images. source: where it was published.
    """

    name: str
    parameters: Count
    compute: Annotated[float, Field(gt=0)] | None = None
    accuracy: Annotated[float, Field(gt=0, lt=1)]
    source: str


class Plan(Section):
    """experiments.yaml: the number of seeds, what each experiment changes in params.yaml, and published results."""

    seeds: Annotated[int, Field(ge=2)]
    experiments: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")], Sections]
    references: list[Reference]


class Experiment(Section):
    """An experiment. params: all of its params. changes: those that experiments.yaml sets, by their full names."""

    name: str
    params: Sections
    recipe: str
    changes: Changes


def load(path: Path = paths.EXPERIMENTS) -> Plan:
    """Read and validate experiments.yaml.

    Raises:
        UserError: the file is missing, is not YAML, or has unknown, missing or invalid values.
    """
    try:
        return Plan.model_validate(load_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def experiments(plan: Plan, params: Path = PARAMS) -> list[Experiment]:
    """The experiments in the order of experiments.yaml. params: the file that they change.

    Raises:
        UserError: its params are invalid, or those of an experiment.
    """
    base = load_yaml(params)
    validated(base, str(params))
    return [_experiment(name, sections, base) for name, sections in plan.experiments.items()]


def find_experiment(experiments: list[Experiment], name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        UserError: there is none.
    """
    for experiment in experiments:
        if experiment.name == name:
            return experiment
    raise UserError(f"there is no experiment {name}; there are {', '.join(each.name for each in experiments)}")


def _experiment(name: str, sections: Sections, base: Sections) -> Experiment:
    params = base | {section: base.get(section, {}) | values for section, values in sections.items()}
    validated(params, f"{paths.EXPERIMENTS}: {name}")
    changes = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    return Experiment(name=name, params=params, recipe=recipe(params), changes=changes)
