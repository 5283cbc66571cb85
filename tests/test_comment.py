"""The comment on a pull request, posted to a local server that answers as GitHub does."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from review import comment
from tests.conftest import ROOT
from tests.servers import Quiet, serve

PULL_REQUEST = 7
LAST_COMMIT = "c" * 40
BOT = "github-actions[bot]"


class GitHub(Quiet, BaseHTTPRequestHandler):
    """Stores the comments of one pull request, and returns them in pages."""

    comments: list[dict[str, Any]]
    calls: list[str]

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/repos/team/project/pulls":
            found = query == {"state": "open", "head": "somebody:a/branch#1"}
            self.answer([{"number": PULL_REQUEST, "head": {"sha": LAST_COMMIT}}] if found else [])
        elif url.path == f"/repos/team/project/issues/{PULL_REQUEST}/comments":
            size, page = int(query["per_page"]), int(query["page"])
            self.answer(self.comments[size * (page - 1) : size * page])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        assert self.path == f"/repos/team/project/issues/{PULL_REQUEST}/comments"
        self.comments.append(make_comment(BOT, len(self.comments), self.body()))
        self.answer(self.comments[-1])

    def do_PATCH(self) -> None:
        number = int(self.path.removeprefix("/repos/team/project/issues/comments/"))
        self.comments[number]["body"] = self.body()
        self.answer(self.comments[number])

    def body(self) -> str:
        self.calls.append(self.command)
        return str(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"])

    def answer(self, content: object) -> None:
        if self.headers["Authorization"] != "Bearer secret":
            self.send_error(401)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())


def make_comment(author: str, number: int, body: str) -> dict[str, Any]:
    return {"id": number, "user": {"login": author}, "body": body}


@pytest.fixture
def github() -> Iterator[tuple[type[GitHub], str]]:
    handler = type("Handler", (GitHub,), {"comments": [], "calls": []})
    with serve(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield handler, url


def post(
    url: str, report: Path, branch: str = "somebody:a/branch#1", token: str = "secret", commit: str = LAST_COMMIT
) -> str:
    """Run the command and return its error message, which is empty if it succeeds."""
    result = subprocess.run(
        [
            sys.executable, "-S", "-m", "review.comment", branch, str(report), "--commit", commit,
            "--pictures", "https://example.org/run",
        ],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "team/project", "GITHUB_TOKEN": token},
    )  # fmt: skip
    assert bool(result.returncode) == bool(result.stderr)
    return result.stderr


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.md"
    path.write_text("# Review\n\n**Better.**\n\n## Pictures\n\n![Curves](curves.png)\n", encoding="utf-8")
    return path


def test_one_comment_is_created_and_then_updated(github: tuple[type[GitHub], str], report: Path) -> None:
    server, url = github
    server.comments += [make_comment("somebody", number, "Looks good") for number in range(150)]  # a second page
    assert post(url, report) == ""
    report.write_text("# Review\n\n**Worse.**\n", encoding="utf-8")
    assert post(url, report) == ""
    assert server.calls == ["POST", "PATCH"]
    assert [entry["body"] for entry in server.comments[:150]] == ["Looks good"] * 150
    (ours,) = server.comments[150:]
    assert ours["body"].startswith(comment.MARKER + "\nThis report was made by the code of the pull request.")
    assert "\n# Review\n\n**Worse.**" in ours["body"]
    assert "(https://example.org/run)" in ours["body"]


def test_a_review_that_failed_replaces_an_earlier_verdict(github: tuple[type[GitHub], str], report: Path) -> None:
    server, url = github
    assert post(url, report) == ""
    assert post(url, report.with_name("nothing.md")) == ""
    (ours,) = server.comments
    assert ours["body"] == f"{comment.MARKER}\n**There is no report** of the last commit: https://example.org/run\n"


def test_the_report_of_an_earlier_commit_is_not_posted(github: tuple[type[GitHub], str], report: Path) -> None:
    server, url = github
    assert post(url, report, commit="a" * 40) == ""
    assert server.calls == []


@pytest.mark.parametrize("content", [b"\xff", None])
def test_what_is_no_report_replaces_an_earlier_verdict(
    github: tuple[type[GitHub], str], report: Path, content: bytes | None
) -> None:
    server, url = github
    assert post(url, report) == ""
    report.unlink()
    report.write_bytes(content) if content else report.mkdir()
    assert post(url, report) == ""
    (ours,) = server.comments
    assert "Better" not in ours["body"]


def test_a_comment_has_no_pictures_and_is_not_longer_than_github_allows(report: Path) -> None:
    text = comment.comment(report.read_text(encoding="utf-8"), "")
    assert "**Better.**" in text
    assert "curves.png" not in text
    long = comment.comment("one line\n" * 10_000, "")
    assert len(long) < 65_536
    assert long.endswith("one line" + comment.CUT + "\n")


def test_a_comment_by_somebody_else_is_never_changed(github: tuple[type[GitHub], str], report: Path) -> None:
    server, url = github
    server.comments.append(make_comment("somebody", 0, comment.MARKER + "\nnot ours"))
    server.comments.append({"id": 1, "user": None, "body": comment.MARKER})  # of a deleted account
    assert post(url, report) == ""
    assert server.calls == ["POST"]


def test_errors_are_one_line(github: tuple[type[GitHub], str], report: Path) -> None:
    _, url = github
    assert (
        post(url, report, branch="somebody:else") == "error: review.comment: somebody:else has no open pull request\n"
    )
    assert post(url, report, token="wrong") == "error: review.comment: HTTP Error 401: Unauthorized\n"
    assert "Connection refused" in post("http://127.0.0.1:9", report)
