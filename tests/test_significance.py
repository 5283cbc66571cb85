"""Statistics are compared with formulas written out here, with published values, with simulations and real seeds."""

import itertools
import math
import re
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from project import paths, seeds, significance
from project.significance import LEVEL, Change, Runs, compare, compare_classes
from project.verdict import MARGIN, Sample, judge, p_value
from review import simulation
from tests.conftest import PUBLISHED, ROOT

ONE_RUN = Sample(1, 0)
BASELINE = ROOT / seeds.path(PUBLISHED)


def draw(random: np.random.Generator, seeds: int, images: int, accuracy: float = 0.8, sd: float = 0.0) -> Runs:
    """Runs of a recipe that agree on most images. sd: of the accuracy of a run as a whole."""
    easy = random.random(images)
    levels = accuracy + sd * random.standard_normal((seeds, 1))
    runs: Runs = easy + 0.1 * random.standard_normal((seeds, images)) < levels
    return runs


def make_single(newly_correct: int, newly_wrong: int, images: int = 10_000) -> tuple[Runs, Runs]:
    """A single run of each of two recipes, with these numbers of images that only one classifies correctly."""
    before = np.ones(images, bool)
    before[: newly_correct + images // 10] = False
    after = before.copy()
    after[:newly_correct] = True
    after[images - newly_wrong :] = False
    return before[None], after[None]


def points(difference: float, seeds: float, images: float, degrees: float = math.inf) -> Change:
    """A change of an accuracy of 90 %. All in percentage points; seeds, images: standard errors."""
    return Change(0.9, 0.9 + difference / 100, (seeds / 100) ** 2, (images / 100) ** 2, degrees)


@pytest.mark.parametrize(("seeds", "images"), [(1e-300, 1e-5), (1e-5, 1e192), (1e-320, 0)])
def test_extreme_variances_do_not_overflow(seeds: float, images: float) -> None:
    low, high = Change(0, 1, seeds, images, 4).interval()
    assert math.isfinite(low) and math.isfinite(high)


class Reference:
    """The method of docs/review.md in plain Python, image by image."""

    def __init__(self, before: Runs, after: Runs, measured: Sequence[Runs]) -> None:
        self.images = int(before.shape[1])
        first, second = before.tolist(), after.tolist()
        several = [runs.tolist() for runs in measured if len(runs) > 1]
        f_a, f_b = self.flips(first, second, several), self.flips(second, first, several)
        own = [runs for runs in (first, second) if len(runs) > 1]
        phi = max(self.phi(several), self.phi(own) if own else 0)
        self.seeds = phi * (f_a / len(first) + f_b / len(second))
        means = [[statistics.fmean(column) for column in zip(*runs, strict=True)] for runs in (first, second)]
        self.mean_before, self.mean_after = map(statistics.fmean, means)
        differences = [b - a for a, b in zip(*means, strict=True)]
        observed = statistics.pvariance(differences) / self.images
        self.part_of_images = max(0, observed - f_a / len(first) - f_b / len(second))
        self.total = sum(len(runs) - 1 for runs in several)

    def f(self, runs: list[list[bool]]) -> float:
        """The variance of a run's accuracy over seeds if every image flipped independently."""
        by_image = (statistics.variance(map(int, column)) for column in zip(*runs, strict=True))
        return statistics.fmean(by_image) / self.images

    def scale(self, runs: list[list[bool]]) -> float:
        accuracy = statistics.fmean(itertools.chain.from_iterable(runs))
        return accuracy * (1 - accuracy)

    def flips(self, runs: list[list[bool]], other: list[list[bool]], several: list[list[list[bool]]]) -> float:
        """f of a recipe, or that of the other or of all, in proportion to accuracy · (1 − accuracy)."""
        if len(runs) > 1:
            return self.f(runs)
        if len(other) > 1:
            return self.f(other) / self.scale(other) * self.scale(runs)
        shares = [self.f(table) / self.scale(table) for table in several for _ in table[1:]]
        return statistics.fmean(shares) * self.scale(runs)

    def phi(self, recipes: list[list[list[bool]]]) -> float:
        """The variance of the runs' accuracies, divided by f, pooled."""
        weights = [len(runs) - 1 for runs in recipes]
        ratios = [statistics.variance(map(statistics.fmean, runs)) / self.f(runs) for runs in recipes]
        return statistics.fmean(ratios, weights)


@pytest.mark.parametrize("images", [12, 40])
@pytest.mark.parametrize(
    ("of_before", "of_after", "others"),
    [(3, 3, ()), (2, 4, (3,)), (1, 3, ()), (3, 1, (2, 5)), (1, 1, (3, 2))],
)
def test_a_comparison_follows_the_formulas(of_before: int, of_after: int, others: tuple[int, ...], images: int) -> None:
    random = np.random.default_rng([of_before, of_after, images])
    for _ in range(20):
        before, after = draw(random, of_before, images, 0.6, 0.05), draw(random, of_after, images, 0.7, 0.05)
        measured = [before, after, *(draw(random, count, images, 0.6, 0.05) for count in others)]
        if any(len(runs) > 1 and (runs.mean(axis=1) == runs[0].mean()).all() for runs in measured):
            continue  # see the test of runs of the same accuracy
        expected = Reference(before, after, measured)
        found = compare(before, after, measured)
        assert found == pytest.approx(
            (expected.mean_before, expected.mean_after, expected.seeds, expected.part_of_images, expected.total)
        )
        variance = expected.seeds + expected.part_of_images
        quantile = stats.t.ppf(0.975, expected.total * (variance / expected.seeds) ** 2)  # Satterthwaite
        low, high = found.interval()
        assert (low + high) / 2 == pytest.approx(expected.mean_after - expected.mean_before)
        assert (high - low) / 2 == pytest.approx(quantile * variance**0.5)


def test_a_comparison_is_symmetric() -> None:
    random = np.random.default_rng(2)
    for of_before, of_after in itertools.product((1, 2, 3), repeat=2):
        before, after, other = draw(random, of_before, 60), draw(random, of_after, 60), draw(random, 3, 60)
        for measured in ([], [other]):
            there = compare(before, after, [before, after, *measured])
            back = compare(after, before, [after, before, *measured])
            assert back.difference == pytest.approx(-there.difference)
            assert back[2:] == pytest.approx(there[2:])
            assert back.p == pytest.approx(there.p)
            assert back.interval() == pytest.approx([-end for end in reversed(there.interval())])


def test_p_is_below_the_level_if_and_only_if_the_interval_excludes_0() -> None:
    other = draw(np.random.default_rng(3), 3, 50)
    changes = [
        compare(*make_single(newly_correct, newly_wrong, 50), measured)
        for newly_correct, newly_wrong in itertools.product(range(16), repeat=2)
        for measured in ([], [other])
    ]
    changes += [
        points(difference, of_seeds, of_images, degrees)
        for difference in np.linspace(-2, 2, 21)
        for of_seeds, of_images, degrees in itertools.product((0, 0.1, 0.5), (0, 0.3), (1, 2, 14, math.inf))
    ]
    for change, level in itertools.product(changes, (LEVEL, LEVEL / 7)):
        low, high = change.interval(level)
        assert 0 <= change.p <= 1
        assert low <= change.difference <= high
        assert (change.p < level) == (low > 0 or high < 0), change
    assert {change.p < LEVEL for change in changes} == {False, True}


@pytest.mark.parametrize(("newly_correct", "newly_wrong"), [(0, 0), (1, 0), (4, 0), (0, 4), (12, 5), (220, 200)])
def test_a_few_images_are_no_evidence_if_no_seeds_are_measured(newly_correct: int, newly_wrong: int) -> None:
    change = compare(*make_single(newly_correct, newly_wrong), [])
    low, high = change.interval()
    assert change.p > LEVEL
    assert low < 0 < high
    assert math.isinf(change.degrees)


@pytest.mark.parametrize(("newly_correct", "newly_wrong"), [(20, 0), (300, 200), (168, 554)])
def test_without_measured_seeds_p_is_close_to_that_of_mcnemar(newly_correct: int, newly_wrong: int) -> None:
    mcnemar = stats.binomtest(newly_correct, newly_correct + newly_wrong).pvalue
    change = compare(*make_single(newly_correct, newly_wrong), [])
    assert math.log(change.p) == pytest.approx(math.log(mcnemar), rel=0.35)
    assert change.p < LEVEL


def test_recipes_that_vary_more_than_others_are_judged_by_their_own_spread() -> None:
    random = np.random.default_rng(4)
    calm = [draw(random, 3, 4000) for _ in range(8)]
    easy = random.random(4000)

    def runs(*accuracies: float) -> Runs:
        levels = np.array(accuracies)[:, None]
        found: Runs = easy + 0.1 * random.standard_normal((len(accuracies), 4000)) < levels
        return found

    steady = runs(0.8, 0.8, 0.8), runs(0.82, 0.82, 0.82)
    assert compare(*steady, [*calm, *steady]).p < LEVEL
    varying = runs(0.79, 0.8, 0.81), runs(0.81, 0.82, 0.83)
    found = compare(*varying, [*calm, *varying])
    assert found.p > LEVEL
    pooled, own = significance.spread([*calm, *varying]), significance.spread(varying)
    assert pooled is not None
    assert own is not None
    assert own.ratio > 2 * pooled.ratio
    assert found._replace(seeds=found.seeds * pooled.ratio / own.ratio).p < LEVEL, "by the spread of all, a claim"


def test_runs_of_the_same_accuracy_do_not_make_every_difference_significant() -> None:
    # Two runs that differ on two images, but are equally good, are the only runs that are measured
    before = np.ones((2, 100), bool)
    before[0, 0] = before[1, 1] = False
    after = before[:1].copy()
    after[0, :3] = [True, True, False]
    after[0, 3] = False
    change = compare(before, after, [before])
    assert change.difference == pytest.approx(-0.01)
    assert change.error > 0
    assert change.p > LEVEL


def test_the_seeds_that_are_needed_are_those_of_this_projects_size() -> None:
    # The sd of a run is 0.105 points, with 14 degrees of freedom; the part of the images is that of near recipes
    for runs in ((1, 1), (3, 3), (5, 1)):
        of_both = 0.105 * math.sqrt(1 / runs[0] + 1 / runs[1])
        change = points(0.1, of_both, 0.047, 14)
        assert significance.seeds_needed(change, runs, 0.003) == 3
        assert significance.seeds_needed(change, runs, 0.002) == 9
    assert significance.seeds_needed(points(0.1, 0.15, 0.18, 14), (1, 1), 0.003) is None, "images alone are too few"


def test_the_seeds_that_are_needed_do_not_depend_on_the_observed_difference() -> None:
    found = {significance.seeds_needed(points(difference, 0.2, 0.05, 14), (1, 1), 0.003) for difference in (-1, 0, 0.4)}
    assert len(found) == 1


def test_so_many_seeds_would_show_a_difference_of_the_margin_in_80_percent_of_cases() -> None:
    random = np.random.default_rng(5)
    needed = significance.seeds_needed(points(0, 0.15 * math.sqrt(2), 0.05, 14), (1, 1), MARGIN)
    assert needed is not None
    error = math.sqrt(2 * 0.15**2 / needed + 0.05**2)
    drawn = 0.3 + error * random.standard_normal(4000)
    spreads = 0.15**2 * random.chisquare(14, 4000) / 14  # as measured anew each time
    changes = [
        points(difference, math.sqrt(2 * spread / needed), 0.05, 14)
        for difference, spread in zip(drawn, spreads, strict=True)
    ]
    assert 0.78 < np.mean([change.interval()[0] > 0 for change in changes]) < 0.9


@pytest.mark.parametrize(("looks", "largest"), [(1, 0), (2, 0.564), (5, 1.163), (10, 1.539), (20, 1.867)])
def test_the_gain_of_the_best_is_the_expected_largest_of_so_many_normal_values(looks: int, largest: float) -> None:
    change = points(0, 0.12 * math.sqrt(2), 0.09 * math.sqrt(2))  # of one recipe: 0.15 points
    assert 100 * significance.gain_of_the_best(looks, change) == pytest.approx(0.15 * largest, abs=1e-4)


def with_p(p: float) -> Change:
    return Change(0, float(stats.norm.isf(p / 2)), 0, 1, math.inf)


def test_p_values_are_corrected_by_the_method_of_holm() -> None:
    assert significance.holm([with_p(0.04), with_p(0.01), with_p(0.03)]) == pytest.approx([0.06, 0.03, 0.06])
    assert significance.holm([with_p(0.9), with_p(0.6)]) == pytest.approx([1, 1])


def test_the_interval_of_paired_values_contains_the_spread_of_seeds() -> None:
    before, after = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.1, 2.3, 3.1, 4.5])
    of_images = statistics.pvariance([0.1, 0.3, 0.1, 0.5]) / 4
    assert significance.paired(before, after, 0.0, math.inf) == pytest.approx((2.5, 2.75, 0, of_images, math.inf))
    change = significance.paired(before, after, 0.01, 3)
    assert change == pytest.approx((2.5, 2.75, 0.02, of_images, 3))
    degrees = 3 * ((0.02 + of_images) / 0.02) ** 2
    assert change.p == pytest.approx(2 * stats.t.sf(0.25 / math.sqrt(0.02 + of_images), degrees))


