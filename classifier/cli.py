"""How a stage is called from dvc.yaml, and how it fails."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path


class InputError(Exception):
    """Something outside the code is wrong; the message says what, and what to do."""


def run(stage: Callable[..., None]) -> None:
    """Call `stage` with the paths given on the command line, one option per parameter.

    An InputError or an error of the operating system becomes one line on stderr and exit status 1, an
    interruption exit status 130; a bug keeps its traceback.
    """
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    for name in inspect.signature(stage).parameters:
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="PATH")
    try:
        stage(**vars(parser.parse_args()))
    except (InputError, OSError) as error:
        sys.exit(f"error: {stage.__name__}: {error}")
    except KeyboardInterrupt:
        print(f"{stage.__name__}: interrupted, no file is half-written; dvc repro starts it again", file=sys.stderr)
        sys.exit(130)
