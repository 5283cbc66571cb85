"""What is damaged in DVC's cache or among the outputs is found and made again, as dvc.lock says."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from classifier.errors import UserError
from project import cli, integrity
from project.lock import only_stage
from project.repository import open_repo
from tests.conftest import ROOT, Project

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # in DVC's own code

DVC_YAML = """
stages:
  file:
    cmd: mkdir -p made && cp source made/file && echo run >> runs
    deps: [source]
    outs: [made/file]
  folder:
    cmd: mkdir -p made/folder && cp made/file made/folder/one && cp source made/folder/two && echo run >> runs
    deps: [made/file]
    outs: [made/folder]
"""
WHOLE = {Path("made/file"): 3000 * b"content\n", Path("made/folder/one"): 3000 * b"content\n"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC project whose two stages have run."""
    project = Project(tmp_path_factory.mktemp("made"))
    (project.folder / "source").write_bytes(3000 * b"content\n")
    (project.folder / "dvc.yaml").write_text(DVC_YAML)
    for name in ("Makefile", "requirements.txt", "requirements", "classifier", "project"):
        (project.folder / name).symlink_to(ROOT / name)
    (project.folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (project.folder / ".venv" / name).symlink_to(Path(sys.prefix) / name)
    (project.folder / ".venv/installed").touch()
    project.git("init", "-q")
    project.dvc("init", "-q")
    project.dvc("repro")
    return project.folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it as the current folder, which DVC has hashed."""
    project = Project(tmp_path / "project")
    shutil.copytree(made, project.folder, symlinks=True)
    monkeypatch.chdir(project.folder)
    assert is_up_to_date()
    return project


def is_up_to_date() -> bool:
    """Whether DVC calls all outputs up to date."""
    with open_repo() as repo:
        return bool(repo.status() == {})


def repro(**options: bool) -> None:
    with open_repo() as repo:
        repo.reproduce(**options)


def copy_of(output: str) -> Path:
    """The copy of an output, or the list of a folder's files, in the cache."""
    stages = YAML(typ="safe").load(Path("dvc.lock"))["stages"].values()
    (md5,) = [out["md5"] for stage in stages for out in stage["outs"] if out["path"] == output]
    return Path(".dvc/cache/files/md5", md5[:2], md5[2:])


def link_outputs(kind: str) -> None:
    """Check the outputs out anew, as links to their copies in the cache. kind: of the link."""
    Path(".dvc/config.local").write_text(f"[cache]\n    type = {kind}\n")
    with open_repo() as repo:
        repo.checkout(relink=True)


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def empty(content: bytes) -> bytes:
    return b""


def damage(path: Path, how: Callable[[bytes], bytes]) -> None:
    """Change a file's content in place. Its mode and times stay, as if a disk did it."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(how(path.read_bytes()))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def remove_damaged() -> list[Path]:
    """Remove what is damaged; returns the paths."""
    with open_repo() as repo:
        return [Path(os.path.relpath(path)) for path in integrity.remove_damaged(repo)]


def assert_whole() -> None:
    """Fail if an output or its copy in the cache is not what the stages wrote."""
    assert {path: path.read_bytes() for path in WHOLE} == WHOLE
    assert copy_of("made/file").read_bytes() == WHOLE[Path("made/file")]
    assert remove_damaged() == []
    assert is_up_to_date()


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run the command in this process; returns its error, or nothing."""
    monkeypatch.setattr(sys, "argv", ["integrity", *arguments])
    try:
        with cli.one_line_errors("project.integrity"):
            integrity.main()
    except SystemExit as end:
        return str(end.code)
    return ""


def test_what_is_not_damaged_is_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.snapshot() | {str(path): path.stat().st_size for path in Path(".dvc/cache").rglob("*")}
    result = project.run(sys.executable, "-m", "project.integrity")
    assert (result.stdout, result.stderr) == ("The cache and the outputs are not damaged\n", "")
    assert run_command(monkeypatch, "--quiet") == ""
    assert capsys.readouterr() == ("", "")
    assert before == project.snapshot() | {str(path): path.stat().st_size for path in Path(".dvc/cache").rglob("*")}


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_make_repro_makes_an_output_again_whose_damaged_copy_was_checked_out(project: Project, link: str) -> None:
    copy, output = copy_of("made/file"), Path("made/file")
    damage(copy, truncate)
    output.unlink()
    link_outputs(link)
    assert len(output.read_bytes()) == 12_000
    assert is_up_to_date()  # DVC does not notice
    if link == "copy":  # by the command; for the others, by the functions that it calls
        printed = project.run("make", "--silent", "repro").stdout
        assert f"{copy} was damaged: removed\n{output} was damaged: removed\n" in printed
    else:
        assert remove_damaged()[:2] == [copy, output]
        repro()
    assert_whole()


@pytest.mark.parametrize("how", [truncate, flip_a_bit, empty])
@pytest.mark.parametrize("output", ["made/file", "made/folder"])
def test_a_damaged_copy_is_made_from_the_output_without_running_a_stage(
    project: Project, output: str, how: Callable[[bytes], bytes]
) -> None:
    copy = copy_of(output)
    whole = copy.read_bytes()
    damage(copy, how)
    assert remove_damaged() == [copy]
    assert copy.read_bytes() == whole
    assert_whole()


@pytest.mark.parametrize("output", ["made/file", "made/folder/one"])
def test_a_damaged_output_is_made_again(project: Project, output: str) -> None:
    damage(Path(output), flip_a_bit)
    assert is_up_to_date()  # DVC does not notice
    removed = Path("made/folder" if "folder" in output else output)
    assert remove_damaged() == [removed]
    assert not removed.exists()
    repro()
    assert_whole()


def test_a_damaged_output_that_is_a_hard_link_is_made_again_with_its_copy(project: Project) -> None:
    link_outputs("hardlink")
    assert Path("made/file").stat().st_ino == copy_of("made/file").stat().st_ino
    damage(Path("made/file"), flip_a_bit)
    assert copy_of("made/file") in remove_damaged()
    repro()
    assert_whole()


def test_an_output_that_was_edited_is_left_to_dvc(project: Project) -> None:
    Path("made/file").write_text("edited")
    assert remove_damaged() == []
    assert Path("made/file").read_text() == "edited"


def test_damaged_results_of_other_revisions_are_removed_before_they_are_used(project: Project) -> None:
    before = copy_of("made/file")
    Path("source").write_text("another source")
    repro()
    assert copy_of("made/file") != before
    damage(before, flip_a_bit)
    Path("source").write_bytes(3000 * b"content\n")
    assert remove_damaged() == [before]
    repro()
    assert_whole()


@pytest.mark.parametrize(
    "how", [truncate, flip_a_bit, empty, lambda content: b"\xff\x00[", lambda content: b"a: 2020-01-01"]
)
def test_a_damaged_entry_of_the_run_cache_is_removed(project: Project, how: Callable[[bytes], bytes]) -> None:
    entries = sorted(Path(".dvc/cache/runs").glob("??/*/*"))
    assert len(entries) == 2
    for entry in entries:
        damage(entry, how if how is not truncate else lambda content: content.partition(b"outs:")[0])
    assert sorted(remove_damaged()) == entries
    repro(force=True)
    assert_whole()


def test_nothing_is_removed_while_dvc_works(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(copy_of("made/file"), truncate)
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0)  # it would wait for 3 s
    with open_repo() as repo, repo.lock:
        error = run_command(monkeypatch)
    assert re.fullmatch(r"error: project\.integrity: Unable to acquire lock\.[^\n]*", error)
    assert copy_of("made/file").exists()


def test_nothing_is_removed_while_a_stage_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(copy_of("made/file"), truncate)
    with only_stage():
        error = run_command(monkeypatch)
    assert error.startswith("error: project.integrity: a stage is running in this folder, process ")
    assert copy_of("made/file").exists()


def test_a_project_that_dvc_cannot_open_is_a_one_line_error(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path(".dvc/config")
    for content, message in (
        ("[core]\n    no_scm = true\n", "core.no_scm is set in DVC's settings"),
        ("<<<<<<< HEAD\n", "config file error"),
    ):
        config.write_text(content)
        assert run_command(monkeypatch).startswith(f"error: project.integrity: {message}")
    config.write_text("")
    shutil.rmtree(".git")
    assert re.fullmatch(r"error: project\.integrity: .* is not a git repository[^\n]*", run_command(monkeypatch))


def test_a_damaged_dvc_lock_is_a_one_line_error(project: Project) -> None:
    Path("dvc.lock").write_text("stages: [")
    with pytest.raises(UserError, match=r"dvc\.lock") as caught:
        remove_damaged()
    assert "\n" not in str(caught.value)


def test_what_a_remote_damaged_is_not_pulled(project: Project, tmp_path: Path) -> None:
    project.run("make", "--silent", "remote", f"URL={os.path.relpath(tmp_path / 'storage', project.folder)}")
    with open_repo() as repo:
        repo.push()
    copy = copy_of("made/file")
    damage(tmp_path / "storage" / copy.relative_to(".dvc/cache"), flip_a_bit)
    shutil.rmtree(".dvc/cache")
    Path("made/file").unlink()
    with pytest.raises(UserError, match="file"), open_repo() as repo:
        repo.pull()
    assert not copy.exists() and not Path("made/file").exists()
    repro()
    assert_whole()


@pytest.mark.parametrize(("content", "kept"), [("{}", True), ('{"a": ', False), ("", False)])
def test_a_lock_that_dvc_was_killed_in_writing_is_removed(tmp_path: Path, content: str, kept: bool) -> None:
    lock = tmp_path / "rwlock"
    integrity.remove_corrupt(lock)
    lock.write_text(content)
    integrity.remove_corrupt(lock)
    assert lock.exists() == kept
