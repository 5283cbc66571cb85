"""Whether two sets of predictions on the same images differ by more than chance.

`before` and `after` are tables as evaluate writes them to metrics/predictions.csv: one row per image, in the same
order, with the columns of tables.predictions_schema.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05  # of significance; intervals cover 1 − LEVEL
RESAMPLES = 10_000  # of the bootstrap: the ends of its intervals repeat to about 2 % of their width
SEED = 1  # of the bootstrap, so that a review prints the same every time
BINS = 15  # of the calibration error, as in its first use on neural networks


class Change(NamedTuple):
    """A value before and after, with the confidence interval of the difference."""

    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before


class Outcomes(NamedTuple):
    """How many images both models classify correctly, only the second one, only the first one, and neither."""

    both: int
    newly_correct: int
    newly_wrong: int
    neither: int


class ClassChange(NamedTuple):
    """The change of one class's recall and precision; p belongs to the recall, corrected for the number of classes."""

    name: str
    recall: Change
    precision: Change
    p: float


class Comparison(NamedTuple):
    """Two models on the same images.

    p: of McNemar's test. loss: log loss in nats. calibration: the expected calibration error before and after. cells:
    one row per cell of the confusion matrix, in the classes' order: actual, predicted, before, after, change.
    """

    outcomes: Outcomes
    p: float
    accuracy: Change
    loss: Change
    calibration: tuple[float, float]
    classes: list[ClassChange]
    cells: pd.DataFrame


def compare(before: pd.DataFrame, after: pd.DataFrame, class_names: list[str]) -> Comparison:
    """All statistics of two tables of predictions."""
    found = outcomes(before, after)
    bootstrap = Bootstrap(before, after)
    tests = recall_tests(before, after, class_names)
    return Comparison(
        outcomes=found,
        p=mcnemar_test(found),
        accuracy=bootstrap.accuracy(),
        loss=loss_change(before, after),
        calibration=(calibration_error(before, class_names), calibration_error(after, class_names)),
        classes=[
            ClassChange(name, bootstrap.recall(name), bootstrap.precision(name), p)
            for name, p in zip(class_names, tests, strict=True)
        ],
        cells=confusion_change(before, after, class_names),
    )


def outcomes(before: pd.DataFrame, after: pd.DataFrame) -> Outcomes:
    was, now = is_correct(before), is_correct(after)
    return Outcomes(*(int(np.sum(case)) for case in (was & now, ~was & now, was & ~now, ~was & ~now)))


def is_correct(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Which images are classified correctly: bool of shape (n,)."""
    return (table["predicted"] == table["actual"]).to_numpy()


def mcnemar_test(found: Outcomes) -> float:
    """The p-value of McNemar's exact test: are as many images newly correct as newly wrong, up to chance?

    McNemar, Note on the sampling error of the difference between correlated proportions or percentages,
    Psychometrika 12 (1947).
    """
    return float(mcnemar([[found.both, found.newly_wrong], [found.newly_correct, found.neither]], exact=True).pvalue)


class Bootstrap:
    """The paired bootstrap over test images.

    Only the true class and the two predicted classes of an image matter here. So drawing images with replacement is
    drawing the counts of these triples from a multinomial distribution, which is much faster.
    Intervals are percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).
    """

    def __init__(self, before: pd.DataFrame, after: pd.DataFrame) -> None:
        triples = pd.DataFrame({"actual": before["actual"], "before": before["predicted"], "after": after["predicted"]})
        counts = triples.value_counts(sort=False)
        self._triples = counts.index.to_frame(index=False)
        self._counts = counts.to_numpy()
        total = self._counts.sum()
        self._draws = np.random.default_rng(SEED).multinomial(total, self._counts / total, size=RESAMPLES)

    def accuracy(self) -> Change:
        """The change of accuracy over all images."""
        return self._change(lambda model: np.ones(len(self._triples), bool))

    def recall(self, name: str) -> Change:
        """The change of a class's recall: the accuracy among its images."""
        return self._change(lambda model: (self._triples["actual"] == name).to_numpy())

    def precision(self, name: str) -> Change:
        """The change of a class's precision: the accuracy among the images that a model predicts as this class."""
        return self._change(lambda model: (self._triples[model] == name).to_numpy())

    def _change(self, among: Callable[[str], NDArray[np.bool_]]) -> Change:
        def accuracy(counts: NDArray[np.integer], model: str) -> Any:
            chosen = among(model)
            hits = chosen & (self._triples[model] == self._triples["actual"]).to_numpy()
            return (counts @ hits) / np.maximum(counts @ chosen, 1)  # 0 where there are none, as in metrics/

        values = [float(accuracy(self._counts, model)) for model in ("before", "after")]
        drawn = accuracy(self._draws, "after") - accuracy(self._draws, "before")
        return Change(*values, *map(float, np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])))


