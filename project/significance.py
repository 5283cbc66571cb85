"""Whether two recipes differ by more than chance, from which images their runs classify correctly.

The images of a split are crossed with the seeds of a training, and the seeds are nested in recipes. This is the
multi-reader multi-case analysis of medical imaging, with seeds as readers: Obuchowski and Rockette, Hypothesis testing
of diagnostic accuracy for multiple readers and multiple tests, Communications in Statistics 24 (1995); Gallas, One-shot
estimate of MRMC variance, Academic Radiology 13 (2006).

The variance of a difference of means has two parts:

- seeds: other seeds would have given other runs. Single images flip between the runs of a recipe, independently of each
  other, and a run as a whole may be better or worse. The first is measured from any two runs. The second is the ratio
  of the variance of the runs' accuracies to what independent flips explain, pooled over all measured recipes.
- images: another sample of images would have favoured another recipe.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests

LEVEL = 0.05  # of significance; intervals cover 1 − LEVEL
POWER = 0.8  # with which enough seeds would show a difference of the margin

Runs = NDArray[np.bool_]  # of shape (runs, images): whether each run classifies each image correctly


class Change(NamedTuple):
    """A value before and after, and the distribution of the difference around its true value.

    seeds, images: the two parts of its variance. seeds_degrees: of freedom of the first; the second, from thousands of
    images, is taken as known.
    """

    before: float
    after: float
    seeds: float
    images: float
    seeds_degrees: float

    @property
    def difference(self) -> float:
        return self.after - self.before

    @property
    def error(self) -> float:
        """The standard error of the difference."""
        return math.sqrt(self.seeds + self.images)

    @property
    def degrees(self) -> float:
        """Of freedom of Student's distribution for the difference.

        Satterthwaite, An approximate distribution of estimates of variance components, Biometrics Bulletin 2 (1946).
        """
        share = self.seeds / (self.seeds + self.images) if self.seeds else 0.0
        return self.seeds_degrees / share**2 if share**2 else math.inf  # a small share squared can be 0

    @property
    def p(self) -> float:
        """The two-sided p-value of a difference of 0."""
        if not self.error:
            return 1.0 if not self.difference else 0.0
        return float(2 * stats.t.sf(abs(self.difference) / self.error, self.degrees))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The confidence interval of 1 − level. p is below the level if and only if it excludes 0."""
        half = float(stats.t.ppf(1 - level / 2, self.degrees)) * self.error
        return self.difference - half, self.difference + half


class Spread(NamedTuple):
    """How single runs of a recipe differ, pooled over recipes.

    share: the variance over seeds of one image's being correct, as a share of accuracy · (1 − accuracy), mean over
    images. ratio: the variance of the runs' accuracies, divided by what independent flips of images explain. degrees:
    the sum of the numbers of runs − 1.
    """

    share: float
    ratio: float
    degrees: int


def spread(recipes: Sequence[Runs]) -> Spread | None:
    """The spread of several recipes; None if none of them has two runs that differ."""
    measured = [runs for runs in recipes if _share(runs)]
    if not measured:
        return None
    degrees = np.array([len(runs) - 1 for runs in measured])
    return Spread(
        float(np.average([_share(runs) for runs in measured], weights=degrees)),
        float(np.average([_ratio(runs) for runs in measured], weights=degrees)),
        int(degrees.sum()),
    )


def compare(before: Runs, after: Runs, measured: Sequence[Runs], least_ratio: float = 0.0) -> Change:
    """The difference of two recipes' mean accuracies.

    measured: the runs of all recipes that were measured on these images, the two among them. least_ratio: a lower limit
    of Spread.ratio.

    Without any measured recipe, the flips are taken from the disagreement of the two, as if they were one recipe, and
    nothing is known of runs that are better or worse as a whole.
    """
    images = before.shape[1]
    known = spread(measured)
    if known is None:
        disagreement = np.abs(after.mean(axis=0) - before.mean(axis=0)).sum() + 1  # 0 of a few images is no proof
        known = Spread(float(disagreement / images / (_binomial(before) + _binomial(after))), 1.0, 0)
    before_flips = _flips(before, _share(before) or _share(after) or known.share)
    after_flips = _flips(after, _share(after) or _share(before) or known.share)
    own = spread([before, after])
    ratio = max(known.ratio, own.ratio if own else 0.0, least_ratio)  # a guard: these two may vary more than others
    by_flips = before_flips / len(before) + after_flips / len(after)
    observed = np.var(after.mean(axis=0) - before.mean(axis=0)) / images
    return Change(
        float(before.mean()),
        float(after.mean()),
        seeds=float(ratio * by_flips),
        images=float(max(0.0, observed - by_flips)),
        seeds_degrees=known.degrees or math.inf,
    )


