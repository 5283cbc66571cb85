"""Faulty web servers: `fetch` must report the reason and use the next source.

The servers stall, disconnect, announce a wrong length, redirect, or send other content.
"""

import gzip
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

from classifier import sources
from classifier.errors import UserError
from classifier.params import load_params
from stages.fetch import fetch
from tests.conftest import Project
from tests.faults.outcome import Outcome
from tests.servers import Quiet, serve

Answer = Callable[["Handler", bytes], object]  # answers a request for a file with this content


class Handler(Quiet, BaseHTTPRequestHandler):
    server: "FaultyServer"

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1].removesuffix(".gz")
        content = (self.server.dataset / name).read_bytes() if (self.server.dataset / name).exists() else b""
        self.server.answer(self, gzip.compress(content))

    def send(self, content: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()


class FaultyServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, dataset: Path, answer: Answer) -> None:
        self.dataset = dataset
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing when the client disconnects."""


def _stall(handler: Handler, content: bytes) -> None:
    time.sleep(3)


def _send_slowly(handler: Handler, content: bytes) -> None:
    handler.send(b"", len(content))
    for position in range(len(content)):
        handler.wfile.write(content[position : position + 1])
        time.sleep(0.2)


def _send_header_slowly(handler: Handler, content: bytes) -> None:
    handler.send_response(200)
    handler.flush_headers()
    for _ in range(100):
        handler.wfile.write(b"x")
        time.sleep(0.2)


def _send_decompression_bomb(handler: Handler, content: bytes) -> None:
    """Send zeros, which gzip compresses to a thousandth of their size."""
    handler.send(gzip.compress(bytes(8 << 20)))


ANSWERS: dict[str, tuple[Answer, str]] = {  # what a server does, and the reason that must be reported
    "accepts the connection and sends nothing": (_stall, "no answer in time"),
    "sends five bytes a second": (_send_slowly, "took longer than"),
    "sends five bytes of its header a second": (_send_header_slowly, "took longer than"),
    "disconnects before the end": (lambda handler, content: handler.send(content[:99], len(content)), "broke off"),
    "announces too few bytes": (lambda handler, content: handler.send(content, len(content) - 9), "broken"),
    "announces too many bytes": (lambda handler, content: handler.send(content, len(content) + 9), "broke off"),
    "sends an empty file": (lambda handler, content: handler.send(b""), "SHA-256"),
    "sends an HTML page": (lambda handler, content: handler.send(b"<html>Please log in</html>"), "broken"),
    "answers with status 500": (lambda handler, content: handler.send_error(500), "answered 500"),
    "sends a decompression bomb": (_send_decompression_bomb, "larger than"),
    "redirects to the same address": (lambda handler, content: handler.redirect(handler.path), "redirects"),
    "redirects to a local file": (lambda handler, content: handler.redirect("file:///etc/hostname"), "file:"),
    "sends other content": (lambda handler, content: handler.send(gzip.compress(content[::-1])), "SHA-256"),
    "is not a web server": (lambda handler, content: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), "cannot connect"),
}


def inject(project: Project, dataset: Path) -> Iterator[Outcome]:
    """Fetch from each faulty server. dataset: the folder with the files, which is also the second source."""
    before = Path.cwd()
    os.chdir(project.folder)
    try:
        names = [file.name for _, file in load_params().dataset.files]
        with mock.patch.multiple(sources, TIMEOUT=(1, 1), LONGEST=2, LARGEST=4 << 20):  # low limits, to save time
            for behaviour, (answer, reason) in ANSWERS.items():
                yield _fetch_from(behaviour, answer, reason, dataset, names)
    finally:
        os.chdir(before)


def _fetch_from(behaviour: str, answer: Answer, reason: str, dataset: Path, names: list[str]) -> Outcome:
    """Fetch from a faulty server alone, which must fail, and from the server and a folder, which must succeed."""
    with serve(FaultyServer(dataset, answer)) as url, mock.patch.dict(os.environ, DATASET_SOURCES=url):
        target = Path("data/faults/raw")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                fetch(target)
                reported = "no error"
            except UserError as error:
                reported = str(error).splitlines()[1].partition(f"{url}: ")[2]
            refused = not target.exists() and not list(target.parent.iterdir())
            os.environ["DATASET_SOURCES"] += f" {dataset}"
            fetch(target)
    got = {path.name: path.read_bytes() for path in target.iterdir()}
    for path in target.iterdir():
        path.unlink()
    target.rmdir()
    complete = got == {name: (dataset / name).read_bytes() for name in names}
    promised = refused and complete and reason in reported
    return Outcome(f"a server that {behaviour}", f"`{reported:.100}`; the next source is used", promised)
