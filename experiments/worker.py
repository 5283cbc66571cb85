"""What a node of a cluster does for a run: clone, pull, train, push.

Ray sends this module to the nodes as it is, so it needs nothing there but Python, git, and the project's environment.
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
    """name: of the run. changes: its params. commit: of the project. url: of the git repository that has the commit.

    dvc_config: the content of .dvc/config.local, with the storage's credentials.
    """

    name: str
    changes: dict[str, Any]
    commit: str
    url: str
    dvc_config: str


class Done(NamedTuple):
    """node: that did the job. problem: the last lines of the command that failed, or nothing."""

    node: str
    problem: str


def do(job: Job) -> Done:
    """Run an experiment and push it to git, and its outputs to the storage; do nothing if it is there already."""
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
    _dvc("pull", "--run-cache", folder=project)  # what anybody has trained already is not trained again
    params = [option for key, value in job.changes.items() for option in ("--set-param", f"{key}={value}")]
    _dvc("exp", "run", "--pull", "--name", job.name, *params, folder=project)
    _dvc("push", "--run-cache", folder=project)
    _dvc("exp", "push", "--no-cache", "origin", job.name, folder=project)  # at last: it says that all is there


def _dvc(*arguments: str, folder: Path) -> str:
    return _call(sys.executable, "-m", "dvc", *arguments, folder=folder)


def _call(*command: str, folder: Path) -> str:
    """What a command prints; its processes end with this one's task.

    Raises:
        subprocess.CalledProcessError: it failed; output has what it printed.
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
