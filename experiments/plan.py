"""experiments.yaml with types and ranges."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from classifier.cli import PARAMS, InputError
from classifier.params import Section, load_yaml, validated
from experiments.queue import Changes
from review.revisions import recipe

EXPERIMENTS = Path("experiments.yaml")

Sections = dict[str, dict[str, Any]]  # by section and key of params.yaml


class Reference(Section):
    """What others report: a share of the test images, and where they do."""

    name: str
    accuracy: Annotated[float, Field(gt=0, lt=1)]
    source: str


class Plan(Section):
    """How many seeds, and what each experiment changes in params.yaml."""

    seeds: Annotated[int, Field(ge=2)]
    experiments: dict[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")], Sections]
    references: list[Reference]


class Experiment(Section):
    """An experiment: its name, the whole of its params, their recipe, and those that it changes."""

    name: str
    params: Sections
    recipe: str
    changes: Changes


def load(path: Path = EXPERIMENTS) -> Plan:
    """Read and validate the list.

    Raises:
        InputError: the file is missing, is no YAML, or is not such a list.
    """
    try:
        return Plan.model_validate(load_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def experiments(plan: Plan) -> list[Experiment]:
    """The experiments in the order of the list.

    Raises:
        InputError: one of them makes no valid params.
    """
    return [_experiment(name, sections) for name, sections in plan.experiments.items()]


def _experiment(name: str, sections: Sections) -> Experiment:
    params: Sections = load_yaml(PARAMS)
    params |= {section: params.get(section, {}) | values for section, values in sections.items()}
    validated(params, f"{EXPERIMENTS}: {name}")
    changes = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    return Experiment(name=name, params=params, recipe=recipe(params), changes=changes)
