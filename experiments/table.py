"""The results of the named experiments: a CSV file, a table in docs/experiments.md, and a figure."""

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from classifier import artifacts, figures, tables
from classifier.errors import UserError
from classifier.notation import percent
from experiments.figures import accuracy_by_compute
from experiments.plan import Experiment, Reference
from project import paths, text

BEGIN, END = "<!-- make experiments writes this table -->", "<!-- end of the table -->"


class Row(NamedTuple):
    """An experiment's size, and its scores as means over the seeds; accuracy_sd is the standard deviation (n − 1).

    Scores are those of the test split, but for validation_accuracy. multiply_adds: MACs of one image's forward pass.
    """

    name: str
    recipe: str
    parameters: int
    multiply_adds: int
    epochs: int
    images_seen: int
    seeds: int
    validation_accuracy: float
    accuracy: float
    accuracy_sd: float
    loss: float
    f1: float

    @property
    def compute(self) -> float:
        """Floating-point operations of the training, in units of 10¹².

        Two operations per MAC, and a backward pass of twice the forward pass's cost (Amodei and Hernandez, AI and
        compute, 2018).
        """
        return 3 * 2 * self.multiply_adds * self.images_seen / 1e12


def row(experiment: Experiment, runs: pd.DataFrame) -> Row:
    """runs: at least two, as project.seeds reads them."""
    first, mean = runs.iloc[0], runs[["validation_accuracy", "accuracy", "loss", "f1"]].mean()
    return Row(
        experiment.name,
        experiment.recipe,
        parameters=first["parameters"],
        multiply_adds=first["multiply_adds"],
        epochs=first["epochs"],
        images_seen=first["images_seen"],
        seeds=len(runs),
        accuracy_sd=float(runs["accuracy"].std()),
        **mean,
    )


def read() -> list[Row]:
    """The rows of the table, none if there is no table."""
    if not paths.EXPERIMENTS_TABLE.exists():
        return []
    table = tables.read(paths.EXPERIMENTS_TABLE, Row.__annotations__)
    return [Row(*values) for values in table.itertuples(index=False)]


def publish(rows: list[Row], references: list[Reference]) -> None:
    """Write the table, its copy in the documentation, and the figure.

    Raises:
        UserError: the page of the documentation lacks the markers.
    """
    page = paths.EXPERIMENTS_PAGE
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, marker, after = rest.partition(END)
    if not marker:
        raise UserError(f"{page} lacks the lines {BEGIN} and {END}, between which the table belongs")
    tables.write(paths.EXPERIMENTS_TABLE, pd.DataFrame(rows, columns=Row._fields), Row.__annotations__)
    rows = read()  # with the file's digits, so that text and figure can be made from it again
    figures.write(paths.EXPERIMENTS_FIGURE, figure(rows, references))
    with artifacts.replacing(page) as temporary:
        temporary.write_text(before + markdown(rows) + after, encoding="utf-8", newline="\n")


def figure(rows: list[Row], references: list[Reference]) -> Figure:
    """The figure of the rows, with lines for the published results."""
    points = pd.DataFrame(rows, columns=Row._fields).assign(compute=[row.compute for row in rows])
    lines = {reference.name: reference.accuracy for reference in references}
    return accuracy_by_compute(points, lines, "Test accuracy by training compute")


def markdown(rows: list[Row]) -> str:
    """The table between its markers."""
    head = [
        "experiment", "parameters", "MACs per image", "epochs", "images seen", "training compute, TFLOP",
        "validation accuracy", "test accuracy, mean ± sd", "test loss, nats", "test F1, macro average",
    ]  # fmt: skip
    cells = [
        [
            row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            f"{row.epochs}",
            f"{row.images_seen:,}",
            f"{row.compute:.1f}",
            percent(row.validation_accuracy),
            text.mean_and_sd(row.accuracy, row.accuracy_sd, row.seeds),
            f"{row.loss:.4f}",
            f"{row.f1:.4f}",
        ]
        for row in rows
    ]
    return "\n\n".join([BEGIN, text.table(head, cells), END])