def test_the_variance_over_seeds_is_pooled_over_recipes() -> None:
    scores = [np.array([0.90, 0.92]), np.array([0.5, 0.51, 0.55]), np.array([0.7])]
    expected = (statistics.variance(scores[0]) + 2 * statistics.variance(scores[1])) / 3
    assert significance.pooled_variance(scores) == pytest.approx((expected, 3))
    assert significance.pooled_variance(scores[2:]) == (0, math.inf)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (points(0.5, 0.1, 0.05, 14), "Better"),
        (points(0.15, 0.05, 0.02, 14), "Better, by less than 0.3 points"),
        (points(-0.5, 0.1, 0.05, 14), "Worse"),
        (points(-0.15, 0.05, 0.02, 14), "Worse, by less than 0.3 points"),
        (points(0.05, 0.08, 0.06, 14), "Equivalent within ±0.3 points"),
        (points(0, 0, 0), "Equivalent within ±0.3 points"),
        (points(0.2, 0.2, 0.04, 14), "Undecided: about 5 seeds of each are needed"),
        (points(0, 0.2, 0.04, 14), "Undecided: about 5 seeds of each are needed"),
        (points(0.2, 0.15, 0.18, 14), "Undecided: too few images"),
    ],
)
def test_the_verdict(change: Change, kind: str) -> None:
    verdict = judge(change, "test", ONE_RUN, ONE_RUN)
    assert verdict.kind == kind
    low, high = (100 * end for end in change.interval())
    expected = f"{100 * change.difference:+z.2f} points ({low:+z.2f} to {high:+z.2f})."
    assert f"Test accuracy 90.00 % → {100 * change.after:.2f} % (one run of each), {expected}" in verdict.reason
    assert "chance" not in verdict.reason


