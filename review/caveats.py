"""What a reader must know before trusting a comparison."""

from collections.abc import Iterator

from review.repository import git
from review.revisions import PREDICTIONS, Revision
from review.statistics import LEVEL, Comparison

ONLY_READER = "evaluate"
SPLITS = ("validation", "test")


def caveats(before: Revision, after: Revision, comparison: Comparison | None) -> list[str]:
    """All that applies to these revisions, a sentence or two each; comparison: None if their test sets differ."""
    return [
        *_data(before, after, comparison),
        *_stale(before, after),
        *_selection(before, after, comparison),
        *_base(before, after),
    ]


def _data(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if not comparison:
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


def _selection(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if others := [stage for stage in after.test_readers if stage != ONLY_READER]:
        yield f"The test set reaches {', '.join(others)}: it may have been used for training or selection."
    looks = git("log", "--format=%h", _span(before, after), "--", PREDICTIONS).count("\n") + 1
    if looks > 1:
        yield (
            f"{looks} commits since {before.label} brought results on the test set. If they were chosen by these, the "
            "test accuracy is too good to be true; choose by the validation scores."
        )
    gain = {split: after.scores[split]["accuracy"] - before.scores[split]["accuracy"] for split in SPLITS}
    if comparison and comparison.p < LEVEL and gain["test"] > 0 > gain["validation"]:
        yield "Test accuracy rose while validation accuracy fell: selection by validation would not choose this."


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
