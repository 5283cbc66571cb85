"""How often the test set was looked at.

Whoever tries several recipes on the test set and keeps the best one keeps a part of chance with it.
"""

from typing import NamedTuple

from project import paths
from project.repository import git, git_offline
from review.revisions import Revision

PREDICTIONS = str(paths.PREDICTIONS)
NO_BLOB = "0" * 40  # of a file that a commit removes


class Looks(NamedTuple):
    """The numbers of results on the test set: since two revisions parted, the later one's included, and ever."""

    since: int
    ever: int


def looks(before: Revision, after: Revision) -> Looks:
    """Count the different tables of predictions in all commits, on merged branches as well, and recipes with seeds.

    Since the two parted means: what only one of them has. All seeds of one recipe count as one look, because their mean
    is judged.
    """
    base, head = (revision.commit or "HEAD" for revision in (before, after))
    own = {_blob(after)}
    known, measured = (
        {(recipe, code) for recipe, table in revision.seeds.items() for code in table["code"]}
        for revision in (before, after)
    )
    since = _blobs(f"{base}...{head}") - {_blob(before)} | own
    ever = _blobs(base, head) | {_blob(before)} | own
    theirs = {(revision.recipe, revision.origin.code) for revision in (before, after)}
    return Looks(len(since) + len(measured - known - theirs), len(ever) + len((measured | known) - theirs))


def _blobs(*revisions: str) -> set[str]:
    """The hashes in git of the tables of predictions that the commits of some revisions have added."""
    log = git_offline(
        "-c", "log.showRoot=true", "log", "--full-history", "--format=", "--raw", "--no-abbrev",
        "--diff-merges=separate", "--no-show-signature", "--no-follow",  # whatever the user's settings are
        *revisions, "--", PREDICTIONS,
    )  # fmt: skip
    return {line.split()[3] for line in log.decode().splitlines()} - {NO_BLOB}


def _blob(revision: Revision) -> str:
    """The hash in git of a revision's table of predictions."""
    if revision.commit is None:
        return git("hash-object", PREDICTIONS)
    return git_offline("rev-parse", f"{revision.commit}:{PREDICTIONS}").decode().strip()
