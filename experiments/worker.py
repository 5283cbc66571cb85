"""What a node of a cluster does for a run: clone, pull, train, push.

Ray sends this module alone to the nodes, so it imports none of the project's other modules.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple


class Job(NamedTuple):
    """A run. changes: of params.yaml. stage: the last one that is run, all if empty. commit: of the project.

    url: of the git repository that has the commit. dvc_config: the content of .dvc/config.local, which has the
    storage's credentials.
    """

    name: str
    changes: dict[str, Any]
    stage: str
    commit: str
    url: str
    dvc_config: str


class Done(NamedTuple):
    """A run's outcome. node: that ran it. problem: the end of the output of the command that failed, or nothing."""

    node: str
    problem: str


def run_job(job: Job) -> Done:
    """Run an experiment, push it to git and its outputs to the storage. Skips an experiment that git has already."""
    try:
        with tempfile.TemporaryDirectory(prefix=f"{job.name}-") as temporary:
            project = Path(temporary) / "project"
            _call("git", "clone", "--quiet", job.url, str(project), folder=Path(temporary))
            _call("git", "checkout", "--quiet", job.commit, folder=project)
            pushed = _dvc("exp", "list", "origin", "--rev", job.commit, "--name-only", folder=project)
            if job.name not in pushed.split():
                _train(job, project)
    except subprocess.CalledProcessError as error:
        return Done(socket.gethostname(), f"{' '.join(error.cmd)}: {error.output[-500:].strip()}")
    return Done(socket.gethostname(), "")


def _train(job: Job, project: Path) -> None:
    (project / ".dvc/config.local").write_text(job.dvc_config)
    _dvc("pull", "--run-cache", folder=project)  # so that a training that was pushed is not repeated
    params = [option for key, value in job.changes.items() for option in ("--set-param", f"{key}={value}")]
    _dvc("exp", "run", "--pull", "--name", job.name, *params, *job.stage.split(), folder=project)
    _dvc("push", "--run-cache", folder=project)
    _dvc("exp", "push", "--no-cache", "origin", job.name, folder=project)  # last: it marks the run as complete


def _dvc(*arguments: str, folder: Path) -> str:
    return _call(sys.executable, "-m", "dvc", *arguments, folder=folder)


def _call(*command: str, folder: Path) -> str:
    """Run a command and return what it prints. Its processes end if the task is cancelled.

    Raises:
        subprocess.CalledProcessError: the command failed; output has what it printed.
    """
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command[:6], output)
    return output