def test_an_undecided_verdict_says_how_long_the_seeds_take() -> None:
    change = points(0.2, 0.2, 0.04, 14)
    hours = []
    for of_before, of_after in ((1, 1), (3, 1)):
        verdict = judge(change, "test", Sample(of_before, 1e16), Sample(of_after, 1e16))
        found = re.fullmatch(
            r"Undecided: about \d+ seeds of each are needed \(about (\d+\.\d) hours here\)", verdict.kind
        )
        assert found is not None, verdict.kind
        hours.append(float(found[1]))
    assert hours[0] > 0.1
    unknown = judge(change, "test", ONE_RUN, Sample(1, 1e16))
    assert unknown.kind == "Undecided: about 5 seeds of each are needed"


def test_a_verdict_on_as_many_seeds_as_needed_does_not_ask_for_fewer() -> None:
    verdict = judge(points(0.18, 0.098, 0, 14), "test", Sample(8, 0), Sample(8, 0))
    assert verdict.kind == "Undecided: the difference is close to a limit"
    assert "(8 and 8 seeds)" in verdict.reason


def test_equivalence_needs_the_90_percent_interval_within_the_margin() -> None:
    for error in np.linspace(0.01, 0.4, 100):
        change = points(0.02, error, 0)
        kind = judge(change, "test", ONE_RUN, ONE_RUN).kind
        assert change.p > LEVEL or error < 0.02
        inside = all(abs(end) < MARGIN for end in change.interval(0.1))
        assert (kind == "Equivalent within ±0.3 points") == (inside and change.p >= LEVEL)


