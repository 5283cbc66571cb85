"""The project's git repository, as DVC sees it at any revision."""

import difflib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev

from classifier.cli import InputError

WORKSPACE = "workspace"  # DVC's name for the files as they lie there, committed or not


@contextmanager
def opened() -> Iterator[Repo]:
    """DVC's view of the project in the current folder.

    Raises:
        InputError: there is no DVC project in a git repository here, or DVC cannot read what it is asked for.
    """
    try:
        repo = Repo(".")
    except NotDvcRepoError:
        raise InputError("this is no DVC project; run from the project's top folder") from None
    if not hasattr(repo.scm, "resolve_rev"):
        raise InputError("this project is in no git repository, so there are no revisions to compare")
    try:
        with repo:
            yield repo
    except DvcException as error:
        raise InputError(" ".join(str(error).split())) from error


@contextmanager
def switched(repo: Repo, name: str) -> Iterator[str | None]:
    """Let the repo look at a revision for a while; yields its commit, None for the workspace.

    Raises:
        InputError: there is no such revision.
    """
    if name == WORKSPACE:
        yield None
        return
    try:
        commit = resolve_rev(repo.scm, name)
    except RevError:
        raise InputError(_unknown(name)) from None
    with repo.switch(commit):
        yield commit


def _unknown(name: str) -> str:
    if git("rev-parse", "--is-shallow-repository") == "true":
        return f"this clone is shallow and does not reach {name}; run git fetch --unshallow, or fetch that branch"
    names = git("for-each-ref", "--format=%(refname:short)").split()
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "git branch --all and git tag list what there is"
    return f"there is no revision {name}; {hint}"


def git(*arguments: str, folder: Path = Path(), check: bool = False) -> str:
    """What git prints in a folder; if it fails, nothing, or a CalledProcessError with `check`."""
    stderr = None if check else subprocess.DEVNULL
    result = subprocess.run(
        ["git", *arguments], cwd=folder, check=check, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    return result.stdout.strip()
