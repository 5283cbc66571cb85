"""The results of the named experiments: a CSV file, a table in docs/experiments.md, and a figure."""

from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from classifier import artifacts, figures, tables
from classifier.errors import UserError
from classifier.notation import percent
from experiments.figures import accuracy_by_cost
from experiments.plan import Experiment, Reference
from project import paths, seeds, text
from project.significance import Runs, compare
from project.verdict import Sample, judge, training_operations

BEGIN, END = "<!-- make experiments writes this table -->", "<!-- end of the table -->"
BASELINE = "baseline"  # the name of the experiment with which the others are compared
NOT_COMPARED, EARLIER = "–", "earlier result"  # in place of a verdict
NOTE = "† An earlier result, not compared: not all of its seeds are trained with the current code and data."


class Row(NamedTuple):
    """An experiment's size, its scores as means over the seeds, and how they compare with the baseline's.

    Scores are those of the test split, but for validation_accuracy; accuracy_sd is the standard deviation (n − 1).
    code: the hash of project.seeds.Origin. multiply_adds: MACs of one image's forward pass.

    difference: of the accuracy to that of the baseline, as a share; low, high: its 95 % interval; all three are 0
    without a comparison. verdict: the kind of project.verdict; NOT_COMPARED for the baseline, and for all others if it
    is not complete; EARLIER if not all seeds are trained with the current code and data.
    """

    name: str
    recipe: str
    code: str
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
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    verdict: str = NOT_COMPARED

    @property
    def compute(self) -> float:
        """Floating-point operations of the training, in units of 10¹²."""
        return training_operations(self.multiply_adds, self.images_seen) / 1e12


def row(experiment: Experiment, runs: pd.DataFrame) -> Row:
    """The row of an experiment, not compared. runs: at least two, of one code and data, as project.seeds reads them."""
    first, mean = runs.iloc[0], runs[["validation_accuracy", "accuracy", "loss", "f1"]].mean()
    return Row(
        experiment.name,
        experiment.recipe,
        code=first["code"],
        parameters=first["parameters"],
        multiply_adds=first["multiply_adds"],
        epochs=first["epochs"],
        images_seen=first["images_seen"],
        seeds=len(runs),
        accuracy_sd=float(runs["accuracy"].std()),
        **mean,
    )


def update(before: list[Row], experiments: list[Experiment], complete: dict[str, pd.DataFrame]) -> list[Row]:
    """The rows of the experiments, in their order, each compared with the baseline.

    before: the rows so far. complete: by the name of a complete experiment, its runs with the current code and data,
    two or more. The row so far of an experiment that is not complete is kept as an earlier result, if it has the
    experiment's recipe.
    """
    earlier = {row.recipe: row for row in before}
    rows = [
        row(each, complete[each.name])
        if each.name in complete
        else earlier[each.recipe]._replace(name=each.name, difference=0.0, low=0.0, high=0.0, verdict=EARLIER)
        for each in experiments
        if each.name in complete or each.recipe in earlier
    ]
    if BASELINE not in complete:
        return rows
    looks = sum(row.name != BASELINE for row in rows)
    correct = {name: seeds.correct(runs) for name, runs in complete.items()}
    return [_compare(row, correct, looks) if row.name in complete and row.name != BASELINE else row for row in rows]


def _compare(row: Row, runs: dict[str, Runs], looks: int) -> Row:
    """The row with its comparison. runs: of all complete experiments, by name. looks: as in project.verdict.judge."""
    change = compare(runs[BASELINE], runs[row.name], list(runs.values()))
    low, high = change.interval()
    # With 0 operations, which means unknown, the verdict has no hours: they would be those on this machine
    verdict = judge(change, "test", Sample(len(runs[BASELINE]), 0), Sample(row.seeds, 0), looks)
    return row._replace(difference=change.difference, low=low, high=high, verdict=verdict.kind)


def read() -> list[Row]:
    """The rows of the table, none if there is no table.

    Raises:
        UserError: the file is not such a table.
    """
    if not paths.EXPERIMENTS_TABLE.exists():
        return []
    try:
        table = tables.read(paths.EXPERIMENTS_TABLE, Row.__annotations__)
    except UserError:
        raise UserError(
            f"{paths.EXPERIMENTS_TABLE} was written by another version, or is not the table of experiments; remove the "
            "file, and make experiments makes it again"
        ) from None
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
    """The figure of the rows, with the published results."""
    points = pd.DataFrame(rows, columns=Row._fields).assign(
        compute=[row.compute for row in rows],
        differs=[row.verdict.startswith(("Better", "Worse")) for row in rows],
        earlier=[row.verdict == EARLIER for row in rows],
    )
    published = pd.DataFrame([dict(each) for each in references], columns=list(Reference.model_fields))
    return accuracy_by_cost(points, published, "Test accuracy by training compute and by parameters")


def markdown(rows: list[Row]) -> str:
    """The table between its markers, with a note if it has earlier results."""
    head = [
        "experiment", "parameters", "MACs per image", "epochs", "images seen", "training compute, TFLOP",
        "validation accuracy", "test accuracy, mean ± sd", "against the baseline, points (95 % interval)",
        "test loss, nats", "test F1, macro average",
    ]  # fmt: skip
    cells = [
        [
            f"{row.name} †" if row.verdict == EARLIER else row.name,
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            f"{row.epochs}",
            f"{row.images_seen:,}",
            f"{row.compute:.1f}",
            percent(row.validation_accuracy),
            text.mean_and_sd(row.accuracy, row.accuracy_sd, row.seeds),
            _comparison(row),
            f"{row.loss:.4f}",
            f"{row.f1:.4f}",
        ]
        for row in rows
    ]
    note = [NOTE] if any(row.verdict == EARLIER for row in rows) else []
    return "\n\n".join([BEGIN, text.table(head, cells), *note, END])


def _comparison(row: Row) -> str | None:
    """The difference to the baseline in percentage points, its interval and the verdict; None without a comparison."""
    if row.verdict in (NOT_COMPARED, EARLIER):
        return None
    return f"{100 * row.difference:+z.2f} ({100 * row.low:+z.2f} to {100 * row.high:+z.2f}) {row.verdict}"
