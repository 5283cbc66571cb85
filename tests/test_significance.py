"""Statistics are compared with published examples, independent computations and simulations."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from review import significance
from review.significance import Change, Comparison, Outcomes
from review.verdict import judge

NAMES = ["cat", "ant", "bee"]


def make_table(actual: str, predicted: str, loss: float = 0.5) -> pd.DataFrame:
    """A table of predictions, given as one letter per image and class."""
    frame = pd.DataFrame({"actual": list(actual), "predicted": list(predicted), "loss": loss})
    for name in sorted(set(actual)):
        frame[name] = (frame["predicted"] == name).astype(float)
    return frame


def make_pair(
    random: np.random.Generator, images: int, before: float, after: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of two models with the given accuracies, which agree on most images, as real models do."""
    actual = random.choice(NAMES, images)
    difficulty = random.random(images)
    tables = []
    for accuracy in (before, after):
        noise = random.normal(0, 0.05, images)
        correct = difficulty + noise < np.quantile(difficulty + noise, accuracy + random.normal(0, 0.001))
        wrong = np.array([NAMES[(NAMES.index(name) + 1) % 3] for name in actual])
        frame = pd.DataFrame({"actual": actual, "predicted": np.where(correct, actual, wrong), "loss": noise})
        tables.append(frame.assign(**{name: (frame["predicted"] == name) * 0.9 for name in NAMES}))
    return tables[0], tables[1]


def test_mcnemar_gives_the_published_p_values() -> None:
    # Two media for tuberculosis, 50 samples: Armitage and Berry, Statistical methods in medical research (1994), p. 127
    assert significance.mcnemar_test(Outcomes(both=20, newly_correct=12, newly_wrong=2, neither=16)) == pytest.approx(
        0.0129, abs=5e-5
    )


