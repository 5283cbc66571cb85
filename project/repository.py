"""The project's git repository and DVC project, at any revision."""

import difflib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.scm import NoSCM, RevError, resolve_rev

from classifier.errors import UserError

WORKSPACE = "workspace"  # DVC's name for the files in the working tree, committed or not
INCOMPLETE = "git cannot read all files of this revision; git fetch --refetch gets those that a partial clone lacks"


@contextmanager
def open_repo() -> Iterator[Repo]:
    """Open the DVC project in the current folder.

    Raises:
        UserError: the current folder is not a DVC project in a git repository, or DVC cannot read what is asked for.
        FileNotFoundError: git is not installed.
    """
    git("--version")  # DVC needs it, too, but begins without it
    try:
        with Repo(".") as repo:
            if isinstance(repo.scm, NoSCM):
                raise UserError("core.no_scm is set in DVC's settings; this project needs git")
            yield repo
    except NotDvcRepoError:
        raise UserError("this is not a DVC project; run from the project's top folder") from None
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from error


@contextmanager
def at_revision(repo: Repo, name: str) -> Iterator[str | None]:
    """Let the repo read a revision; yields its commit, None for the workspace.

    Raises:
        UserError: there is no such revision.
    """
    if name == WORKSPACE:
        yield None
        return
    try:
        commit = resolve_rev(repo.scm, name)
    except RevError:
        raise UserError(unknown_revision(name)) from None
    with repo.switch(commit):
        yield commit


def git(*arguments: str, folder: Path = Path(), check: bool = False) -> str:
    """What git prints in a folder; an empty string if git fails.

    Raises:
        UserError: git failed, and `check` is set; git has printed the reason.
    """
    stderr = None if check else subprocess.DEVNULL
    result = subprocess.run(
        ["git", *arguments], cwd=folder, check=False, stdout=subprocess.PIPE, stderr=stderr, encoding="utf-8",
        errors="replace",
    )  # fmt: skip
    if check and result.returncode:
        raise UserError(f"git {' '.join(arguments)} failed")
    return "" if result.returncode else result.stdout.strip()


def git_offline(*arguments: str) -> bytes:
    """What git prints. A clone with missing objects does not fetch them.

    Raises:
        UserError: git failed.
    """
    command = ["git", "-c", "protocol.allow=never", *arguments]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if result.returncode:
        raise UserError(INCOMPLETE)
    return result.stdout


def dvc(*arguments: str, folder: Path = Path(), quiet: bool = False) -> None:
    """Run dvc in a folder, with this Python first on PATH, for the stages; `quiet` suppresses what it prints on stdout.

    An interruption is raised once DVC has ended, which a terminal's Ctrl-C interrupts as well: while it works, it
    detaches HEAD and stashes changes.

    Raises:
        UserError: dvc failed; it has printed the reason.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    stdout = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout)
    interruption = None
    while process.returncode is None:
        try:
            process.wait()
        except KeyboardInterrupt as again:
            interruption = again
    if interruption:
        raise interruption
    if process.returncode:
        raise UserError(f"dvc {' '.join(arguments)} failed")


def unknown_revision(name: str) -> str:
    """An error message for a revision that does not exist, with the most similar name."""
    if git("rev-parse", "--is-shallow-repository") == "true":
        return f"this clone is shallow and does not reach {name}; run git fetch --unshallow, or fetch that branch"
    names = git("for-each-ref", "--format=%(refname:short)").split()
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "git branch --all and git tag list what there is"
    return f"there is no revision {name}; {hint}"
