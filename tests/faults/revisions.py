"""Hostile revisions, made by Hypothesis from the committed one. A review reports, or refuses with a one-line error.

    python -m tests.faults.revisions FOLDER --count N --seed S

commits changed files in the clone at FOLDER, and reviews each commit. No review may reach the network, take longer than
LONGEST seconds, or make a report that loads anything but its own pictures. It is a separate process, so that a crash of
Python is reported, too.
"""

import faulthandler
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis
import matplotlib.pyplot as plt
from hypothesis import strategies as st
from ruamel.yaml import YAML

from classifier import figures
from classifier.errors import UserError
from review import __main__ as review
from tests.conftest import ROOT, Project
from tests.faults import generated
from tests.faults.inputs import EDITS, apply_edit
from tests.faults.outcome import Outcome
from tests.servers import CountingServer, serve

LONGEST = 20  # seconds
DRAWN = 20  # of so many reviews, one draws its pictures, which take most of the time
PATTERNS = ("params.yaml", "dvc.yaml", "dvc.lock", "metrics/*.*", "plots/*.*", "metrics/seeds/*")
ADDRESS = re.compile(r"""<[^>]*?\b(?:src|href|data|action|content)="(?!default-src )(?!\w+\.png")([^"]*)""", re.ASCII)

SERVER = "http://127.0.0.1:{}"  # counts requests
TEXTS = st.sampled_from(
    [
        f"![x]({SERVER}/x.png)", f"<img src={SERVER}/x>", f"<script src='{SERVER}/x'></script>", f"{SERVER}/x",
        f"[x]({SERVER}/x)", f"ssh://127.0.0.1/{SERVER}", "s3://bucket/x", "@everyone", "<!--", "-->", "|", "`", "$x_$",
        "../../../etc/passwd", "/etc/passwd", "/dev/zero", "file:///etc/passwd", "remote://storage/x", "${x}", "a\nb",
        "", "\x1b[2J", "\u202e", "\ud800", "nan", "x" * 5000, "--output=/tmp/x", "\0", "NA", "0" * 400,
        "1e100", "-1e200", "1e-100",
    ]
)  # fmt: skip
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([10**400, 2**63, -1e308, 1e999])
    | st.floats(allow_nan=True),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)  # fmt: skip
# What takes the place of a file, in git's modes: a link, a file or another repository's commit
REPLACEMENTS = st.sampled_from(
    [
        ("120000", b"/etc/passwd"), ("120000", b"../../.git/config"), ("120000", b"/dev/zero"), ("100644", b""),
        ("160000", b""), ("100644", b"[" * 5000), ("100644", b"\n" * 200_000), ("100644", b"a: &a [*a]\n"),
        ("100644", b"a: 2001-99-99\nb: !!int x\n"), ("100644", b"{" * 5000), ("100644", bytes(1 << 20)),
    ]
)  # fmt: skip
DVC_FILES = {
    "x.dvc": f"deps:\n- path: x\n  repo:\n    url: {SERVER}/x.git\nouts:\n- path: x\n  md5: {'0' * 32}\n",
    "y.dvc": f"deps:\n- path: {SERVER}/y\nouts:\n- path: y\n",
    "z.dvc": "][",
    "sub/dvc.yaml": f"stages:\n  x:\n    cmd: exit 1\n    deps: ['{SERVER}/x']\n",
    ".dvc/config": f"['remote \"s\"']\n    url = {SERVER}/x\n[core]\n    remote = s\n    autostage = true\n",
    ".gitmodules": f'[submodule "x"]\n\tpath = x\n\turl = {SERVER}/x.git\n',
    ".gitattributes": "* filter=x diff=x\n",
}

Change = tuple[str, float, Any]  # what is changed, where, and how; see changed()
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("bytes"), st.floats(0, 1), EDITS),
        st.tuples(st.just("value"), st.floats(0, 1), VALUES),
        st.tuples(st.just("key"), st.floats(0, 1), TEXTS),
        st.tuples(st.just("dep"), st.floats(0, 1), TEXTS | VALUES),
        st.tuples(st.just("cell"), st.floats(0, 1), TEXTS),
        st.tuples(st.just("everywhere"), st.floats(0, 1), TEXTS),
        st.tuples(st.just("file"), st.floats(0, 1), REPLACEMENTS),
        st.tuples(st.just("remove"), st.floats(0, 1), st.none()),
        st.tuples(st.just("add"), st.floats(0, 1), st.sampled_from(sorted(DVC_FILES.items()))),
    ),
    min_size=1,
    max_size=3,
)


def pick(items: list[Any], where: float) -> Any:
    return items[min(int(where * len(items)), len(items) - 1)]


def places(content: Any) -> list[tuple[Any, Any]]:
    """All containers with a key or index of each, in nested dicts and lists."""
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    return [place for key in keys for place in ((content, key), *places(content[key]))]


def edit_structure(path: Path, how: str, where: float, value: Any) -> None:
    """Change a value or a key of a YAML or JSON file, or add a dep to a stage of dvc.yaml."""
    yaml = YAML(typ="safe", pure=True)
    content = json.loads(path.read_text()) if path.suffix == ".json" else yaml.load(path)
    container, key = pick(places(content), where)
    if how == "dep":
        container, key = pick([(stage, "deps") for stage in content["stages"].values()], where)
        value = [*container[key], value]
    if how == "key" and isinstance(container, dict):
        container[value] = container.pop(key)
    else:
        container[key] = value
    with path.open("w", encoding="utf-8", errors="surrogatepass") as stream:
        json.dump(content, stream) if path.suffix == ".json" else yaml.dump(content, stream)


