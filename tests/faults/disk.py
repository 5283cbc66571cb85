"""Disk faults: the disk fills up during `dvc repro`, or is read-only.

The error must be one clear line. After a full disk, the next `dvc repro` must give the results of an undisturbed run.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Project
from tests.faults.kills import copy_project
from tests.faults.outcome import Outcome

SIZE = 24  # MiB, the size of the disk
FREE = (0, 128, 512)  # KiB that are free when the run begins; it needs about 1.2 MiB


def inject(project: Project, folder: Path) -> Iterator[Outcome]:
    """Reproduce copies of a project, which has results, with another seed on a small disk, mounted at `folder`."""
    with mount_disk(folder) as mounted:
        if not mounted:
            yield Outcome("a full disk", "mounting a small disk needs root", promised=None)
            return
        expected: dict[str, str] | None = None
        for free in (SIZE << 10, *FREE):
            small = copy_project(project, folder / "project")
            small.set_params(train__seed=2, prepare__split="stratified")
            ballast = folder / "ballast"
            with ballast.open("wb") as stream:
                stream.write(bytes(max(0, shutil.disk_usage(folder).free - (free << 10))))
            full = small.run("dvc", "repro", check=False)
            ballast.unlink()
            again = small.run("dvc", "repro", check=False)
            found = small.snapshot()
            leftovers = [path for path in found if path.endswith(".tmp")]
            shutil.rmtree(small.folder)
            if expected is None:  # the first run, with the whole disk free
                expected = found
                continue
            errors = re.findall(r"^.*No space left on device.*$", full.stderr, re.MULTILINE)
            clear = full.returncode != 0 and bool(errors) and "Traceback" not in full.stderr
            same = again.returncode == 0 and found == expected and not leftovers
            line = errors[0].removeprefix("ERROR: ") if errors else full.stderr[-300:] or "no error"
            result = f"`{line:.90}`; next run: {'identical results' if same else again.stderr[-300:]}"
            yield Outcome(f"a disk with {free} KiB free", result, clear and same)
        yield prepare_on_read_only_disk(project, folder)


def prepare_on_read_only_disk(project: Project, folder: Path) -> Outcome:
    """Run the stage prepare in a copy of a project on a disk that is mounted read-only."""
    copy = copy_project(project, folder / "project")
    before = copy.snapshot()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    error = copy.run_stage("python -m stages prepare --raw data/raw --prepared data/prepared").stderr
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    line = "error: prepare: cannot write .dvc/tmp/stage.lock: Read-only file system\n"
    return Outcome("a read-only disk", f"`{error.strip()[-200:]}`", error == line and copy.snapshot() == before)


@contextmanager
def mount_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a new folder; yields False if the system does not permit it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
