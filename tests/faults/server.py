"""Web servers that stall, break off, lie or serve something else: the reason is told, and the next source is taken."""

import gzip
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

from classifier import sources
from classifier.errors import UserError
from classifier.params import load_params
from stages.fetch import fetch
from tests.conftest import Project
from tests.faults.outcome import Outcome

Answer = Callable[["Handler", bytes], object]  # to a request for a file with this content


class Handler(BaseHTTPRequestHandler):
    server: "Web"

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

    def log_message(self, format: str, *args: object) -> None:
        pass


class Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, dataset: Path, answer: Answer) -> None:
        self.dataset = dataset
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Not a word when the client hangs up."""


def _says_nothing(handler: Handler, content: bytes) -> None:
    time.sleep(3)


def _drips(handler: Handler, content: bytes) -> None:
    handler.send(b"", len(content))
    for position in range(len(content)):
        handler.wfile.write(content[position : position + 1])
        time.sleep(0.2)


def _endless(handler: Handler, content: bytes) -> None:
    """A file of zeros that gzip makes a thousand times smaller."""
    handler.send(gzip.compress(bytes(8 << 20)))


ANSWERS: dict[str, tuple[Answer, str]] = {  # what a server does, and the reason that has to be told
    "accepts and says nothing": (_says_nothing, "no answer in time"),
    "sends a byte now and then": (_drips, "took longer than"),
    "breaks off half-way": (lambda handler, content: handler.send(content[:99], len(content)), "broke off"),
    "promises fewer bytes than it has": (lambda handler, content: handler.send(content, len(content) - 9), "broken"),
    "promises more bytes than it has": (lambda handler, content: handler.send(content, len(content) + 9), "broke off"),
    "has no bytes": (lambda handler, content: handler.send(b""), "SHA-256"),
    "answers with a page": (lambda handler, content: handler.send(b"<html>Please log in</html>"), "broken"),
    "answers 500": (lambda handler, content: handler.send_error(500), "answered 500"),
    "hides a large file in a small one": (_endless, "larger than"),
    "redirects in a circle": (lambda handler, content: handler.redirect(handler.path), "redirects"),
    "redirects to a local file": (lambda handler, content: handler.redirect("file:///etc/hostname"), "file:"),
    "serves another dataset": (lambda handler, content: handler.send(gzip.compress(content[::-1])), "SHA-256"),
    "is no web server": (lambda handler, content: handler.wfile.write(b"SSH-2.0-OpenSSH\r\n"), "cannot connect"),
}


def outcomes(project: Project, dataset: Path) -> Iterator[Outcome]:
    """dataset: the folder that is the second source, and that the server's files are made of."""
    before = Path.cwd()
    os.chdir(project.folder)
    try:
        names = [file.name for _, file in load_params().dataset.files]
        with mock.patch.multiple(sources, TIMEOUT=(1, 1), LONGEST=2, LARGEST=4 << 20):  # the same, only sooner
            for what, (answer, reason) in ANSWERS.items():
                yield _outcome(what, answer, reason, dataset, names)
    finally:
        os.chdir(before)


def _outcome(what: str, answer: Answer, reason: str, dataset: Path, names: list[str]) -> Outcome:
    with serving(Web(dataset, answer)) as url, mock.patch.dict(os.environ, DATASET_SOURCES=url):
        target = Path("data/faults/raw")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                fetch(target)
                told = "nothing"
            except UserError as error:
                told = str(error).splitlines()[1].partition(f"{url}: ")[2]
            refused = not target.exists() and not list(target.parent.iterdir())
            os.environ["DATASET_SOURCES"] += f" {dataset}"
            fetch(target)
    got = {path.name: path.read_bytes() for path in target.iterdir()}
    for path in target.iterdir():
        path.unlink()
    target.rmdir()
    whole = got == {name: (dataset / name).read_bytes() for name in names}
    promised = refused and whole and reason in told
    return Outcome(f"a server that {what}", f"`{told:.100}`; the next source is taken", promised)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
