"""The dataset comes from the first source that has it, whole and with the right content."""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from classifier import sources
from classifier.errors import UserError
from classifier.params import File
from stages.fetch import fetch
from tests import idx
from tests.conftest import Project

Files = dict[str, dict[str, str]]


class Web(ThreadingHTTPServer):
    """A web server on loopback that serves `content` by path; None breaks the connection off half-way."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.broken: set[str] = set()
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        if name not in self.server.content:
            self.send_error(404)
            return
        content = self.server.content[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if name in self.server.broken else content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def files(tiny_dataset: tuple[Path, Files]) -> list[File]:
    return [File(**file) for file in tiny_dataset[1].values()]


@pytest.fixture
def contents(tiny_dataset: tuple[Path, Files]) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in tiny_dataset[0].iterdir()}


def fetched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_web_server_with_compressed_files(
    web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path
) -> None:
    web.content = {f"data/{name}.gz": gzip.compress(content) for name, content in contents.items()}
    sources.copy(f"{web.url}/data/", files, tmp_path)
    assert fetched(tmp_path) == contents


def test_a_web_server_with_plain_files(web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path) -> None:
    web.content = contents
    sources.copy(web.url, files, tmp_path)
    assert fetched(tmp_path) == contents


def test_a_folder_with_compressed_files(files: list[File], contents: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "to").mkdir()
    for name, content in contents.items():
        (tmp_path / "from" / f"{name}.gz").write_bytes(gzip.compress(content))
    sources.copy(str(tmp_path / "from"), files, tmp_path / "to")
    assert fetched(tmp_path / "to") == contents


def test_other_content_is_refused(web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path) -> None:
    web.content = contents | {files[1].name: contents[files[3].name]}
    with pytest.raises(sources.SourceError, match=rf"{files[1].name} has SHA-256 {files[3].sha256}, params.yaml has"):
        sources.copy(web.url, files, tmp_path)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_connection_that_breaks_off_is_no_source(
    web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path, suffix: str
) -> None:
    web.content = {
        f"{name}{suffix}": gzip.compress(content) if suffix else content for name, content in contents.items()
    }
    web.broken = {f"{files[0].name}{suffix}"}
    with pytest.raises(sources.SourceError, match="the connection broke off"):
        sources.copy(web.url, files, tmp_path)


def test_a_broken_archive_is_no_source(web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path) -> None:
    packed = {f"{name}.gz": gzip.compress(content) for name, content in contents.items()}
    name = f"{files[0].name}.gz"
    for broken in (b"no gzip", packed[name][:-20], packed[name][:100] + b"\xff" * 50 + packed[name][150:]):
        web.content = packed | {name: broken}
        with pytest.raises(sources.SourceError, match=f"{name} is broken"):
            sources.copy(web.url, files, tmp_path)


def test_an_endless_file_is_cut_off(
    web: Web, files: list[File], contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LARGEST", 1000)
    web.content = contents
    with pytest.raises(sources.SourceError, match="larger than 1,000 bytes"):
        sources.copy(web.url, files, tmp_path)


@pytest.fixture
def inside(new_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch) -> Project:
    project = new_project()
    monkeypatch.chdir(project.folder)
    return project


def test_the_next_source_is_tried_and_the_first_good_one_taken(
    inside: Project, web: Web, contents: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    web.content = contents
    inside.change(dataset__sources=["/nowhere", web.url, f"{web.url}/never"])
    fetch(Path("data/raw"))
    assert fetched(Path("data/raw")) == contents
    assert f"Fashion-MNIST from {web.url}" in capsys.readouterr().out
    assert not any(name.startswith("never") for name in web.asked)


def test_the_environment_replaces_the_sources(
    inside: Project, web: Web, contents: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside.change(dataset__sources=[web.url])
    folder = Path("with space")
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    monkeypatch.setenv("DATASET_SOURCES", "/nowhere 'with space'")
    fetch(Path("data/raw"))
    assert fetched(Path("data/raw")) == contents
    assert not web.asked


def test_if_no_source_works_each_is_listed_with_its_reason_and_earlier_files_stay(
    inside: Project, web: Web, contents: dict[str, bytes]
) -> None:
    earlier = Path("data/raw/earlier")
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")
    closed = "http://127.0.0.1:9"
    inside.change(dataset__sources=["/nowhere", web.url, closed, "apt:no-such-package-anywhere"])
    with pytest.raises(UserError) as caught:
        fetch(Path("data/raw"))
    lines = str(caught.value).splitlines()
    assert lines[0] == "no source has the files of Fashion-MNIST:"
    assert lines[1] == "  /nowhere: no such folder"
    assert lines[2] == f"  {web.url}: neither {idx.NAMES['train_images']}.gz nor {idx.NAMES['train_images']} is there"
    assert lines[3] == f"  {closed}: cannot connect"
    assert lines[4].startswith("  apt:no-such-package-anywhere: ")
    assert "DATASET_SOURCES=FOLDER" in lines[5]
    assert earlier.read_text() == "earlier"
    assert not list(Path("data").glob("*.tmp"))