def edit_cell(path: Path, where: float, value: str) -> None:
    """Change a cell of a table."""
    cells = re.split(r"([,\n])", path.read_text())
    cells[min(int(where * len(cells)) // 2 * 2, len(cells) - 1)] = json.dumps(value)
    path.write_text("".join(cells), encoding="utf-8", errors="surrogatepass")


def change(folder: Path, kind: str, where: float, how: Any, server: str) -> None:
    """Change a file of a clone, and git's index."""

    def fill(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(SERVER, server)
        if isinstance(value, list):
            return [fill(item) for item in value]
        return {fill(key): fill(item) for key, item in value.items()} if isinstance(value, dict) else value

    paths = sorted(path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file())
    suffixes = {"value": (".yaml", ".lock", ".json"), "key": (".yaml", ".lock", ".json"), "cell": (".csv",)}
    path: Path = pick([path for path in paths if path.suffix in suffixes.get(kind, path.suffix)], where)
    position = where * 997 % 1  # within the file
    if kind == "bytes":
        path.write_bytes(apply_edit(path.read_bytes(), (how[0], position, how[2])))
    elif kind in ("value", "key", "dep"):
        with suppress(Exception):  # an earlier change may have left nothing to parse
            edit_structure(folder / "dvc.yaml" if kind == "dep" else path, kind, position, fill(how))
    elif kind == "cell":
        edit_cell(path, position, fill(how))
    elif kind == "everywhere":  # in place of a class, so that the files still belong together
        for each in paths:
            if each.suffix in (".yaml", ".lock", ".csv"):
                text = each.read_text()
                quoted = json.dumps(fill(how))
                each.write_text(text.replace("Ankle boot", quoted), encoding="utf-8", errors="surrogatepass")
    elif kind == "remove":
        path.unlink()
    elif kind == "add":
        added = folder / how[0]
        added.parent.mkdir(exist_ok=True)
        added.write_text(fill(how[1]))
    elif kind == "file" and how[0] == "100644":
        path.write_bytes(how[1])
    elif kind == "file":
        path.unlink()
        path.symlink_to(how[1].decode()) if how[0] == "120000" else None
        if how[0] == "160000":
            link = f"160000,{'1' * 40},{path.relative_to(folder)}"
            subprocess.run(["git", "update-index", "--cacheinfo", link], cwd=folder, check=True)
            return
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True, capture_output=True)


def inject(folder: Path, count: int, seed: int) -> Iterator[Outcome]:
    """Review hostile revisions in a clone of this repository, which is made in a folder."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    line, problem = generated.run("tests.faults.revisions", str(folder), count, seed, ROOT)
    yield Outcome("reviews of hostile revisions", f"{line}: {problem}" if problem else line, not problem)
    shutil.rmtree(folder)


def main() -> None:
    parser = generated.parser()
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    clone = Project(options.folder.resolve())
    os.chdir(clone.folder)
    clone.git("checkout", "-qB", "start")
    connections: list[object] = []
    outcomes: Counter[str] = Counter()
    slowest = 0.0

    def refuse(self: socket.socket, address: object) -> None:
        connections.append(address)
        raise OSError("the network is off")

    def draw(path: Path, figure: Any) -> None:
        if outcomes.total() % DRAWN == 0:
            write(path, figure)

    def review_hostile(changes: list[Change]) -> None:
        nonlocal slowest
        for kind, where, how in changes:
            change(clone.folder, kind, where, how, server)
        clone.git("commit", "-q", "--allow-empty", "-m", "hostile")
        hostile = clone.git("rev-parse", "HEAD")
        clone.git("reset", "-q", "--hard", "HEAD^")
        clone.git("clean", "-qffd")
        faulthandler.dump_traceback_later(3 * LONGEST, exit=True)
        start = time.monotonic()
        with (
            mock.patch.object(sys, "argv", ["review", "start", hostile]),
            mock.patch.object(socket.socket, "connect", refuse),
            mock.patch.object(socket.socket, "connect_ex", refuse),
            mock.patch.object(socket, "getaddrinfo", refuse),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            try:
                review.main()
                outcomes["reported"] += 1
                page = (clone.folder / "report/report.html").read_text(encoding="utf-8")
                assert not ADDRESS.findall(page), ADDRESS.findall(page)
            except UserError as error:
                assert "\n" not in str(error), str(error)
                outcomes["refused with a one-line error"] += 1
        seconds = time.monotonic() - start
        slowest = max(slowest, seconds)
        faulthandler.cancel_dump_traceback_later()
        plt.close("all")
        assert seconds < LONGEST, f"{seconds:.0f} s"
        assert not connections and not counter.requests, f"network: {connections}, {counter.requests} requests"

    write, counter = figures.write, CountingServer()
    with (
        serve(counter) as server,
        mock.patch.object(figures, "write", draw),
        mock.patch("gc.collect", lambda: 0),  # statsmodels collects garbage whenever it corrects p-values: 0.1 s
    ):
        review_hostile([])
        assert outcomes.pop("reported", 0), "a revision without changes is refused"
        hypothesis.seed(options.seed)(generated.settings(options.count)(hypothesis.given(CHANGES)(review_hostile)))()
    counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
    print(f"{outcomes.total()} revisions: {counts}; no request; the slowest took {slowest:.0f} s")


if __name__ == "__main__":
    main()
