"""The verdict at the top of a review: better, worse or no evidence of a difference."""

from typing import NamedTuple

from classifier.notation import percent
from review.significance import LEVEL, Change, Comparison


class Verdict(NamedTuple):
    """kind: "Better", "Worse" or "No evidence of a difference". reason: the evidence, in sentences."""

    kind: str
    reason: str


def judge(comparison: Comparison, seed_margin: float | None, only_seed: bool) -> Verdict:
    """Judge a change of test accuracy.

    A difference is claimed only if McNemar's test rejects that chance alone explains the newly correct and newly wrong
    images, and if the difference exceeds what another seed causes, where that was measured.

    seed_margin: as by significance.seed_margin, None if no seeds were measured. only_seed: the two differ in the seed
    of the training alone.
    """
    nothing = "No evidence of a difference"
    accuracy, outcomes = comparison.accuracy, comparison.outcomes
    if not outcomes.newly_correct and not outcomes.newly_wrong:
        return Verdict(nothing, "Both classify exactly the same test images correctly.")
    amount = f"Test accuracy {percent(accuracy.before)} → {percent(accuracy.after)}, {in_points(accuracy)}"
    evidence = (
        f"{outcomes.newly_correct} images newly correct, {outcomes.newly_wrong} newly wrong, {p_value(comparison.p)}"
    )
    if only_seed:
        return Verdict(nothing, f"{amount}, but only the training's seed differs, so this is chance.")
    if comparison.p >= LEVEL:
        return Verdict(nothing, f"{amount}: {evidence}, which chance alone can explain.")
    if seed_margin is None:
        noise = "How much another seed changes was not measured; `make seeds` measures it."
    elif abs(accuracy.difference) <= seed_margin:
        noise = f"This is within seed noise: two runs of one recipe can differ by {100 * seed_margin:.2f} points."
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
