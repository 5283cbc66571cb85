"""A signal that reaches only the DVC of `dvc repro`: its stage must end, too, and the next run must give the results.

DVC ignores SIGINT while a stage runs. tests/test_failures.py sends SIGKILL.
"""

import random
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.conftest import Project
from tests.faults.kills import copy_project, repro_again, start_repro
from tests.faults.outcome import Outcome

PAUSE = 5  # seconds, more than the PATIENCE of stages/__main__.py
LONGEST = 30  # seconds until every process must have ended


def inject(
    project: Project, folder: Path, durations: dict[str, float], expected: dict[str, str], seed: int
) -> Iterator[Outcome]:
    """Send SIGTERM to `dvc repro`, and stop it for some seconds, in copies of a project, which has no results yet.

    folder: where each copy is made. durations, expected: those that run_undisturbed of tests.faults.kills returns.
    """
    duration = sum(durations.values())
    yield _terminate(project, folder, random.Random(seed).uniform(0.3, 0.9) * duration, expected)
    yield _pause(project, folder, 0.45 * duration, expected)  # in train


def _terminate(project: Project, folder: Path, delay: float, expected: dict[str, str]) -> Outcome:
    """Send SIGTERM to DVC alone, as `kill` does."""
    copy = copy_project(project, folder)
    with start_repro(copy) as run:
        time.sleep(delay)
        processes = psutil.Process(run.pid).children(recursive=True)
        run.terminate()
        run.communicate()
        _, left = psutil.wait_procs(processes, timeout=LONGEST)
    again = repro_again(copy)[1]
    same = again.returncode == 0 and copy.snapshot() == expected
    shutil.rmtree(folder)
    result = "every process ended" if not left else f"{len(left)} processes went on"
    result += ", then identical results" if same else f", then other results, or an error: {again.stderr[-300:]}"
    return Outcome(f"SIGTERM to DVC alone, after {delay:.1f} s", result, same and not left)


def _pause(project: Project, folder: Path, delay: float, expected: dict[str, str]) -> Outcome:
    """Stop all processes, as a laptop that is closed does, and start a second run before they go on."""
    copy = copy_project(project, folder)
    with start_repro(copy) as run:
        time.sleep(delay)
        processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
        for process in processes:
            process.suspend()
        second = copy.run(sys.executable, "-m", "dvc", "repro", check=False)
        time.sleep(PAUSE)
        for process in processes:
            process.resume()
        run.communicate()
    refused = second.returncode != 0 and re.search("is busy|Unable to acquire lock", second.stderr) is not None
    same = run.returncode == 0 and copy.snapshot() == expected
    shutil.rmtree(folder)
    result = f"a second run {'is refused' if refused else 'is not refused'}, {'identical' if same else 'other'} results"
    return Outcome(f"SIGSTOP after {delay:.1f} s, SIGCONT {PAUSE} s later", result, refused and same)