def loss_change(before: pd.DataFrame, after: pd.DataFrame) -> Change:
    """The log loss (nats), with the interval of the paired t-test."""
    values = float(before["loss"].mean()), float(after["loss"].mean())
    if (before["loss"] == after["loss"]).all():
        return Change(*values, 0.0, 0.0)
    ends = stats.ttest_rel(after["loss"], before["loss"]).confidence_interval(1 - LEVEL)
    return Change(*values, float(ends.low), float(ends.high))


def calibration_error(table: pd.DataFrame, class_names: list[str]) -> float:
    """The expected calibration error: the distance of the predicted probability from the accuracy.

    The mean over images of the distance within BINS equal bins of the highest probability (Guo, Pleiss, Sun and
    Weinberger, On calibration of modern neural networks, ICML 2017).
    """
    confidence = table[class_names].max(axis=1).to_numpy()
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return float(np.abs(np.bincount(bins, confidence - is_correct(table))).sum() / len(table))


def recall_tests(before: pd.DataFrame, after: pd.DataFrame, class_names: list[str]) -> list[float]:
    """A p-value for the change of each class's recall: McNemar's exact test on the class's images.

    They are corrected by Holm's method for as many comparisons as there are classes (Holm, A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979).
    """
    members = [before["actual"] == name for name in class_names]
    values = [mcnemar_test(outcomes(before[images], after[images])) for images in members]
    return [float(p) for p in multipletests(values, LEVEL, method="holm")[1]]


def confusion_change(before: pd.DataFrame, after: pd.DataFrame, class_names: list[str]) -> pd.DataFrame:
    """One row per cell of the confusion matrix, in the classes' order: actual, predicted, before, after, change."""
    cells = pd.MultiIndex.from_product([class_names, class_names], names=["actual", "predicted"])
    counts = {
        name: table.value_counts(["actual", "predicted"]).reindex(cells, fill_value=0)
        for name, table in (("before", before), ("after", after))
    }
    return pd.DataFrame(counts).assign(change=counts["after"] - counts["before"]).reset_index()


class SeedNoise(NamedTuple):
    """What other seeds change.

    runs: the accuracies of the seeds, by the label of the recipe. margin: as by seed_margin. p: of Welch's t-test
    between the means of two recipes, None if only one was measured.
    """

    runs: dict[str, list[float]]
    margin: float
    p: float | None


def seed_noise(runs: dict[str, list[float]]) -> SeedNoise | None:
    """The seed noise from the accuracies of one or two recipes, by label; None without any."""
    if not runs:
        return None
    accuracies = list(runs.values())
    p = float(stats.ttest_ind(*accuracies, equal_var=False).pvalue) if len(accuracies) == 2 else None
    return SeedNoise(runs, seed_margin(*accuracies), p)


def seed_margin(*recipes: list[float]) -> float:
    """The largest difference between two single runs of one recipe that chance explains, at LEVEL.

    Their difference exceeds it with probability LEVEL. recipes: for each recipe the scores of runs that differ in
    their seed only; the standard deviation is assumed to be the same for all of them. The difference of two runs has
    √2 times a run's standard deviation. Student's t replaces the normal distribution because few runs are known.
    """
    degrees = sum(len(scores) - 1 for scores in recipes)
    variance = sum((len(scores) - 1) * np.var(scores, ddof=1) for scores in recipes) / degrees
    return float(stats.t.ppf(1 - LEVEL / 2, degrees) * np.sqrt(2 * variance))