def test_better_is_judged_more_strictly_after_several_looks() -> None:
    better, worse = points(0.25, 0.09, 0.04), points(-0.25, 0.09, 0.04)
    assert 0.01 < better.p < LEVEL
    for looks, kind in ((1, "Better"), (2, "Better"), (5, "Undecided"), (20, "Undecided")):
        verdict = judge(better, "test", ONE_RUN, ONE_RUN, looks)
        assert verdict.kind.startswith(kind)
        assert (f"not as the best of {looks}" in verdict.reason) == (kind == "Undecided")
        assert judge(worse, "test", ONE_RUN, ONE_RUN, looks).kind == "Worse", "nobody selects the worst"
    undecided = judge(points(0.2, 0.2, 0.04, 14), "test", ONE_RUN, ONE_RUN, 5)
    assert "best of" not in undecided.reason, "it would not be better as the only recipe either"
    needed = [significance.seeds_needed(points(0.2, 0.2, 0.04, 14), (1, 1), 0.003, LEVEL / looks) for looks in (1, 5)]
    assert needed[0] and needed[1] and needed[0] < needed[1]
    assert f"about {needed[1]} seeds" in undecided.kind


def test_a_verdict_without_measured_seeds_says_so() -> None:
    unknown = judge(compare(*make_single(300, 200), []), "test", ONE_RUN, ONE_RUN)
    assert unknown.kind == "Better"
    assert "Seeds of no recipe are measured" in unknown.reason
    assert "Seeds of no recipe" not in judge(points(1, 0.1, 0.1, 4), "test", ONE_RUN, ONE_RUN).reason


