"""How a stage is called from dvc.yaml, and how every command fails."""

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PARAMS = Path("params.yaml")

_inputs: dict[Path, bytes] = {}  # params.yaml and the modules as they were when the stage began; empty outside a stage


class InputError(Exception):
    """Something outside the code is wrong; the message says what, and what to do."""


def run(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths given on the command line, one option per parameter."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    for name in inspect.signature(stage).parameters:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
    paths = vars(parser.parse_args())
    with one_line_errors(stage.__name__):
        _inputs.update({path: path.read_bytes() for path in (PARAMS, *_modules()) if path.exists()})
        stage(**paths)


def check_inputs() -> None:
    """Make sure that a stage's params and code are still those that it began with.

    DVC notes them in dvc.lock when the stage has finished: after a git checkout or an edit in between, the results
    would stand there as those of params that never made them.

    Raises:
        InputError: they have changed.
    """
    for path, content in _inputs.items():
        if (path == PARAMS or _module(path) in _loaded()) and not (path.exists() and path.read_bytes() == content):
            raise InputError(f"{path} has changed since the stage began; put it back, or dvc repro begins anew")


def code() -> dict[Path, bytes]:
    """This project's modules that are loaded, as they are on the disk, by path."""
    return {path: path.read_bytes() for path in _modules() if _module(path) in _loaded()}


def _modules() -> list[Path]:
    return sorted([*Path().glob("classifier/*.py"), *Path().glob("stages/*.py")])


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def _loaded() -> set[str]:
    main = getattr(sys.modules["__main__"], "__spec__", None)
    return {*sys.modules, main.name if main else ""}


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Turn an InputError or an error of the operating system into one line on stderr and exit status 1.

    An interruption becomes exit status 130; a bug keeps its traceback.
    """
    try:
        yield
    except (InputError, OSError) as error:
        sys.exit(f"error: {name}: {error}")
    except KeyboardInterrupt as interruption:
        how = str(interruption) or "with no file half-written; the same command starts it again"
        print(f"{name}: interrupted {how}", file=sys.stderr)
        sys.exit(130)
