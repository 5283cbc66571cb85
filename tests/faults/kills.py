"""`dvc repro`, killed at random moments: the next one ends with the bits of an undisturbed run.

SIGKILL, which nothing can catch, goes to all processes of the run at once, as if the power failed.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import cycle, islice, pairwise
from pathlib import Path

from tests.conftest import Project
from tests.faults.outcome import Outcome

STAGE = re.compile(r"Running stage '(\w+)'")


def outcomes(project: Project, folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """project: with nothing reproduced yet. folder: for its copies."""
    whole = copied(project, folder)
    durations = stages(whole)
    expected = whole.snapshot()
    shutil.rmtree(folder)
    chance = random.Random(seed)
    order = list(islice(cycle(durations), count))  # every stage has its share
    while order:
        stage = order[0]
        moment = chance.uniform(0, durations[stage])
        victim = copied(project, folder)
        if killed(victim, stage, moment):
            order.pop(0)
            remedy, again = gone_on(victim)
            same = again.returncode == 0 and victim.snapshot() == expected
            result = f"the same bits{remedy}" if same else f"other bits, or an error: {again.stderr[-300:]}"
            if went_on := re.search(r"going on after epoch \d+", again.stdout):
                result += f", {went_on[0]}"
            yield Outcome(f"SIGKILL {moment:.1f} s into {stage}, of {durations[stage]:.1f}", result, same)
        shutil.rmtree(folder)


def stages(project: Project) -> dict[str, float]:
    """Run `dvc repro`; returns the seconds of each stage with what DVC does before the next, by name."""
    started: dict[str, float] = {}
    with repro(project) as run:
        for line in run.stdout or ():
            if match := STAGE.match(line):
                started[match[1]] = time.monotonic()
    times = [*started.values(), time.monotonic()]
    assert run.returncode == 0
    return {name: end - begin for name, (begin, end) in zip(started, pairwise(times), strict=True)}


def killed(project: Project, stage: str, moment: float) -> bool:
    """Kill `dvc repro` some seconds after a stage has begun; returns whether it was still running."""
    with repro(project) as run:
        assert run.stdout is not None
        any((match := STAGE.match(line)) and match[1] == stage for line in run.stdout)
        try:
            run.communicate(timeout=moment)
            return False
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
            return True


def gone_on(project: Project) -> "tuple[str, subprocess.CompletedProcess[str]]":
    """The next `dvc repro`, and what the README's remedy was if DVC was killed while it wrote a file of its own."""
    again = project.run("dvc", "repro", check=False)
    if "Unable to read RWLock-file" in again.stderr:
        return ", by make repro: DVC's rwlock was broken", project.run("make", "repro", check=False)
    if re.search(r"'\./dvc\.lock' (validation failed|is invalid)", again.stderr):
        (project.folder / "dvc.lock").unlink()  # there is none in git yet
        return ", without dvc.lock, which was broken", project.run("dvc", "repro", check=False)
    return "", again


def repro(project: Project) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["dvc", "repro"], cwd=project.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def copied(project: Project, folder: Path) -> Project:
    shutil.copytree(project.folder, folder, symlinks=True)
    return Project(folder)
