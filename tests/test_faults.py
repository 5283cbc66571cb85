"""A short version of `make faults`."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.faults import disk


@pytest.mark.slow
def test_every_fault_has_the_promised_outcome() -> None:
    command = [sys.executable, "-m", "tests.faults", "--kills", "5", "--inputs", "120", "--revisions", "30"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("no broken promises\n")
    assert len(re.findall(r"^\| SIGKILL after .* \| yes \|$", result.stdout, re.MULTILINE)) >= 4
    assert sum(map(int, re.findall(r"(\d+) mutations: ", result.stdout))) >= 120
    if "| a full disk | mounting a small disk needs root | not run |" not in result.stdout:
        rows = re.findall(r"^\| a (?:disk with \d+ KiB free|read-only disk) ", result.stdout, re.MULTILINE)
        assert len(rows) == len(disk.FREE) + 1
    else:
        assert not (os.environ.get("CI") and os.geteuid() == 0)
    assert "| reviews of hostile revisions | 30 revisions: " in result.stdout
