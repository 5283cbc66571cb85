"""The verdict on the difference of two recipes: better, worse, equivalent or undecided."""

import math
import os
from statistics import NormalDist
from typing import NamedTuple

from classifier.notation import percent
from project.significance import LEVEL, Change, seeds_needed

# The difference in accuracy that matters in practice: an interval within ±MARGIN is as good as no difference
MARGIN = 0.003
# Floating-point operations per second of a training on one core: a low estimate. docs/performance.md has 50e9 for cnn
SPEED_OF_A_CORE = 40e9


class Verdict(NamedTuple):
    """kind: in a few words. reason: the evidence, in sentences."""

    kind: str
    reason: str


def training_operations(multiply_adds: int, images_seen: int) -> int:
    """Floating-point operations of a training. multiply_adds: MACs of the forward pass of one image.

    Two operations per MAC, and a backward pass of twice the forward pass's cost (Amodei and Hernandez, AI and compute,
    2018).
    """
    return 3 * 2 * multiply_adds * images_seen


class Sample(NamedTuple):
    """How a recipe was judged: runs, and the floating-point operations of training one of them, 0 if unknown."""

    runs: int
    operations: float


def judge(change: Change, split: str, before: Sample, after: Sample, looks: int = 1) -> Verdict:
    """Judge the difference of two recipes' mean accuracies on a split.

    looks: how many recipes were tried on the split. The best of several equal ones appears better by chance, so
    "better" is judged at LEVEL / looks (Bonferroni's correction).
    """
    seeds = f"{before.runs} and {after.runs} seeds" if max(before.runs, after.runs) > 1 else "one run of each"
    reason = (
        f"{split.capitalize()} accuracy {percent(change.before)} → {percent(change.after)} ({seeds}), {points(change)}."
    )
    if math.isinf(change.seeds_degrees):
        reason += " Seeds of no recipe are measured, so a run that is better or worse as a whole is not considered."
    low, high = change.interval(LEVEL)
    equivalent = all(abs(end) < MARGIN for end in change.interval(2 * LEVEL))  # two one-sided tests
    by_less = f", by less than {100 * MARGIN:g} points" if low > -MARGIN and high < MARGIN else ""
    if high < 0:
        return Verdict(f"Worse{by_less}", reason)
    if low > 0 and change.interval(LEVEL / looks)[0] > 0:
        return Verdict(f"Better{by_less}", reason)
    if equivalent:
        return Verdict(f"Equivalent within ±{100 * MARGIN:g} points", reason)
    if low > 0:
        reason += f" It would be better if it were the only recipe tried, but not as the best of {looks}."
    level = LEVEL / looks if change.difference > 0 else LEVEL  # of the verdict that may come
    needed = seeds_needed(change, (before.runs, after.runs), MARGIN, level)
    if needed is None:
        return Verdict("Undecided: too few images", f"{reason} {_too_few_images(change, level)}")
    if needed <= min(before.runs, after.runs):
        return Verdict("Undecided: the difference is close to a limit", f"{reason} More seeds may decide.")
    operations = sum(max(0, needed - sample.runs) * sample.operations for sample in (before, after))
    hours = operations / (SPEED_OF_A_CORE * (os.cpu_count() or 1)) / 3600
    time = f" (about {max(hours, 0.1):.1f} hours here)" if all(sample.operations for sample in (before, after)) else ""
    return Verdict(f"Undecided: about {needed} seeds of each are needed{time}", reason)


def _too_few_images(change: Change, level: float) -> str:
    """Why more seeds would not decide it."""
    smallest = 100 * NormalDist().inv_cdf(1 - level / 2) * change.images**0.5
    return (
        f"The recipes err on different images, so that {smallest:.2f} points is about the smallest difference that "
        "these images can show with any number of seeds."
    )


def points(change: Change) -> str:
    """A difference of shares in percentage points, with its interval."""
    return f"{100 * change.difference:+z.2f} points ({interval(change, 100, 2)})"


def interval(change: Change, scale: float, decimals: int) -> str:
    low, high = change.interval()
    return f"{scale * low:+z.{decimals}f} to {scale * high:+z.{decimals}f}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
