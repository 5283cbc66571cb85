"""The dataset is fetched from the first source that has all files with the right content."""

import gzip
import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from classifier import sources
from classifier.errors import UserError
from classifier.params import PARAMS, File
from stages.fetch import fetch
from tests import idx
from tests.conftest import ROOT, Project
from tests.servers import Quiet, serve

Files = dict[str, dict[str, str]]


class WebServer(ThreadingHTTPServer):
    """A local web server that serves `content` by path, and only half of it for a path in `incomplete`.

    length: what it says that an answer's length is; the true one if it is None.
    """

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.incomplete: set[str] = set()
        self.length: str | None = None
        self.requested: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(Quiet, BaseHTTPRequestHandler):
    server: WebServer

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.requested.append(name)
        if name not in self.server.content:
            self.send_error(404)
            return
        content = self.server.content[name]
        self.send_response(200)
        self.send_header("Content-Length", self.server.length or str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name in self.server.incomplete else content)


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    with serve(server):
        yield server


@pytest.fixture
def files(tiny_dataset: tuple[Path, Files]) -> list[File]:
    return [File(**file) for file in tiny_dataset[1].values()]


@pytest.fixture
def contents(tiny_dataset: tuple[Path, Files]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tiny_dataset[0].iterdir()}


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of each file in a folder, by its name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_compressed_files_are_fetched_from_a_web_server(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    web.content = {f"data/{name}.gz": gzip.compress(content) for name, content in contents.items()}
    sources.copy(f"{web.url}/data/", files, tmp_path)
    assert read_files(tmp_path) == contents


def test_plain_files_are_fetched_from_a_web_server(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    web.content = contents
    sources.copy(web.url, files, tmp_path)
    assert read_files(tmp_path) == contents


def test_a_length_that_is_no_number_is_ignored(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    web.content, web.length = contents, "many"
    sources.copy(web.url, files, tmp_path)
    assert read_files(tmp_path) == contents


def test_compressed_files_are_copied_from_a_folder(
    files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    for name, content in contents.items():
        (tmp_path / "from" / f"{name}.gz").write_bytes(gzip.compress(content))
    sources.copy(str(tmp_path / "from"), files, tmp_path / "to")
    assert read_files(tmp_path / "to") == contents


def test_other_content_is_refused(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    web.content = contents | {files[1].name: contents[files[3].name]}
    with pytest.raises(sources.SourceError, match=rf"{files[1].name} has SHA-256 {files[3].sha256}, params.yaml has"):
        sources.copy(web.url, files, tmp_path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_connection_that_closes_before_the_end_is_an_error(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    web.content = {
        f"{name}{suffix}": gzip.compress(content) if suffix else content for name, content in contents.items()
    }
    web.incomplete = {f"{files[0].name}{suffix}"}
    with pytest.raises(sources.SourceError, match="the connection broke off"):
        sources.copy(web.url, files, tmp_path)


def test_a_corrupt_archive_is_an_error(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    compressed = {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    name = f"{files[0].name}.gz"
    for corrupt in (b"no gzip", compressed[name][:-20], compressed[name][:100] + b"\xff" * 50 + compressed[name][150:]):
        web.content = compressed | {name: corrupt}
        with pytest.raises(sources.SourceError, match=f"{name} is broken"):
            sources.copy(web.url, files, tmp_path)


def test_a_file_that_is_too_large_is_refused(
    web: WebServer, files: list[File], contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST", 1000)
    web.content = contents
    with pytest.raises(sources.SourceError, match="larger than 1,000 bytes"):
        sources.copy(web.url, files, tmp_path)


def test_a_folder_that_cannot_be_read_is_an_error(files: list[File], tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for file in files:
        (tmp_path / "from" / file.name).symlink_to("/proc/self/mem")  # which cannot be read at its beginning
    for source, reason in (
        (str(tmp_path / "from"), "cannot be read: Input/output error"),
        (str(tmp_path / ("x" * 300)), "cannot read .*: File name too long"),
        ("~nobody-of-this-name/x", "no such folder"),
    ):
        with pytest.raises(sources.SourceError, match=reason):
            sources.copy(source, files, tmp_path)


@pytest.fixture
def project(tmp_path: Path, tiny_dataset: tuple[Path, Files], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A folder with a params.yaml for the tiny dataset, as the current folder."""
    project = Project(tmp_path)
    shutil.copy(ROOT / PARAMS, tmp_path)
    project.set_params(dataset__files=tiny_dataset[1])
    monkeypatch.chdir(tmp_path)
    return project


def test_the_first_source_that_has_the_files_is_used(
    project: Project, web: WebServer, contents: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    web.content = contents
    project.set_params(dataset__sources=["/nowhere", web.url, f"{web.url}/never"])
    fetch(Path("data/raw"))
    assert read_files(Path("data/raw")) == contents
    assert f"Fashion-MNIST from {web.url}" in capsys.readouterr().out
    assert not any(name.startswith("never") for name in web.requested)


def test_the_environment_variable_replaces_the_sources(
    project: Project, web: WebServer, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.set_params(dataset__sources=[web.url])
    folder = Path("with space")
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("DATASET_SOURCES", "/nowhere 'with space'")
    fetch(Path("data/raw"))
    assert read_files(Path("data/raw")) == contents
    assert not web.requested
    monkeypatch.setenv("DATASET_SOURCES", "/home/o'brien")
    with pytest.raises(UserError, match=r"^DATASET_SOURCES: No closing quotation; quote a path"):
        fetch(Path("data/raw"))


def test_failed_sources_are_listed_with_their_reasons_and_earlier_files_are_kept(
    project: Project, web: WebServer, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_get = project.folder / "bin/apt-get"  # the real one takes 5 s to find that there is no such package
    apt_get.parent.mkdir()
    apt_get.write_text("#!/bin/sh\necho 'E: Unable to locate package' >&2\nexit 100\n")
    apt_get.chmod(0o755)
    monkeypatch.setenv("PATH", str(apt_get.parent), prepend=os.pathsep)
    earlier = Path("data/raw/earlier")
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")
    closed = "http://127.0.0.1:9"
    project.set_params(dataset__sources=["/nowhere", web.url, closed, "apt:no-such-package-anywhere"])
    with pytest.raises(UserError) as caught:
        fetch(Path("data/raw"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "no source has the files of Fashion-MNIST:"
    assert lines[1] == "  /nowhere: no such folder"
    assert lines[2] == f"  {web.url}: neither {idx.NAMES['train_images']}.gz nor {idx.NAMES['train_images']} is there"
    assert lines[3] == f"  {closed}: cannot connect"
    assert lines[4] == "  apt:no-such-package-anywhere: apt-get failed: E: Unable to locate package"
    assert "DATASET_SOURCES=FOLDER" in lines[5]
    assert earlier.read_text() == "earlier"
    assert not list(Path("data").glob("*.tmp"))