def test_only_a_p_value_below_0_001_is_printed_as_such() -> None:
    assert [p_value(p) for p in (0.0004, 0.001, 0.05, 1.0)] == ["p < 0.001", "p = 0.001", "p = 0.050", "p = 1.000"]
    assert p_value(math.nan) == "p = nan"


def test_no_comparison_is_nan() -> None:
    everything, nothing = np.ones((1, 30), bool), np.zeros((1, 30), bool)
    several = [np.repeat(runs, 3, axis=0) for runs in (everything, nothing)]
    other = draw(np.random.default_rng(6), 3, 30)
    for before, after in itertools.product((everything, nothing, *several), repeat=2):
        for measured in ([before, after], [before, after, other]):
            change = compare(before, after, measured)
            assert all(map(math.isfinite, (change.difference, change.error, change.p, *change.interval())))
            assert change.p == 1 or change.difference


@pytest.fixture(scope="module")
def real() -> Runs:
    """Which test images the measured seeds of the recipe of params.yaml classify correctly."""
    return seeds.correct(seeds.read_file(BASELINE))


def test_no_two_real_runs_of_one_recipe_differ_beyond_chance(real: Runs) -> None:
    assert len(real) > 1
    for first, second in itertools.permutations(range(len(real)), 2):
        change = compare(real[[first]], real[[second]], [real])
        kind = judge(change, "test", ONE_RUN, ONE_RUN).kind
        assert kind.startswith(("Equivalent", "Undecided")), (first, second, kind)


