"""Run one stage of the pipeline, as dvc.yaml does: python -m stages NAME --OPTION PATH ...

The options are the parameters of the function in stages/NAME.py, each a path: python -m stages NAME --help lists them.

This module reads the command line and prints errors. It has no influence on any result, so it is not a dep in dvc.yaml:
other words of an error make no result stale.
"""

import inspect
import sys
from importlib import import_module
from pathlib import Path

from classifier.provenance import Inputs
from project import cli


def main(arguments: list[str]) -> None:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))
    first = cli.parser(__doc__, prog="python -m stages")
    first.add_argument("name", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    name = first.parse_args(arguments[:1]).name
    with cli.one_line_errors(name):
        inputs = Inputs()  # before the stage's modules are imported
        module = import_module(f"stages.{name}")
        stage = getattr(module, name)
        options = cli.parser(module.__doc__, prog=f"python -m stages {name}")
        for parameter in inspect.signature(stage).parameters:
            options.add_argument(f"--{parameter}", type=Path, required=True, metavar="PATH")
        stage(**vars(options.parse_args(arguments[1:])))
        inputs.check()


if __name__ == "__main__":
    main(sys.argv[1:])
