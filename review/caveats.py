"""What a reader must know before trusting a comparison."""

from collections.abc import Iterator

from review.repository import git
from review.revisions import PREDICTIONS, TEST_SPLIT, Revision
from review.statistics import LEVEL, mcnemar_test, outcomes

ONLY_READER = "evaluate"


def caveats(before: Revision, after: Revision) -> list[str]:
    """All that applies to this comparison, a sentence or two each."""
    return [text for kind in (_data, _stale, _selection, _base) for text in kind(before, after)]


def same_test_set(before: Revision, after: Revision) -> bool:
    """Whether the predictions are of the same images in the same order."""
    return before.hash_of(TEST_SPLIT) == after.hash_of(TEST_SPLIT) and before.predictions["actual"].equals(
        after.predictions["actual"]
    )


def _data(before: Revision, after: Revision) -> Iterator[str]:
    if not same_test_set(before, after):
        yield "The test sets differ, so the scores measure different things and no test of the difference is possible."
    for split in ("train", "validation"):
        if before.hash_of(f"data/prepared/{split}") != after.hash_of(f"data/prepared/{split}"):
            yield f"The {split} splits differ: scores on them do not compare, and a change may come from the data."
    if before.cost.get("arithmetic") != after.cost.get("arithmetic"):
        yield "The models were trained on different kinds of CPU; that alone can move the accuracy by 0.1 points."


def _stale(before: Revision, after: Revision) -> Iterator[str]:
    for revision in (before, after):
        if revision.stale:
            reasons = "; ".join(revision.stale)
            yield f"The results of {revision.label} are stale ({reasons}): run `dvc repro` there, and commit."


def _selection(before: Revision, after: Revision) -> Iterator[str]:
    if others := [stage for stage in after.test_readers if stage != ONLY_READER]:
        yield f"The test set reaches {', '.join(others)}: it may have been used for training or selection."
    looks = git("log", "--format=%h", _span(before, after), "--", PREDICTIONS).count("\n") + 1
    if looks > 1:
        yield (
            f"{looks} commits since {before.label} brought results on the test set. If they were chosen by these, the "
            "test accuracy is too good to be true; choose by the validation scores."
        )
    if _gain(before, after, "test") > 0 > _gain(before, after, "validation") and _beyond_chance(before, after):
        yield "Test accuracy rose while validation accuracy fell: selection by validation would not choose this."


def _gain(before: Revision, after: Revision, split: str) -> float:
    return after.scores[split]["accuracy"] - before.scores[split]["accuracy"]


def _beyond_chance(before: Revision, after: Revision) -> bool:
    return same_test_set(before, after) and mcnemar_test(outcomes(before.predictions, after.predictions)) < LEVEL


def _base(before: Revision, after: Revision) -> Iterator[str]:
    missing = git("rev-list", "--count", _span(after, before))
    if missing != "0":
        yield (
            f"{before.label} has {missing} commits that {after.label} lacks; what they changed shows here the other "
            "way round. Merge them first."
        )


def _span(since: Revision, until: Revision) -> str:
    """The commits that `until` has beyond `since`, for git; the workspace stands on HEAD."""
    return f"{since.commit or 'HEAD'}..{until.commit or 'HEAD'}"
