"""How often the review's verdicts are wrong, and how often they find a true difference: a simulation.

    python -m review.simulation [PAIRS]

Each of PAIRS times (default 2,000), two recipes with the given numbers of seeds are drawn, and compared as a review
does, on a new sample of 10,000 test images. Prints, in percent of the pairs,

- false alarms: "better" or "worse" for recipes of the same true accuracy, as the 95 % interval does not contain 0;
- power: "better" for a recipe that is better by the given number of points.

For comparison, the same for a common rule: a difference is claimed if McNemar's test of one run of each recipe rejects,
and if it exceeds what two runs of one recipe differ by in 95 % of cases, where both recipes have several seeds.

The model: run s of recipe r classifies image i correctly if u_i + v_ir + e_irs + w_rs > c, with independent normal
values. u: how easy an image is for all. v: for a recipe. e: for a run, with standard deviation 1. w: how good a run is
as a whole. The standard deviations of u and v are fitted to results of this project: to the disagreement of two seeds,
and to that of two runs of different recipes. Near recipes differ as the commits a96421d~1 and a96421d do (learning rate
and schedule), far ones as e287136 and 45940b6 (CNN and residual network). The project has measured five other recipes
with three seeds each.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, special, stats
from tqdm import tqdm

from project import cli
from project.significance import LEVEL, Runs, compare, pooled_variance

ACCURACY = 0.908
SEEDS_DISAGREE = (0.908, 0.908, 0.0405)  # accuracies, and the share of images that only one of the two has right
RECIPES_DISAGREE = {"near": (0.9073, 0.9163, 0.0354), "far": (0.9073, 0.9441, 0.0660)}  # likewise
IMAGES = 10_000
OTHERS, SEEDS_OF_OTHERS = 5, 3
PAIRS = 2000
SEED = 1


class Case(NamedTuple):
    """What is simulated. run_sd: the standard deviation of a run's accuracy as a whole, in points.

    seeds: of both recipes, 0 for a single run that is not in a table. difference: of the true accuracies, in points.
    """

    recipes: str
    run_sd: float
    seeds: tuple[int, int]
    difference: float = 0.0


NULL = [
    Case(recipes, run_sd, seeds)
    for recipes in RECIPES_DISAGREE
    for run_sd in (0, 0.1, 0.2)
    for seeds in ((0, 0), (5, 1), (3, 3), (5, 5))
]
DIFFERENT = [
    Case("near", 0.1, seeds, difference) for difference in (0.2, 0.3, 0.5) for seeds in ((0, 0), (5, 1), (3, 3), (5, 5))
]


class Model:
    """The probit model with the standard deviations that give the disagreements."""

    def __init__(self, recipes: str) -> None:
        """recipes: near or far."""
        within = _correlation(*SEEDS_DISAGREE)
        between = min(_correlation(*RECIPES_DISAGREE[recipes]), within)
        self.total = np.sqrt(1 / (1 - within))  # the standard deviation of the sum
        self.image = self.total * np.sqrt(between)
        self.recipe = self.total * np.sqrt(within - between)

    def threshold(self, accuracy: float) -> float:
        return float(self.total * special.ndtri(accuracy))

    def points(self, points: float) -> float:
        """A shift of the sum that changes the accuracy by so many percentage points."""
        return self.threshold(ACCURACY + points / 100) - self.threshold(ACCURACY)


def _correlation(first: float, second: float, disagreement: float) -> float:
    """The correlation of two normal values that exceed their thresholds with these probabilities."""
    thresholds = stats.norm.ppf([first, second])

    def excess(correlation: float) -> float:
        both = stats.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]]).cdf(thresholds)
        return float(first + second - 2 * both - disagreement)

    return float(optimize.brentq(excess, 0.5, 0.9999))


def draw(random: np.random.Generator, model: Model, case: Case) -> tuple[Runs, Runs, list[Runs]]:
    """The runs of both recipes, and those of all recipes with several."""
    easy = model.image * random.standard_normal(IMAGES, np.float32)

    def runs(seeds: int, points: float) -> Runs:
        recipe = easy + model.recipe * random.standard_normal(IMAGES, np.float32)
        whole = random.standard_normal((seeds, 1)) * case.run_sd
        shifts = np.array([model.points(points + value) for value in whole.ravel()], np.float32)[:, None]
        correct: NDArray[np.bool_] = recipe + random.standard_normal(
            (seeds, IMAGES), np.float32
        ) + shifts > -model.threshold(ACCURACY)
        return correct

    before, after = (
        runs(max(1, seeds), points) for seeds, points in zip(case.seeds, (0, case.difference), strict=True)
    )
    others = [runs(SEEDS_OF_OTHERS, 0) for _ in range(OTHERS)]
    return before, after, [*others, before, after]


def single_runs_differ(before: Runs, after: Runs) -> float:
    """The difference of the first runs' accuracies if the common rule claims it, else 0."""
    better, worse = int((~before[0] & after[0]).sum()), int((before[0] & ~after[0]).sum())
    difference = (better - worse) / IMAGES
    variance, degrees = pooled_variance([before.mean(axis=1), after.mean(axis=1)])
    margin = stats.t.ppf(1 - LEVEL / 2, degrees) * np.sqrt(2 * variance)
    rejected = better + worse and stats.binomtest(better, better + worse).pvalue < LEVEL
    return difference if rejected and abs(difference) > margin else 0.0


def simulate(case: Case, pairs: int) -> dict[str, float]:
    """Shares of the pairs: found (a claim without a true difference, else "better"), common (by the common rule)."""
    random = np.random.default_rng([SEED, *map(ord, repr(case))])
    model = Model(case.recipes)
    found = common = 0
    for _ in range(pairs):
        before, after, measured = draw(random, model, case)
        change = compare(before, after, measured)
        low, high = change.interval(LEVEL)
        claims = (change.difference if low > 0 or high < 0 else 0.0), single_runs_differ(before, after)
        either, rule = (claim > 0 or (claim < 0 and not case.difference) for claim in claims)
        found, common = found + either, common + rule
    return {"found": found / pairs, "common": common / pairs}


def rows(cases: list[Case], pairs: int) -> Iterator[dict[str, object]]:
    for case in tqdm(cases, unit="case"):
        yield {**case._asdict(), "seeds": "{} and {}".format(*case.seeds), **simulate(case, pairs)}


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("pairs", nargs="?", type=cli.number(int, 1), default=PAIRS, metavar="PAIRS")
    pairs = parser.parse_args().pairs
    null = pd.DataFrame(rows(NULL, pairs))
    different = pd.DataFrame(rows(DIFFERENT, pairs))
    order = list(dict.fromkeys(null["seeds"]))
    for title, table, index, value in (
        ("false alarms, %", null, ["recipes", "run_sd"], "found"),
        ("power, %", different, ["difference"], "found"),
        ("false alarms of the common rule, %", null, ["recipes", "run_sd"], "common"),
        ("power of the common rule, %", different, ["difference"], "common"),
    ):
        print(f"\n{title}, by the seeds of both")
        print((100 * table.pivot(index=index, columns="seeds", values=value))[order].round(1).to_string())


if __name__ == "__main__":
    with cli.one_line_errors("review.simulation"):
        main()
