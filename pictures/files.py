"""Files that are given on the command line, and folders that are written."""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from classifier.errors import UserError
from project import cli

Result = TypeVar("Result")

LISTED = 5  # errors of files in one message


def given(text: str) -> Path:
    """A path on the command line. Not every shell replaces the ~ in FOLDER=~/pictures."""
    path = Path(text)
    with suppress(RuntimeError):  # no such user: it is the name of a file
        path = path.expanduser()
    return path


def visible(folder: Path) -> list[Path]:
    """The files and folders in a folder by their names, without those of the operating system.

    Raises:
        UserError: it is not a folder, or cannot be read.
    """
    try:
        found = [
            path for path in folder.iterdir() if not path.name.startswith(".") and path.name not in cli.OF_THE_SYSTEM
        ]
    except OSError as error:
        raise UserError(f"{one_line(folder)}: {error.strerror or error}") from None
    return sorted(found)


def pictures_in(paths: Iterable[Path]) -> tuple[list[Path], list[UserError]]:
    """All files among some paths and in the folders among them and below, each once; and the errors of folders.

    A path that is not a folder is returned as it is. Errors: a folder cannot be read, or there are no files in it.
    """
    found: dict[Path, None] = {}
    errors: list[UserError] = []
    for path in paths:
        known = len(errors)
        files = list(_walk(path, errors)) if _is_folder(path) else [path]
        found |= dict.fromkeys(files)
        if not files and len(errors) == known:
            errors.append(UserError(f"{one_line(path)}: a folder without pictures"))
    return list(found), errors


def _walk(folder: Path, errors: list[UserError]) -> Iterator[Path]:
    try:
        inside = visible(folder)
    except UserError as error:
        errors.append(error)
        return
    for path in inside:
        if not _is_folder(path):
            yield path
        elif not path.is_symlink():  # a link may lead back to this folder
            yield from _walk(path, errors)


def _is_folder(path: Path) -> bool:
    """Whether a path is a folder, as far as it can be told: a name may be too long, or a folder above unreadable."""
    try:
        return path.is_dir()
    except OSError:
        return False


def for_each(paths: Collection[Path], action: Callable[[Path], Result]) -> tuple[dict[Path, Result], list[UserError]]:
    """The results of an action by the paths for which it succeeds, and the errors of the others.

    A terminal shows a progress bar.
    """
    results, errors = {}, []
    for path in tqdm(paths, unit="picture", leave=False, disable=None):
        try:
            results[path] = action(path)
        except UserError as error:
            errors.append(error)
    return results, errors


def summary(errors: Collection[UserError], total: int) -> UserError:
    """One error for those of several files out of total. It lists the first ones."""
    lines = [str(error) for error in errors][:LISTED]
    if len(errors) > LISTED:
        lines.append(f"and {len(errors) - LISTED:,} more")
    if len(errors) == 1:
        return UserError(lines[0])
    return UserError("\n  ".join([f"{len(errors):,} of {total:,} pictures cannot be read:", *lines]))


def one_line(path: Path) -> str:
    """A path as text of one line: characters that terminals act on, or that are not UTF-8, become �."""
    return "".join(character if character.isprintable() else "�" for character in str(path))
