"""Inject faults into the pipeline and report the outcomes.

    python -m tests.faults [--kills 20] [--inputs 200] [--revisions 100] [--seed 1]

Prints one row per fault, and exits with status 1 if an outcome is not as docs/fault-tolerance.md promises.
"""

import argparse
import inspect
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests import idx
from tests.conftest import make_project, set_environment
from tests.faults import cache, disk, inputs, kills, revisions, server, settings, signals
from tests.faults.outcome import Outcome

AS_PROMISED = {True: "yes", False: "NO", None: "not run"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=inspect.getdoc(sys.modules["__main__"]), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="SIGKILLs of dvc repro; default 20")
    parser.add_argument("--inputs", type=int, default=200, metavar="N", help="mutated inputs; default 200")
    parser.add_argument("--revisions", type=int, default=100, metavar="N", help="hostile revisions; default 100")
    parser.add_argument("--seed", type=int, default=1, help="seed of the kill times and the mutations; default 1")
    options = parser.parse_args()
    set_environment()
    print(f"seed {options.seed}\n\n| fault | outcome | as promised |\n| --- | --- | --- |", flush=True)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        for outcome in inject_faults(Path(temporary), options):
            print(f"| {outcome.fault} | {outcome.result} | {AS_PROMISED[outcome.promised]} |", flush=True)
            failures += outcome.promised is False
    print(f"\n{failures or 'no'} broken promises")
    sys.exit(bool(failures))


def inject_faults(folder: Path, options: argparse.Namespace) -> Iterator[Outcome]:
    """Create a project in a folder, and inject all kinds of faults into it."""
    yield from revisions.inject(folder / "reviewed", options.revisions, options.seed)
    files = idx.write_dataset(folder / "dataset")
    (folder / "project").mkdir()
    project = make_project(folder / "project", folder / "dataset", files)
    project.set_params(train__epochs=8)  # enough for kills between two epochs
    undisturbed = kills.run_undisturbed(project, folder / "undisturbed")
    yield from kills.inject(project, folder / "killed", *undisturbed, options.kills, options.seed)
    yield from signals.inject(project, folder / "signalled", *undisturbed, options.seed)
    project.set_params(train__epochs=2)  # enough for all others
    project.dvc("repro")
    yield from inputs.inject(project, options.inputs, options.seed)
    yield from settings.inject(project, folder / "settings")
    yield from cache.inject(project, options.seed)
    yield from disk.inject(project, folder / "disk")
    yield from server.inject(project, folder / "dataset")


if __name__ == "__main__":
    main()
