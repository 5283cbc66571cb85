"""Faults that Hypothesis generates, in a process of their own, so that a crash of Python is reported, too."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis


def run(module: str, target: str, count: int, seed: int, folder: Path) -> tuple[str, str]:
    """Run a module of this package in a folder; returns the last line of its output, and its errors if it failed.

    target: its first argument.
    """
    command = [sys.executable, "-m", module, target, "--count", str(count), "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as temporary:  # for Hypothesis's own files, which are not needed
        environment = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": temporary}
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    lines = result.stdout.splitlines() or ["no output"]
    return lines[-1], result.stderr[-3000:] or f"status {result.returncode}" if result.returncode else ""


def parser() -> argparse.ArgumentParser:
    """The options that run passes on; the caller adds the first argument."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    return parser


def settings(count: int) -> hypothesis.settings:
    """So many examples, of which none is kept, shrunk or timed."""
    return hypothesis.settings(
        max_examples=count,
        phases=[hypothesis.Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
