"""The results of the named experiments: as CSV, in the README between its markers, and as a picture."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from classifier import artifacts, figures
from classifier.cli import InputError
from experiments.cost import Cost
from experiments.plan import Experiment, Reference

TABLE = Path("metrics/experiments.csv")
PICTURE = Path("docs/experiments.png")
README = Path("README.md")
BEGIN, END = "<!-- experiments: make experiments writes this -->", "<!-- end of experiments -->"


class Row(NamedTuple):
    """An experiment's costs, and its scores as means over the seeds; accuracy_sd with n − 1.

    Scores are of the test split, but for validation_accuracy.
    """

    name: str
    recipe: str
    parameters: int
    multiply_adds: int
    epochs: int
    images_seen: int
    relative_time: float
    seeds: int
    validation_accuracy: float
    accuracy: float
    accuracy_sd: float
    loss: float
    f1: float

    @property
    def cost(self) -> Cost:
        return Cost(*(getattr(self, key) for key in Cost._fields))


def row(experiment: Experiment, cost: Cost, runs: pd.DataFrame) -> Row:
    """runs: a row a seed, as experiments.seeds keeps them."""
    mean = runs[["validation_accuracy", "accuracy", "loss", "f1"]].mean()
    spread = float(runs["accuracy"].std())
    return Row(
        experiment.name,
        experiment.recipe,
        *cost,
        seeds=len(runs),
        validation_accuracy=mean["validation_accuracy"],
        accuracy=mean["accuracy"],
        accuracy_sd=spread,
        loss=mean["loss"],
        f1=mean["f1"],
    )


def read() -> list[Row]:
    return (
        [Row(*values) for values in artifacts.read_csv(TABLE, Row.__annotations__).itertuples(index=False)]
        if TABLE.exists()
        else []
    )


def publish(rows: list[Row], references: list[Reference]) -> None:
    """Write the table, the README's part, and the picture.

    Raises:
        InputError: the README lacks the markers.
    """
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise InputError(f"{README} lacks the lines {BEGIN} and {END}, between which the table belongs")
    artifacts.write_csv(TABLE, pd.DataFrame(rows, columns=Row._fields))
    kept = read()  # with the CSV's digits, so that text and picture can be made from it again
    lines = {reference.name: reference.accuracy for reference in references}
    picture = figures.accuracy_by_compute(
        pd.DataFrame(kept, columns=Row._fields), lines, "Test accuracy by training compute"
    )
    artifacts.write_figure(PICTURE, picture)
    with artifacts.replacing(README) as temporary:
        temporary.write_text(before + markdown(kept) + after, encoding="utf-8", newline="\n")


def markdown(rows: list[Row]) -> str:
    """The README's part: the markers, and the table between them."""
    head = [
        "experiment", "parameters", "epochs", "images seen", "training time", "validation accuracy", "test accuracy",
        "test loss", "macro F1",
    ]  # fmt: skip
    cells = [
        [
            row.name,
            f"{row.parameters:,}",
            f"{row.epochs}",
            f"{row.images_seen:,}",
            f"{row.relative_time:.2f}",
            f"{row.validation_accuracy:.2%}",
            f"{100 * row.accuracy:.2f} ± {100 * row.accuracy_sd:.2f} % ({row.seeds})",
            f"{row.loss:.4f}",
            f"{row.f1:.4f}",
        ]
        for row in rows
    ]
    lines = ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *cells)]
    return "\n".join([BEGIN, "", *lines, "", END])
