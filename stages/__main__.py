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
from importlib import import_module
from pathlib import Path

import psutil

from classifier import artifacts
from classifier.provenance import Inputs
from project import cli
from project.lock import only_stage

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


if __name__ == "__main__":
    main(sys.argv[1:])
