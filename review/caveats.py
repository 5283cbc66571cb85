"""What a reader must know before relying on a comparison."""

from collections.abc import Iterator

from project import paths
from project.repository import git
from review.revisions import Revision
from review.significance import LEVEL, Comparison

ONLY_READER = "evaluate"
SPLITS = ("validation", "test")


def caveats(before: Revision, after: Revision, comparison: Comparison | None) -> list[str]:
    """The caveats of two revisions, one or two sentences each; comparison: None if their test sets differ."""
    return [
        *_data(before, after, comparison),
        *_stale(before, after),
        *_selection(before, after, comparison),
        *_base(before, after),
    ]


def _data(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if not comparison:
        yield "The test sets differ, so the scores cannot be compared, and no test of the difference is possible."
    for name, split in (("training", paths.TRAINING_SPLIT), ("validation", paths.VALIDATION_SPLIT)):
        if before.hash_of(split) != after.hash_of(split):
            yield f"The {name} splits differ: scores on them cannot be compared, and the data may cause a change."
    if before.summary.get("arithmetic") != after.summary.get("arithmetic"):
        yield (
            "The models were trained with different floating-point arithmetic, on other kinds of CPU or by other code; "
            "that alone can change the accuracy by 0.1 points."
        )


def _stale(before: Revision, after: Revision) -> Iterator[str]:
    for revision in (before, after):
        if revision.stale:
            reasons = "; ".join(revision.stale)
            yield f"The results of {revision.label} are stale ({reasons}): run `dvc repro` there, and commit."


def _selection(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if others := [stage for stage in after.test_readers if stage != ONLY_READER]:
        yield f"The test set reaches {', '.join(others)}: it may have been used for training or selection."
    looks = git("log", "--format=%h", _span(before, after), "--", str(paths.PREDICTIONS)).count("\n") + 1
    if looks > 1:
        yield (
            f"{looks} commits since {before.label} have results on the test set. If one was selected by them, its test "
            "accuracy is biased upwards; select by the validation scores."
        )
    gain = {split: after.scores[split]["accuracy"] - before.scores[split]["accuracy"] for split in SPLITS}
    if comparison and comparison.p < LEVEL and gain["test"] > 0 > gain["validation"]:
        yield "Test accuracy rose while validation accuracy fell: selection by validation would not have chosen this."


def _base(before: Revision, after: Revision) -> Iterator[str]:
    missing = git("rev-list", "--count", _span(after, before))
    if missing != "0":
        yield (
            f"{before.label} has {missing} commits that {after.label} lacks; what they changed appears here "
            "reversed. Merge them first."
        )


def _span(since: Revision, until: Revision) -> str:
    """The commits that `until` has beyond `since`, for git; the workspace stands on HEAD."""
    return f"{since.commit or 'HEAD'}..{until.commit or 'HEAD'}"
