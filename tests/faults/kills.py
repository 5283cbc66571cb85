"""Kills of `dvc repro` at random times: the next run must give exactly the results of an undisturbed run.

SIGKILL, which cannot be caught, is sent to all processes of the run at once, as in a power failure.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import islice, pairwise
from pathlib import Path

from project.integrity import remove_corrupt
from tests.conftest import Project
from tests.faults.outcome import Outcome

STAGE = re.compile(r"Running stage '(\w+)'")


def inject(
    project: Project, folder: Path, durations: dict[str, float], expected: dict[str, str], count: int, seed: int
) -> Iterator[Outcome]:
    """Kill `dvc repro` in copies of a project, which has no results yet: in each copy during every stage.

    folder: where each copy is made. durations, expected: those that run_undisturbed returns.
    """
    generator = random.Random(seed)
    while count > 0:
        copy, faults = copy_project(project, folder), list[tuple[str, bool]]()
        for stage, duration in islice(durations.items(), count):
            delay = generator.uniform(0, duration)
            remove_corrupt(copy.folder / ".dvc/tmp/rwlock")  # as make repro does
            killed = kill_during(copy, stage, delay)
            faults.append((f"SIGKILL after {delay:.1f} of {duration:.1f} s of {stage}", killed))
        count -= len(faults)
        remedy, again = repro_again(copy)
        same = again.returncode == 0 and copy.snapshot() == expected
        result = f"identical results{remedy}" if same else f"other results, or an error: {again.stderr[-300:]}"
        for fault, killed in faults:
            not_run = same and not killed
            yield Outcome(fault, "the run had ended before" if not_run else result, None if not_run else same)
        shutil.rmtree(folder)


def run_undisturbed(project: Project, folder: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Run `dvc repro` in a copy of a project; returns the seconds of each stage by its name, and what it wrote."""
    copy = copy_project(project, folder)
    durations, snapshot = measure_stages(copy), copy.snapshot()
    shutil.rmtree(folder)
    return durations, snapshot


def measure_stages(project: Project) -> dict[str, float]:
    """Run `dvc repro`; return the seconds from the start of each stage to the start of the next one, by its name."""
    started: dict[str, float] = {}
    with start_repro(project) as run:
        for line in run.stdout or ():
            if match := STAGE.match(line):
                started[match[1]] = time.monotonic()
        run.wait()
    times = [*started.values(), time.monotonic()]
    assert run.returncode == 0
    return {name: end - begin for name, (begin, end) in zip(started, pairwise(times), strict=True)}


def kill_during(project: Project, stage: str, delay: float) -> bool:
    """Kill `dvc repro` some seconds after a stage has begun; return False if it had ended before."""
    with start_repro(project) as run:
        assert run.stdout is not None
        any((match := STAGE.match(line)) and match[1] == stage for line in run.stdout)
        try:
            run.communicate(timeout=delay)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            return True


def repro_again(project: Project) -> "tuple[str, subprocess.CompletedProcess[str]]":
    """Run `dvc repro` again; if a file of DVC's own is corrupt, use the remedy of docs/fault-tolerance.md.

    Returns the remedy, for the report, and the completed process.
    """
    again = project.run("dvc", "repro", check=False)
    if "Unable to read RWLock-file" in again.stderr:
        return ", by make repro, because DVC's rwlock was corrupt", project.run("make", "repro", check=False)
    if re.search(r"'\./dvc\.lock' (validation failed|is invalid)", again.stderr):
        (project.folder / "dvc.lock").unlink()  # git has none yet that could be restored
        return ", after the removal of a corrupt dvc.lock", project.run("dvc", "repro", check=False)
    return "", again


def start_repro(project: Project) -> AbstractContextManager["subprocess.Popen[str]"]:
    """Start `dvc repro`, whose processes end at the end of the block."""
    return project.start("dvc", "repro", stderr=subprocess.STDOUT)


def copy_project(project: Project, folder: Path) -> Project:
    """Copy a project to a new folder."""
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder)
