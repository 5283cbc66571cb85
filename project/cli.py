"""What all commands of this project have in common: the form of their help, and errors in one line."""

import argparse
import inspect
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.errors import UserError


def parser(doc: str | None, prog: str | None = None) -> argparse.ArgumentParser:
    """A parser whose help is a module's docstring with its line breaks.

    prog: the command, if it is not python -m with the name of the module.
    """
    spec = sys.modules["__main__"].__spec__
    if prog is None and spec is not None:
        prog = f"python -m {spec.name.removesuffix('.__main__')}"
    return argparse.ArgumentParser(
        prog, description=inspect.cleandoc(doc or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )


def number(kind: type[int] | type[float], low: float, high: float = float("inf")) -> Callable[[str], float]:
    """A function that reads a number from low to high, for argparse."""

    def number(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            limits = f"at least {low}" if high == float("inf") else f"between {low} and {high}"
            raise argparse.ArgumentTypeError(f"{text} is not {limits}")
        return value

    return number


OF_THE_SYSTEM = {".DS_Store", ".directory", "Thumbs.db", "desktop.ini"}  # which file managers write into folders


def check_replaceable(folder: Path, names: Iterable[str], what: str) -> None:
    """Check that a folder that is to be replaced has no other files than the given ones.

    what: names these files in the message.

    Raises:
        UserError: it has others, or is not a folder.
    """
    if folder.is_dir():
        others = sorted({path.name for path in folder.iterdir()} - OF_THE_SYSTEM - set(names))
    else:
        others = [folder.name] if folder.exists() else []
    if others:
        raise UserError(f"{folder} holds {others[0]}, which is not part of {what}, and is not replaced; move it away")


@contextmanager
def one_line_errors(name: str, *, lists: bool = False) -> Iterator[None]:
    """Print a UserError or an error of the operating system as one line on stderr, and exit with status 1.

    lists: keep the line breaks of errors that list several problems. The text of others may be that of a hostile file.

    Ctrl-C exits with status 130. Any other exception is a bug, and keeps its traceback. A character that the encoding
    of the terminal or file lacks is printed as its code, and so is one in an error that a terminal would act on.
    """
    for stream in (sys.__stdout__, sys.__stderr__):  # DVC wraps sys.stdout
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except (UserError, OSError) as error:
        missing = isinstance(error, FileNotFoundError) and error.filename == "git"
        text = "git is not installed, or not on PATH" if missing else str(error)
        sys.exit(f"error: {name}: {printable(text if lists else ' '.join(text.split()))}")
    except UnicodeError as error:
        if sys.getfilesystemencoding() == "utf-8":
            raise
        sys.exit(f"error: {name}: {error}; set LANG=C.UTF-8")
    except KeyboardInterrupt as interruption:
        how = str(interruption) or "with no file half-written; the same command starts it again"
        print(f"{name}: interrupted {how}", file=sys.stderr)
        sys.exit(130)


def printable(text: str) -> str:
    """A text without characters that a terminal acts on, but for line breaks: it gets their codes."""
    return "".join(each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text)
