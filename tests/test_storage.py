"""Data, models and finished runs shared through real servers on loopback."""

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

SECRET = secrets.token_hex(16)  # not in any file of the project
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")


class Storage(NamedTuple):
    """url: for make remote. settings: of the remote, for everybody. login: more of them, for .dvc/config.local."""

    url: str
    settings: dict[str, str]
    login: dict[str, str]


def free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def served(*command: str, port: int) -> Iterator[None]:
    """A server that listens on a port."""
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
    port = free_port()
    command = ("rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"team,{SECRET}", str(folder))
    with served(*command, port=port):
        login = {"access_key_id": "team", "secret_access_key": SECRET}
        yield Storage("s3://bucket/fashion", {"endpointurl": f"http://127.0.0.1:{port}"}, login)


@contextmanager
def webdav(folder: Path) -> Iterator[Storage]:
    (folder / "fashion").mkdir()  # DVC's run cache does not make it
    port = free_port()
    command = ("rclone", "serve", "webdav", "--addr", f"127.0.0.1:{port}", "--user", "team", "--pass", SECRET)
    with served(*command, str(folder), port=port):
        yield Storage(f"webdav://127.0.0.1:{port}/fashion", {"user": "team"}, {"password": SECRET})


@contextmanager
def ssh(folder: Path) -> Iterator[Storage]:
    sshd = require(SSHD, "openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", SECRET if name == "key" else "", "-f", str(folder / name)],
            check=True,
        )
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/key.pub\n"
        f"PidFile {folder}/pid\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
    )
    with served(sshd, "-D", "-f", str(folder / "config"), port=port):
        settings = {"user": getpass.getuser(), "port": str(port)}
        login = {"keyfile": str(folder / "key"), "passphrase": SECRET}
        yield Storage(f"ssh://127.0.0.1{folder}/fashion", settings, login)


@contextmanager
def plain_folder(folder: Path) -> Iterator[Storage]:
    yield Storage(str(folder / "fashion"), {}, {})


@pytest.fixture(scope="module")
def author(new_project: Callable[[], Project]) -> Project:
    """With committed results."""
    project = new_project()
    for storage in ("s3", "ssh", "webdav"):
        (project.folder / f".venv/extra-{storage}").touch()  # for make: the tests' environment has them
    project.dvc("repro")
    project.git("add", ".")
    project.git("commit", "-qm", "results")
    return project


@pytest.mark.parametrize("server", [s3, webdav, ssh, plain_folder], ids=["S3", "WebDAV", "SSH", "a folder"])
def test_a_colleague_gets_everything_and_trains_nothing(
    author: Project, tmp_path: Path, server: Callable[[Path], AbstractContextManager[Storage]]
) -> None:
    (tmp_path / "served").mkdir()
    with server(tmp_path / "served") as storage:
        (author.folder / ".dvc/config.local").unlink(missing_ok=True)  # of the storage before
        author.run("make", "remote", f"URL={storage.url}")
        for key, value in storage.settings.items():
            author.dvc("remote", "modify", "storage", key, value)
        author.git("commit", "-qam", f"Share data and models in {storage.url}")
        if storage.login:
            assert author.run("dvc", "push", check=False).returncode, "the server lets anybody in"
        log_in(author, storage)
        author.dvc("push", "--run-cache")
        tried = try_another_seed(author)
        assert_no_secrets(author)

        colleague = Project(tmp_path / "colleague")
        author.git("clone", "-q", ".", str(colleague.folder))
        log_in(colleague, storage)
        colleague.dvc("pull", "--run-cache")
        assert "Running stage" not in colleague.dvc("repro")
        assert colleague.git("status", "--porcelain") == ""
        expected = {path: digest for path, digest in author.snapshot().items() if not path.startswith(".venv")}
        assert colleague.snapshot() == expected

        colleague.change(train__seed=2)
        assert "Stage 'train' is cached - skipping run" in colleague.dvc("repro", "--pull", "train")
        assert colleague.snapshot()["models/model.keras"] == tried
        assert_no_secrets(colleague)


def try_another_seed(project: Project) -> str:
    """Train and push, but commit nothing; returns the model's hash."""
    project.change(train__seed=2)
    project.dvc("repro", "train")
    model = project.snapshot()["models/model.keras"]
    project.dvc("push", "--run-cache", "train")
    project.git("checkout", "-q", ".")
    project.dvc("checkout")
    assert project.snapshot()["models/model.keras"] != model
    return model


def log_in(project: Project, storage: Storage) -> None:
    for key, value in storage.login.items():
        project.dvc("remote", "modify", "--local", "storage", key, value)


def assert_no_secrets(project: Project) -> None:
    """Neither what is committed anywhere nor what `git add` would take has the secret in it."""
    project.git("add", "--all", "--intent-to-add", ".")
    assert SECRET not in project.git("log", "--all", "--patch")
    assert SECRET not in project.git("diff")
    assert project.git("ls-files", ".dvc/config.local") == ""
