"""What the results of two revisions say about the difference of their recipes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.errors import UserError
from project import paths, seeds, significance
from project.significance import Change, Runs
from review.revisions import Revision, same_test_set


@dataclass(frozen=True)
class Recipes:
    """The runs of two recipes on the images of a split, and those of all recipes that were measured on them."""

    before: Runs
    after: Runs
    measured: list[Runs]

    def compare(self) -> Change:
        """The difference of the mean accuracies."""
        return significance.compare(self.before, self.after, self.measured)

    def compare_classes(self, classes: dict[str, NDArray[np.bool_]]) -> dict[str, Change]:
        """The differences of the mean recalls. classes: which images belong to each class."""
        return significance.compare_classes(self.before, self.after, self.measured, classes)


@dataclass(frozen=True)
class Comparison:
    """Two revisions on the same test images.

    accuracy: of the recipes' means on the test set. validation: likewise, None if it is not known. runs: the numbers of
    runs. same_recipe: that params, code and data are the same, but for the seed. same_model: that the models are the
    same bits and classify the same test images correctly. classes: the changes of the recalls, by class, and their
    p-values by Holm's correction. precision: before and after, by class.

    Of the two committed models: loss: log loss in nats. gap: mean confidence − accuracy. miscalibration: the gap
    without its sign. newly_correct, newly_wrong: numbers of images. cells: as by confusion_change.
    """

    accuracy: Change
    validation: Change | None
    runs: tuple[int, int]
    same_recipe: bool
    same_model: bool
    classes: dict[str, Change]
    p: dict[str, float]
    precision: dict[str, tuple[float, float]]
    loss: Change
    gap: tuple[float, float]
    miscalibration: Change
    newly_correct: int
    newly_wrong: int
    cells: pd.DataFrame


def compare_revisions(before: Revision, after: Revision, here: dict[str, pd.DataFrame]) -> Comparison | None:
    """Compare the results on the test set; None if the revisions have different test sets.

    here: the tables of seeds in the working tree.

    Raises:
        UserError: their class lists differ.
    """
    if before.classes != after.classes:
        lists = "; ".join(", ".join(revision.classes) for revision in (before, after))
        raise UserError(f"{before.label} and {after.label} have different classes and cannot be compared: {lists}")
    if not same_test_set(before, after):
        return None
    tables = join(before.seeds, after.seeds, here)
    same_origin = before.recipe == after.recipe and before.origin == after.origin
    same_code = before.code(*seeds.STAGES) == after.code(*seeds.STAGES)
    if same_origin and not same_code:  # the tables cannot tell whose runs they have
        tables.pop(before.recipe, None)
    test = recipes(before, after, tables, "test")
    same_split = before.hash_of(paths.VALIDATION_SPLIT) == after.hash_of(paths.VALIDATION_SPLIT)
    sizes = [len(revision.correct.get("validation", ())) for revision in (before, after)]
    actual = before.predictions["actual"].to_numpy()
    classes = test.compare_classes({name: actual == name for name in before.classes if (actual == name).any()})
    was, now = before.correct["test"], after.correct["test"]
    groups = [
        group
        for table in tables.values()
        for _, group in table[table["data"].isin(_data(before, after))].groupby(["code", "data"])
    ]
    models = {seeds.model(revision.lock) for revision in (before, after)}
    gaps = [float(confidence(revision).mean() - revision.correct["test"].mean()) for revision in (before, after)]
    return Comparison(
        accuracy=test.compare(),
        validation=recipes(before, after, tables, "validation").compare()
        if same_split and 0 < sizes[0] == sizes[1]
        else None,
        runs=(len(test.before), len(test.after)),
        same_recipe=same_origin and same_code,
        same_model=len(models) == 1 and None not in models and np.array_equal(was, now),
        classes=classes,
        p=dict(zip(classes, significance.holm(list(classes.values())), strict=True)),
        precision={name: (precision(before, name), precision(after, name)) for name in before.classes},
        loss=significance.paired(
            before.predictions["loss"].to_numpy(),
            after.predictions["loss"].to_numpy(),
            *significance.pooled_variance([group["loss"].to_numpy() for group in groups]),
        ),
        gap=(gaps[0], gaps[1]),
        miscalibration=significance.paired(
            np.sign(gaps[0]) * (confidence(before) - was),
            np.sign(gaps[1]) * (confidence(after) - now),
            *significance.pooled_variance([(group["confidence"] - group["accuracy"]).to_numpy() for group in groups]),
        ),
        newly_correct=int((~was & now).sum()),
        newly_wrong=int((was & ~now).sum()),
        cells=confusion_change(before.predictions, after.predictions, before.classes),
    )


def join(*sources: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Tables of seeds by recipe, from several sources. Of a seed that several have, the row of the first is taken."""
    joined: dict[str, pd.DataFrame] = {}
    for recipe in {recipe for source in sources for recipe in source}:
        rows = pd.concat([source[recipe] for source in sources if recipe in source])
        joined[recipe] = rows.drop_duplicates(["seed", "code", "data"])
    return dict(sorted(joined.items()))


def recipes(before: Revision, after: Revision, tables: dict[str, pd.DataFrame], split: str) -> Recipes:
    """The runs on a split that both revisions have in common. tables: as by join."""
    own = _runs(before, tables, split), _runs(after, tables, split)
    theirs = {(revision.recipe, *revision.origin) for revision in (before, after)}
    images = own[0].shape[1]
    others = [
        seeds.correct(rows, split)
        for recipe, table in tables.items()
        for (code, split_data), rows in table[table[f"{seeds.SPLITS[split]}images"] == images].groupby(["code", "data"])
        if split_data in _data(before, after) and (recipe, code, split_data) not in theirs
    ]
    return Recipes(own[0], own[1], [*own, *others])


def _data(before: Revision, after: Revision) -> set[str]:
    return {before.origin.data, after.origin.data}


def _runs(revision: Revision, tables: dict[str, pd.DataFrame], split: str) -> Runs:
    """The runs of a revision's recipe: its own, and the other seeds of the recipe's table that are not stale."""
    rows = pd.DataFrame(columns=list(seeds.COLUMNS))
    if revision.recipe in tables:
        rows = seeds.current(tables[revision.recipe], revision.origin)
    others = rows[rows["seed"] != revision.seed]
    own = revision.correct[split][None]
    others = others[others[f"{seeds.SPLITS[split]}images"] == own.shape[1]]
    return own if others.empty else np.concatenate([own, seeds.correct(others, split)])


def confidence(revision: Revision) -> NDArray[np.floating]:
    """The probability of the predicted class of each test image."""
    probabilities: NDArray[np.floating] = revision.predictions[revision.classes].max(axis=1).to_numpy()
    return probabilities


def precision(revision: Revision, name: str) -> float:
    """The share of correct ones among the predictions of a class; 0 without any, as in metrics/."""
    predicted = revision.predictions[revision.predictions["predicted"] == name]
    return float((predicted["actual"] == name).mean()) if len(predicted) else 0.0


def confusion_change(before: pd.DataFrame, after: pd.DataFrame, class_names: list[str]) -> pd.DataFrame:
    """One row per cell of the confusion matrix, in the classes' order: actual, predicted, before, after, change."""
    cells = pd.MultiIndex.from_product([class_names, class_names], names=["actual", "predicted"])
    counts = {
        name: table.value_counts(["actual", "predicted"]).reindex(cells, fill_value=0)
        for name, table in (("before", before), ("after", after))
    }
    return pd.DataFrame(counts).assign(change=counts["after"] - counts["before"]).reset_index()
