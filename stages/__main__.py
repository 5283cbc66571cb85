"""Run one stage of the pipeline, as dvc.yaml does: python -m stages NAME --OPTION PATH ...

The options are the parameters of the function in stages/NAME.py, each a path: python -m stages NAME --help lists them.

This module reads the command line and prints errors. It has no influence on any result, so it is not a dep in dvc.yaml:
other words of an error make no result stale.
"""

import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import psutil
import zc.lockfile

from classifier import artifacts
from classifier.errors import UserError
from classifier.provenance import Inputs
from project import cli

LOCK = Path(".dvc/tmp/stage.lock")
PATIENCE = 3  # seconds


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    first = cli.parser(__doc__, prog="python -m stages")
    first.add_argument("name", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    name = first.parse_args(arguments[:1]).name
    end_with_dvc()
    with cli.one_line_errors(name, lists=True):
        inputs = Inputs()  # before the stage's modules are imported
        module = import_module(f"stages.{name}")
        stage = getattr(module, name)
        options = cli.parser(module.__doc__, prog=f"python -m stages {name}")
        for parameter in inspect.signature(stage).parameters:
            options.add_argument(f"--{parameter}", type=Path, required=True, metavar="PATH")
        paths = vars(options.parse_args(arguments[1:]))
        with only_stage():
            for path in paths.values():
                for leftover in (*path.parent.glob(f".{path.name}.*.tmp"), *path.glob(".*.tmp")):
                    artifacts.remove(leftover)  # of a stage that was killed
            stage(**paths)
            inputs.check()


def end_with_dvc() -> None:
    """Send SIGTERM to this process soon after the DVC that started it has ended: DVC records the results."""

    def watch(dvc: psutil.Process) -> None:
        dvc.wait()
        time.sleep(PATIENCE)  # a signal that reached both ends this stage before
        os.kill(os.getpid(), signal.SIGTERM)

    if "DVC_STAGE" in os.environ:
        parents = psutil.Process().parents()
        has_shell = parents[0].cmdline()[-2:-1] == ["-c"]  # some shells wait for their last command
        threading.Thread(target=watch, args=[parents[has_shell]], daemon=True).start()


@contextmanager
def only_stage() -> Iterator[None]:
    """Hold the lock that lets only one stage at a time run in a folder.

    DVC has a lock of its own, but a stage may go on when its DVC is killed.

    Raises:
        UserError: another stage is running, or the lock cannot be written.
    """
    try:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        lock = zc.lockfile.LockFile(str(LOCK), content_template="process {pid} on {hostname}")
    except zc.lockfile.LockError:
        holder = LOCK.read_text(encoding="utf-8").strip()
        raise UserError(f"a stage is running in this folder, {holder}; wait until it has ended, or end it") from None
    except OSError as error:
        raise UserError(f"cannot write {LOCK}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.close()


if __name__ == "__main__":
    main(sys.argv[1:])
