"""How a stage is called from dvc.yaml, and how every command fails."""

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(Exception):
    """Something outside the code is wrong; the message says what, and what to do."""


def run(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths given on the command line, one option per parameter."""
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    for name in inspect.signature(stage).parameters:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
    with one_line_errors(stage.__name__):
        stage(**vars(parser.parse_args()))


@contextmanager
def one_line_errors(name: str) -> Iterator[None]:
    """Turn an InputError or an error of the operating system into one line on stderr and exit status 1.

    An interruption becomes exit status 130; a bug keeps its traceback.
    """
    try:
        yield
    except (InputError, OSError) as error:
        sys.exit(f"error: {name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted, no file is half-written; the same command starts it again", file=sys.stderr)
        sys.exit(130)