def test_no_class_differs_between_two_real_runs_of_one_recipe(real: Runs) -> None:
    lines = (ROOT / paths.PREDICTIONS).read_text(encoding="utf-8").splitlines()[1:]
    actual = np.array([line.partition(",")[0] for line in lines])
    classes = {str(name): actual == name for name in set(actual)}
    for first, second in itertools.combinations(range(len(real)), 2):
        changes = compare_classes(real[[first]], real[[second]], [real], classes)
        assert min(significance.holm(list(changes.values()))) > LEVEL, (first, second)


def test_a_class_is_judged_by_its_own_images_and_at_least_by_the_mean_spread_of_all_classes() -> None:
    random = np.random.default_rng(8)
    before, after = (draw(random, 3, 400, 0.7, 0.02) for _ in range(2))
    classes = {name: np.arange(400) % 4 == rest for rest, name in enumerate("abcd")}
    found = compare_classes(before, after, [before, after], classes)
    alone = {
        name: compare(before[:, own], after[:, own], [before[:, own], after[:, own]]) for name, own in classes.items()
    }
    ratios = [significance.spread([before[:, own], after[:, own]]) for own in classes.values()]
    mean = statistics.fmean(ratio.ratio for ratio in ratios if ratio)
    for (name, change), ratio in zip(found.items(), ratios, strict=True):
        assert ratio is not None
        assert change[:2] == alone[name][:2]
        assert change.images == alone[name].images
        assert change.seeds == pytest.approx(alone[name].seeds * max(1, mean / ratio.ratio))


def test_two_seeds_of_one_recipe_do_not_let_classes_differ_by_chance() -> None:
    random, model, case = np.random.default_rng(1), simulation.Model("near"), simulation.Case("near", 0.1, (2, 0))
    classes = {str(rest): np.arange(simulation.IMAGES) % 10 == rest for rest in range(10)}
    found = []
    for _ in range(30):
        before, after, _ = simulation.draw(random, model, case)
        changes = compare_classes(before, after, [before, after], classes)
        found.append(min(significance.holm(list(changes.values()))) < LEVEL)
    assert sum(found) <= 4


@pytest.mark.parametrize(("recipes", "of_both"), [("near", (3, 3)), ("far", (0, 0))])
def test_at_most_5_percent_of_equal_recipes_are_called_different(recipes: str, of_both: tuple[int, int]) -> None:
    pairs = 300
    found = simulation.simulate(simulation.Case(recipes, 0.1, of_both), pairs)["found"]
    most = stats.binom.isf(0.001, pairs, 0.06) / pairs  # 6 %, and the error of the simulation
    assert found <= most


def test_three_seeds_find_a_difference_that_single_runs_miss() -> None:
    pairs = 150
    three, single = (
        simulation.simulate(simulation.Case("near", 0.1, of_both, 0.5), pairs)["found"] for of_both in ((3, 3), (0, 0))
    )
    assert three > 0.75
    assert three > single + 0.2


@pytest.mark.parametrize(("recipes", "points", "share"), [("near", 0, 0.0405), ("far", 3.68, 0.066)])
def test_the_simulated_recipes_disagree_as_the_real_ones_do(recipes: str, points: float, share: float) -> None:
    model, case, random = (
        simulation.Model(recipes),
        simulation.Case(recipes, 0, (3, 3), points),
        np.random.default_rng(7),
    )
    drawn = [simulation.draw(random, model, case) for _ in range(20)]
    assert np.mean([before.mean() for before, _, _ in drawn]) == pytest.approx(simulation.ACCURACY, abs=0.003)
    assert np.mean([after.mean() - before.mean() for before, after, _ in drawn]) == pytest.approx(
        points / 100, abs=2e-3
    )
    assert np.mean([before[0] != before[1] for before, _, _ in drawn]) == pytest.approx(0.0405, abs=2e-3)
    assert np.mean([before[0] != after[0] for before, after, _ in drawn]) == pytest.approx(share, abs=3e-3)
