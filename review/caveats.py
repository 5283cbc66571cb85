"""What a reader must know before relying on a comparison."""

from collections.abc import Iterator

from project import paths, seeds
from project.repository import git, git_offline
from project.text import code, escape
from review.comparison import Comparison
from review.revisions import Revision

ONLY_READER = "evaluate"
JUDGES = (  # what a review runs, but for modules that stages run as well
    "review", "project/paths.py", "project/repository.py", "project/scores.py", "project/seeds.py",
    "project/significance.py", "project/snapshot.py", "project/stale.py", "project/text.py", "project/verdict.py",
)  # fmt: skip
ENVIRONMENT = (  # no deps, but all stages run with them; Python looks for every module in the top folder first
    "requirements.txt", "requirements/cuda.txt", "stages/__main__.py", "project/cli.py", "project/lock.py",
    ":(glob)*.py", ":(glob)*/__init__.py", "*.so", "*.pyc",
)  # fmt: skip
REASONS = 5  # of stale results, in a note


def caveats(before: Revision, after: Revision, comparison: Comparison | None) -> list[str]:
    """The caveats of two revisions, one or two sentences each; comparison: None if their test sets differ."""
    return [
        *_data(before, after, comparison),
        *_seeds(before, after),
        *_stale(before, after),
        *_selection(before, after, comparison),
        *_base(before, after),
        *_beyond(before, after),
    ]


def _data(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if not comparison:
        yield "The test sets differ, so the scores cannot be compared, and no test of the difference is possible."
    for name, split in (("training", paths.TRAINING_SPLIT), ("validation", paths.VALIDATION_SPLIT)):
        if before.hash_of(split) != after.hash_of(split):
            yield f"The {name} splits differ: scores on them cannot be compared, and the data may cause a change."
    known = [revision.summary["arithmetic"] for revision in (before, after) if "arithmetic" in revision.summary]
    if len(set(known)) > 1:
        yield (
            "The models were trained with different floating-point arithmetic, on other kinds of CPU or by other code; "
            "that alone can change the accuracy by 0.1 points."
        )


def _seeds(before: Revision, after: Revision) -> Iterator[str]:
    tables = [revision.seeds.get(before.recipe) for revision in (before, after)]
    own, theirs = (set() if table is None else set(seeds.current(table, before.origin)["seed"]) for table in tables)
    same = (before.recipe, before.origin) == (after.recipe, after.origin)
    if not same and (added := theirs - own):
        yield f"Seeds of {escape(before.label)} that only {escape(after.label)} has are used as well: {len(added)}."


def _stale(before: Revision, after: Revision) -> Iterator[str]:
    for revision in (before, after):
        label = escape(revision.label)
        if revision.stale:
            more = f"; and {len(revision.stale) - REASONS} more" if len(revision.stale) > REASONS else ""
            reasons = escape("; ".join(revision.stale[:REASONS]) + more)
            yield f"The results of {label} are stale ({reasons}): run `dvc repro` there, and commit."
        rows = revision.seeds.get(revision.recipe)
        stale = 0 if rows is None else len(rows) - len(seeds.current(rows, revision.origin))
        if stale:
            yield (
                f"{stale} of the measured seeds of {label} are of other code or data, and are not used: `make seeds` "
                "trains them again."
            )
    if problems := list(dict.fromkeys([*before.unusable, *after.unusable])):
        yield f"{len(problems)} tables of seeds cannot be used. The first: {escape(problems[0])}."


def _selection(before: Revision, after: Revision, comparison: Comparison | None) -> Iterator[str]:
    if others := [stage for stage in after.test_readers if stage != ONLY_READER]:
        yield f"The test set reaches {escape(', '.join(others))}: it may have been used for training or selection."
    if git("rev-parse", "--is-shallow-repository") == "true":
        yield "This clone is shallow: looks at the test set in commits that it lacks are not counted."
    if comparison and comparison.validation:
        test, validation = comparison.accuracy.interval(), comparison.validation.interval()
        if test[0] > 0 and validation[1] < 0:
            yield "Test accuracy rose and validation accuracy fell: selection by validation would not have chosen this."


def _base(before: Revision, after: Revision) -> Iterator[str]:
    base, head = (revision.commit or "HEAD" for revision in (before, after))
    missing = int(git_offline("rev-list", "--count", f"{head}..{base}"))
    if missing:
        yield (
            f"{escape(before.label)} has {missing} commits that {escape(after.label)} lacks; what they changed appears "
            "here reversed. Merge them first."
        )


def _beyond(before: Revision, after: Revision) -> Iterator[str]:
    """What the later revision changes beside the pipeline."""
    label = escape(after.label)
    if changed := _changed(before, after, ENVIRONMENT):
        yield f"{label} changes what all stages run with ({changed}): results may differ for this reason."
    if changed := _changed(before, after, JUDGES):
        yield f"{label} changes how reviews judge ({changed}): read that change before this report."


def _changed(before: Revision, after: Revision, files: tuple[str, ...]) -> str:
    """Those of some files that the later revision changed since the two parted."""
    base, head = (revision.commit or "HEAD" for revision in (before, after))
    start = git("merge-base", base, head) or base
    until = [] if after.commit is None else [after.commit]
    changed = git_offline("diff", "--name-only", "--no-renames", start, *until, "--", *files).decode(errors="replace")
    return ", ".join(map(code, changed.splitlines()))