@pytest.mark.parametrize(("newly_correct", "newly_wrong"), [(0, 0), (1, 0), (5, 5), (12, 5), (168, 554), (300, 260)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_images(newly_correct: int, newly_wrong: int) -> None:
    expected = stats.binomtest(newly_correct, newly_correct + newly_wrong).pvalue if newly_correct + newly_wrong else 1
    for found in (Outcomes(900, newly_correct, newly_wrong, 100), Outcomes(0, newly_wrong, newly_correct, 7)):
        assert significance.mcnemar_test(found) == pytest.approx(expected)


def test_outcomes_are_counted_image_by_image() -> None:
    before, after = make_table("aabbc", "abbac"), make_table("aabbc", "aabac")
    assert significance.outcomes(before, after) == Outcomes(both=3, newly_correct=1, newly_wrong=0, neither=1)
    assert significance.outcomes(after, before) == Outcomes(both=3, newly_correct=0, newly_wrong=1, neither=1)


def test_the_bootstrap_resamples_images() -> None:
    before, after = make_pair(np.random.default_rng(3), 1000, 0.8, 0.83)
    change = significance.Bootstrap(before, after).accuracy()
    correct_before, correct_after = (significance.is_correct(frame).astype(float) for frame in (before, after))
    assert [change.before, change.after] == pytest.approx([correct_before.mean(), correct_after.mean()])
    resampled = stats.bootstrap(
        (correct_after - correct_before,), np.mean, n_resamples=9999, method="percentile", rng=5, batch=500
    )
    expected = resampled.confidence_interval
    width = expected.high - expected.low
    assert (change.low, change.high) == pytest.approx((expected.low, expected.high), abs=0.06 * width)


def test_the_bootstrap_of_a_class_also_resamples_the_number_of_its_images() -> None:
    before, after = make_pair(np.random.default_rng(4), 600, 0.7, 0.75)
    bootstrap = significance.Bootstrap(before, after)
    random = np.random.default_rng(6)
    members = (before["actual"] == "ant").to_numpy()
    predicted = [(frame["predicted"] == "ant").to_numpy() for frame in (before, after)]
    drawn = []
    for _ in range(4000):
        rows = random.integers(0, len(members), len(members))
        precision_before, precision_after = ((members & found)[rows].sum() / found[rows].sum() for found in predicted)
        drawn.append(precision_after - precision_before)
    low, high = np.quantile(drawn, [0.025, 0.975])
    change = bootstrap.precision("ant")
    assert (change.low, change.high) == pytest.approx((low, high), abs=0.06 * (high - low))
    recall = bootstrap.recall("ant")
    assert [recall.before, recall.after] == pytest.approx([found[members].mean() for found in predicted])


def test_a_class_that_is_never_predicted_has_precision_zero() -> None:
    change = significance.Bootstrap(make_table("ab", "aa"), make_table("ab", "ab")).precision("b")
    assert (change.before, change.after) == (0, 1)


def test_the_intervals_are_the_same_in_every_run() -> None:
    before, after = make_pair(np.random.default_rng(3), 500, 0.8, 0.8)
    assert significance.Bootstrap(before, after).accuracy() == significance.Bootstrap(before, after).accuracy()


def test_p_values_of_classes_are_corrected_by_the_method_of_holm() -> None:
    before, after = make_pair(np.random.default_rng(8), 3000, 0.8, 0.82)
    raw = []
    for name in NAMES:
        members = before["actual"] == name
        newly_correct = ((before["predicted"] != name) & (after["predicted"] == name))[members].sum()
        newly_wrong = ((before["predicted"] == name) & (after["predicted"] != name))[members].sum()
        raw.append(stats.binomtest(int(newly_correct), int(newly_correct + newly_wrong)).pvalue)
    expected, largest = {}, 0.0
    for step, position in enumerate(np.argsort(raw)):
        largest = max(largest, min(1, raw[position] * (len(raw) - step)))
        expected[position] = largest
    assert significance.recall_tests(before, after, NAMES) == pytest.approx([expected[i] for i in range(3)])


def test_the_interval_of_the_log_loss_is_that_of_the_paired_t_test() -> None:
    before, after = make_table("abab", "abab"), make_table("abab", "abab")
    before["loss"], after["loss"] = [1.0, 2.0, 3.0, 4.0], [1.1, 2.3, 3.1, 4.5]
    differences = after["loss"] - before["loss"]
    margin = stats.t.ppf(0.975, 3) * differences.std() / 2
    change = significance.loss_change(before, after)
    assert change == pytest.approx((2.5, 2.75, 0.25 - margin, 0.25 + margin))
    assert significance.loss_change(before, before) == Change(2.5, 2.5, 0, 0)


def test_the_calibration_error_is_the_mean_difference_between_confidence_and_accuracy() -> None:
    frame = pd.DataFrame({"actual": list("aaab"), "predicted": list("aaba"), "loss": 0.0})
    frame["a"], frame["b"] = [0.95, 0.97, 0.2, 0.62], [0.05, 0.03, 0.8, 0.38]
    # bins of 1/15: {0.95, 0.97} with accuracy 1; {0.8} with 0; {0.62} with 0
    assert significance.calibration_error(frame, ["a", "b"]) == pytest.approx((0.05 + 0.03 + 0.8 + 0.62) / 4)
    frame["predicted"] = frame["actual"]
    assert significance.calibration_error(frame, ["a", "b"]) == pytest.approx((0.05 + 0.03 + 0.2 + 0.38) / 4)


def test_changed_cells_are_in_the_order_of_the_classes() -> None:
    cells = significance.confusion_change(make_table("ccab", "caab"), make_table("ccab", "ccac"), ["c", "a", "b"])
    assert list(zip(cells["actual"], cells["predicted"], strict=True)) == list(itertools.product("cab", "cab"))
    moved = cells[cells["change"] != 0][["actual", "predicted", "before", "after", "change"]]
    assert moved.to_numpy().tolist() == [
        ["c", "c", 1, 2, 1],
        ["c", "a", 1, 0, -1],
        ["b", "c", 0, 1, 1],
        ["b", "b", 1, 0, -1],
    ]


def test_the_seed_margin_covers_the_differences_of_two_runs() -> None:
    random = np.random.default_rng(7)
    runs = random.normal(0.9, 0.002, (4000, 7))
    covered = [abs(run[5] - run[6]) <= significance.seed_margin(list(run[:5])) for run in runs]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    pooled = significance.seed_margin([0.90, 0.91], [0.5, 0.51])
    assert pooled == pytest.approx(stats.t.ppf(0.975, 2) * 0.01)  # √2 · the standard deviation 0.01 / √2


def make_comparison(newly_correct: int, newly_wrong: int, images: int = 10_000) -> Comparison:
    """A comparison with these numbers of discordant images; the verdict does not depend on its interval."""
    before = 0.9
    found = Outcomes(
        round(images * before) - newly_wrong,
        newly_correct,
        newly_wrong,
        images - round(images * before) - newly_correct,
    )
    change = Change(before, before + (newly_correct - newly_wrong) / images, 0, 0)
    return Comparison(found, significance.mcnemar_test(found), change, change, (0, 0), [], pd.DataFrame())


@pytest.mark.parametrize(
    ("newly_correct", "newly_wrong", "margin", "only_seed", "kind", "reason"),
    [
        (300, 200, None, False, "Better", "How much another seed changes was not measured"),
        (200, 300, None, False, "Worse", "How much another seed changes was not measured"),
        (300, 200, 0.005, False, "Better", "beyond seed noise, which explains up to 0.50 points"),
        (200, 300, 0.0101, False, "No evidence of a difference", "can differ by 1.01 points"),
        (220, 200, None, False, "No evidence of a difference", "220 images newly correct, 200 newly wrong, p = 0.354"),
        (300, 200, 0.005, True, "No evidence of a difference", "only the training's seed differs"),
        (0, 0, None, False, "No evidence of a difference", "exactly the same test images correctly"),
    ],
)
def test_the_verdict(
    newly_correct: int, newly_wrong: int, margin: float | None, only_seed: bool, kind: str, reason: str
) -> None:
    verdict = judge(make_comparison(newly_correct, newly_wrong), margin, only_seed)
    assert verdict.kind == kind
    assert reason in verdict.reason


def test_without_a_true_difference_at_most_5_percent_of_verdicts_claim_one() -> None:
    random = np.random.default_rng(10)
    kinds = []
    for _ in range(1000):
        newly_correct, newly_wrong, _ = random.multinomial(10_000, [0.02, 0.02, 0.96])
        kinds.append(judge(make_comparison(newly_correct, newly_wrong), None, False).kind)
    assert sum(kind in ("Better", "Worse") for kind in kinds) <= 50


def test_with_different_seeds_alone_at_most_5_percent_of_verdicts_claim_a_difference() -> None:
    random = np.random.default_rng(11)
    claims = {True: 0, False: 0}
    for _ in range(1000):
        accuracies = random.normal(0.9, 0.002, 7)  # five measured seeds, and the two runs under review
        difference = round(10_000 * (accuracies[6] - accuracies[5]))
        found = make_comparison((500 + difference) // 2, (500 - difference) // 2)
        for measured in claims:
            margin = significance.seed_margin(list(accuracies[:5])) if measured else None
            claims[measured] += judge(found, margin, False).kind in ("Better", "Worse")
    assert claims[True] <= 50
    assert claims[False] > 80  # without measured seeds, chance is often called a difference


def test_a_true_difference_is_found() -> None:
    random = np.random.default_rng(12)
    pairs = [make_pair(random, 10_000, 0.90, 0.91) for _ in range(10)]
    kinds = [judge(significance.compare(before, after, NAMES), None, False).kind for before, after in pairs]
    assert kinds.count("Better") >= 9
    assert "Worse" not in kinds
