"""A disk that gets full in the middle of `dvc repro`, or is read-only: one clear line, and nothing is lost."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Project
from tests.faults.outcome import Outcome

SIZE = 24  # MiB, of the whole disk
FREE = (0, 128, 512, 1024, 1536)  # KiB that are left when the run begins; it needs about 2 MiB


def outcomes(project: Project, folder: Path) -> Iterator[Outcome]:
    """project: with results, which a copy on the small disk makes anew with another seed."""
    with disk(folder) as mounted:
        if not mounted:
            yield Outcome("a full disk", "not tried: mounting a small disk needs root", promised=True)
            return
        expected: dict[str, str] | None = None
        for free in (SIZE << 10, *FREE):
            small = Project(folder / "project")
            shutil.copytree(project.folder, small.folder, symlinks=True)
            small.change(train__seed=2, prepare__split="stratified")
            ballast = folder / "ballast"
            with ballast.open("wb") as stream:
                stream.write(bytes(max(0, shutil.disk_usage(folder).free - (free << 10))))
            full = small.run("dvc", "repro", check=False)
            ballast.unlink()
            again = small.run("dvc", "repro", check=False)
            found = small.snapshot()
            leftovers = [path for path in found if path.endswith(".tmp")]
            shutil.rmtree(small.folder)
            if expected is None:  # with the whole disk to itself
                expected = found
                continue
            told = re.findall(r"^.*No space left on device.*$", full.stderr, re.MULTILINE)
            clear = (full.returncode == 0 or bool(told)) and "Traceback" not in full.stderr
            same = again.returncode == 0 and found == expected and not leftovers
            line = told[0].removeprefix("ERROR: ") if told else full.stderr[-300:] or "enough"
            result = f"`{line:.90}`; then {'the same bits' if same else again.stderr[-300:]}"
            yield Outcome(f"a disk with {free} KiB left", result, clear and same)
        yield read_only(project, folder)


def read_only(project: Project, folder: Path) -> Outcome:
    """A stage on a disk that takes no writing."""
    fixed = Project(folder / "project")
    shutil.copytree(project.folder, fixed.folder, symlinks=True)
    before = fixed.snapshot()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    told = fixed.stage("python -m stages prepare --raw data/raw --prepared data/prepared").stderr
    subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    line = "error: prepare: cannot write data/prepared/train: Read-only file system\n"
    return Outcome("a disk that is read-only", f"`{told.strip()[-200:]}`", told == line and fixed.snapshot() == before)


@contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk at a folder; yields whether the system allows it."""
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
