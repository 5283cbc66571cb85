"""The sentence or two at the top of a review: better, worse or no evidence of a difference."""

from typing import NamedTuple

from review.statistics import LEVEL, Change, Comparison


class Verdict(NamedTuple):
    """kind: "Better", "Worse" or "No evidence of a difference". reason: what it rests on, in sentences."""

    kind: str
    reason: str


def judge(comparison: Comparison, seed_margin: float | None, only_seed: bool) -> Verdict:
    """Judge a change of test accuracy.

    A difference is claimed only if McNemar's test calls the images gained and lost more than chance, and if it is
    larger than what another seed makes, where that is known.

    seed_margin: how far the accuracies of two runs of one recipe may lie apart, None if that was not measured.
    only_seed: the seed of the training is all that differs.
    """
    nothing = "No evidence of a difference"
    accuracy, outcomes = comparison.accuracy, comparison.outcomes
    if not outcomes.gained and not outcomes.lost:
        return Verdict(nothing, "Both get exactly the same test images right.")
    amount = f"Test accuracy {accuracy.before:.2%} → {accuracy.after:.2%}, {in_points(accuracy)}"
    evidence = f"{outcomes.gained} images gained, {outcomes.lost} lost, {p_value(comparison.p)}"
    if only_seed:
        return Verdict(nothing, f"{amount}, but only the training's seed differs, so this is chance.")
    if comparison.p >= LEVEL:
        return Verdict(nothing, f"{amount}: {evidence}, which chance alone does as well.")
    if seed_margin is None:
        noise = "Whether another seed undoes it is not known; `make seeds` measures that."
    elif abs(accuracy.difference) <= seed_margin:
        noise = f"This is within seed noise: two runs of one recipe lie up to {100 * seed_margin:.2f} points apart."
        return Verdict(nothing, f"{amount}: {evidence}. {noise}")
    else:
        noise = f"This is beyond seed noise, which explains up to {100 * seed_margin:.2f} points."
    return Verdict("Better" if accuracy.difference > 0 else "Worse", f"{amount}: {evidence}. {noise}")


def in_points(change: Change) -> str:
    """The difference of shares, in percentage points, with its interval."""
    return f"{100 * change.difference:+z.2f} points ({interval(change, 100, 2)})"


def interval(change: Change, scale: float, decimals: int) -> str:
    return f"{scale * change.low:+z.{decimals}f} to {scale * change.high:+z.{decimals}f}"


def p_value(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"