def compare_classes(
    before: Runs, after: Runs, measured: Sequence[Runs], classes: dict[str, NDArray[np.bool_]]
) -> dict[str, Change]:
    """The differences of two recipes' mean recalls, by class.

    before, after, measured: as for compare. classes: which images belong to each class, of shape (images,). The mean
    ratio of all classes is a lower limit for each: of a few runs, those in some class are alike by chance.
    """
    spreads = [spread([runs[:, images] for runs in measured]) for images in classes.values()]
    ratios = [found.ratio for found in spreads if found]
    least = float(np.mean(ratios)) if ratios else 0.0
    return {
        name: compare(before[:, images], after[:, images], [runs[:, images] for runs in measured], least)
        for name, images in classes.items()
    }


def seeds_needed(change: Change, runs: tuple[int, int], margin: float, level: float = LEVEL) -> int | None:
    """The number of seeds of each recipe that would show a difference of the margin with POWER; None if none would.

    change: as by compare. runs: the number of runs of each recipe in it. level: of significance, for both directions.
    """
    if change.images > (margin / (stats.norm.ppf(1 - level / 2) + stats.norm.ppf(POWER))) ** 2:
        return None
    of_one = change.seeds / (1 / runs[0] + 1 / runs[1])  # the same for both recipes, on average
    for seeds in range(2, 1000):
        degrees = max(change.seeds_degrees, 2 * (seeds - 1))
        then = change._replace(seeds=2 * of_one / seeds, seeds_degrees=degrees)
        quantiles = stats.t.ppf(1 - level / 2, then.degrees) + stats.t.ppf(POWER, then.degrees)
        if quantiles * then.error <= margin:
            return seeds
    return None


def gain_of_the_best(looks: int, change: Change) -> float:
    """How much better than its true value the best of equal recipes appears to be, on average.

    looks: the number of recipes. change: as by compare, of two of them, each with half of the variance.
    """
    largest, _ = integrate.quad(
        lambda x: x * looks * stats.norm.pdf(x) * stats.norm.cdf(x) ** (looks - 1), -10, 10
    )  # the expectation of the largest of so many standard normal values
    return float(largest) * change.error / math.sqrt(2)


def holm(changes: Sequence[Change]) -> list[float]:
    """The p-values of several changes, corrected for their number.

    Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    return [float(p) for p in multipletests([change.p for change in changes], LEVEL, method="holm")[1]]


def paired(before: NDArray[Any], after: NDArray[Any], seeds: float, degrees: float) -> Change:
    """The change of a mean over images, of values (images,) of two single runs.

    seeds: the variance of one run's mean over seeds. degrees: of freedom of it.
    """
    difference = after - before
    return Change(
        float(before.mean()), float(after.mean()), 2 * seeds, float(np.var(difference)) / len(difference), degrees
    )


def pooled_variance(recipes: Sequence[NDArray[Any]]) -> tuple[float, float]:
    """The variance of a score over the seeds of a recipe, pooled, and its degrees of freedom; without any, 0 and inf.

    recipes: for each the scores of its runs.
    """
    measured = [scores for scores in recipes if len(scores) > 1]
    degrees = sum(len(scores) - 1 for scores in measured)
    if not degrees:
        return 0.0, math.inf
    squares = [(len(scores) - 1) * float(np.var(scores, ddof=1)) for scores in measured]
    return sum(squares) / degrees, degrees


def _binomial(runs: Runs) -> float:
    """accuracy · (1 − accuracy), but not 0."""
    accuracy = float(runs.mean())
    return max(accuracy * (1 - accuracy), 0.5 / float(runs.size))


def _share(runs: Runs) -> float:
    """Spread.share of one recipe; 0 for a single run."""
    if len(runs) < 2:
        return 0.0
    correct = runs.mean(axis=0)  # the variance of a bit with n − 1 in its denominator: n / (n − 1) · mean · (1 − mean)
    return float(np.mean(correct * (1 - correct))) * len(runs) / (len(runs) - 1) / _binomial(runs)


def _flips(runs: Runs, share: float) -> float:
    """The variance of one run's accuracy over seeds, if each image flips independently of the others."""
    return share * _binomial(runs) / int(runs.shape[1])


def _ratio(runs: Runs) -> float:
    """Spread.ratio of one recipe with several runs.

    Two runs with equal numbers of correct images are no proof that all runs have them: the variance is at least that of
    a value that is rounded to whole images.
    """
    variance = max(float(np.var(runs.mean(axis=1), ddof=1)), 1 / 12 / int(runs.shape[1]) ** 2)
    return variance / _flips(runs, _share(runs))
