"""Data, models and finished runs are shared through real storage servers on this machine."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Project, require

pytestmark = pytest.mark.slow

SECRET = secrets.token_hex(16)  # which no file that git tracks may contain
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


class Storage(NamedTuple):
    """The storage of a DVC remote.

    url: for `make remote`. settings: options that are committed. login: options for .dvc/config.local.
    """

    url: str
    settings: dict[str, str]
    login: dict[str, str]


def find_free_port() -> int:
    """A port that no other process uses."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serve(*command: str, port: int) -> Iterator[None]:
    """Run a server until the end of the block, which begins when the server listens on the port."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            end = time.monotonic() + 30
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < end, f"{command[0]} does not listen"
                    time.sleep(0.1)
            yield
        finally:
            server.terminate()


@contextmanager
def s3(folder: Path) -> Iterator[Storage]:
    (folder / "bucket").mkdir()
    port = find_free_port()
    command = ("rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"team,{SECRET}", str(folder))
    with serve(*command, port=port):
        login = {"access_key_id": "team", "secret_access_key": SECRET}
        yield Storage("s3://bucket/fashion", {"endpointurl": f"http://127.0.0.1:{port}"}, login)


@contextmanager
def webdav(folder: Path) -> Iterator[Storage]:
    (folder / "fashion").mkdir()  # DVC's run cache does not create it
    port = find_free_port()
    command = ("rclone", "serve", "webdav", "--addr", f"127.0.0.1:{port}", "--user", "team", "--pass", SECRET)
    with serve(*command, str(folder), port=port):
        yield Storage(f"webdav://127.0.0.1:{port}/fashion", {"user": "team"}, {"password": SECRET})


@contextmanager
def ssh(folder: Path) -> Iterator[Storage]:
    sshd = require(SSHD, "openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd requires this folder
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", SECRET if name == "key" else "", "-f", str(folder / name)],
            check=True,
        )
    port = find_free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    with serve(sshd, "-D", "-f", str(folder / "config"), port=port):
        settings = {"user": getpass.getuser(), "port": str(port)}
        login = {"keyfile": str(folder / "key"), "passphrase": SECRET}
        yield Storage(f"ssh://127.0.0.1{folder}/fashion", settings, login)


@contextmanager
def plain_folder(folder: Path) -> Iterator[Storage]:
    yield Storage(str(folder / "fashion"), {}, {})


@pytest.fixture(scope="module")
def author(new_finished_project: Callable[[], Project]) -> Project:
    """A project with committed results."""
    project = new_finished_project()
    # make does not install these extras, which the environment of the tests has
    for storage in ("s3", "ssh", "webdav"):
        (project.folder / f".venv/extra-{storage}").touch()
    return project


@pytest.mark.parametrize("server", [s3, webdav, ssh, plain_folder], ids=["S3", "WebDAV", "SSH", "a folder"])
def test_a_colleague_gets_all_data_and_results_without_training(
    author: Project, tmp_path: Path, server: Callable[[Path], AbstractContextManager[Storage]]
) -> None:
    (tmp_path / "served").mkdir()
    with server(tmp_path / "served") as storage:
        (author.folder / ".dvc/config.local").unlink(missing_ok=True)  # the login of the previous storage
        author.run("make", "remote", f"URL={storage.url}")
        for key, value in storage.settings.items():
            author.dvc("remote", "modify", "storage", key, value)
        author.git("commit", "-qam", f"Share data and models in {storage.url}")
        if storage.login:
            assert author.run("dvc", "push", check=False).returncode, "the server requires no login"
        log_in(author, storage)
        author.dvc("push", "--run-cache")
        pushed_model = push_another_seed(author)
        assert_no_secrets(author)

        colleague = Project(tmp_path / "colleague")
        author.git("clone", "-q", ".", str(colleague.folder))
        log_in(colleague, storage)
        colleague.dvc("pull", "--run-cache")
        assert "Running stage" not in colleague.dvc("repro")
        assert colleague.git("status", "--porcelain") == ""
        expected = {path: digest for path, digest in author.snapshot().items() if not path.startswith(".venv")}
        assert colleague.snapshot() == expected

        colleague.set_params(train__seed=2)
        assert "Stage 'train' is cached - skipping run" in colleague.dvc("repro", "--pull", "train")
        assert colleague.snapshot()["models/model.keras"] == pushed_model
        assert_no_secrets(colleague)


def push_another_seed(project: Project) -> str:
    """Train with another seed and push the run without committing it; return the SHA-256 of its model."""
    project.set_params(train__seed=2)
    project.dvc("repro", "train")
    model = project.snapshot()["models/model.keras"]
    project.dvc("push", "--run-cache", "train")
    project.git("checkout", "-q", ".")
    project.dvc("checkout")
    assert project.snapshot()["models/model.keras"] != model
    return model


def log_in(project: Project, storage: Storage) -> None:
    """Set the login of a storage in .dvc/config.local."""
    for key, value in storage.login.items():
        project.dvc("remote", "modify", "--local", "storage", key, value)


def assert_no_secrets(project: Project) -> None:
    """Fail if the secret is in any commit, or in a file that `git add` would add."""
    project.git("add", "--all", "--intent-to-add", ".")
    assert SECRET not in project.git("log", "--all", "--patch")
    assert SECRET not in project.git("diff")
    assert project.git("ls-files", ".dvc/config.local") == ""
