"""The files of a commit or of the working tree, and the stages that its dvc.yaml and dvc.lock describe.

Only git's objects and the working tree are read: no network, no DVC cache, and no code of a revision is run. DVC's own
reader would open what a hostile dvc.yaml points to.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

from dvc.scm import SCM, RevError, resolve_rev
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from classifier.errors import UserError
from classifier.params import PARAMS, load_yaml
from project import paths
from project.repository import INCOMPLETE, WORKSPACE, git_offline, unknown_revision

LARGEST = 50 * 2**20  # bytes, of all results of a revision; what the stages write into git is far smaller
MOST = 300  # files, of a folder; git is called for each
DESCRIBING = (PARAMS, paths.DVC_YAML, paths.DVC_LOCK)


class Blob(NamedTuple):
    """A regular file of a commit. name: its hash in git. size: bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Snapshot:
    """name: as the user gave it. commit: None for the working tree."""

    name: str
    commit: str | None

    def read(self, path: Path) -> bytes | None:
        """A file's content; None if there is no such file, or if it is a link or not a regular file.

        Raises:
            UserError: the file is too large to be a result.
        """
        if not self._has_file(path):
            return None
        blob = self._files.get(path)
        return _content(blob.name) if blob else path.read_bytes()

    def md5(self, path: Path) -> str | None:
        """The MD5 of a file's content; None as for read.

        Raises:
            UserError: as by read.
        """
        if not self._has_file(path):
            return None
        blob = self._files.get(path)
        return _md5_of_blob(blob.name) if blob else md5(path.read_bytes())

    def files(self, folder: Path = Path()) -> list[Path]:
        """The files below a folder that git tracks or, in the working tree, would track; in order."""
        below = f"{folder}/" if folder.name else ""
        return [path for path in self._files if str(path).startswith(below)]

    def has(self, path: Path) -> bool:
        """Whether git tracks, or would track, a file of this path or files below it."""
        return path in self._files or bool(self.files(path))

    @contextmanager
    def extracted(self, wanted: Sequence[Path]) -> Iterator[Path]:
        """A temporary folder with those of the wanted files that there are; errors do not name it.

        Raises:
            UserError: the files are too many or too large to be results.
        """
        if len(wanted) > MOST:
            raise UserError(f"{self.name} has {len(wanted):,} files of results, more than {MOST:,}")
        total = 0
        with tempfile.TemporaryDirectory() as temporary:
            for path in wanted:
                content = self.read(path)
                if content is not None:
                    total += len(content)
                    if total > LARGEST:
                        raise UserError(f"the results of {self.name} have more than {LARGEST:,} bytes")
                    target = Path(temporary, path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
            try:
                yield Path(temporary)
            except UserError as error:
                raise UserError(str(error).replace(f"{temporary}/", "")) from error

    def _has_file(self, path: Path) -> bool:
        """Whether there is a regular file of this path.

        Raises:
            UserError: it is too large to be a result.
        """
        if self.commit is None:
            size = path.stat().st_size if path.is_file() and not path.is_symlink() else None
        else:
            blob = self._files.get(path)
            size = blob.size if blob else None
        if size is not None and size > LARGEST:
            raise UserError(f"{path} of {self.name} has {size:,} bytes, too many for a result")
        return size is not None

    @cached_property
    def _files(self) -> dict[Path, Blob | None]:
        """All files, in order; those of the working tree, and what is not a regular file, without a blob."""
        if self.commit is None:
            listed = _listed("ls-files", "--cached", "--others", "--exclude-standard")
            return dict.fromkeys(sorted({Path(name) for name in listed}))
        entries = map(_entry, _listed("ls-tree", "-r", "--long", self.commit))
        return {
            path: blob
            for path, blob in sorted(entries, key=itemgetter(0))
            if not path.is_absolute() and ".." not in path.parts
        }


def snapshot(name: str) -> Snapshot:
    """The snapshot of a branch, a tag, a commit, a DVC experiment or the workspace.

    Raises:
        UserError: there is no such revision, or the current folder is not the top folder of a git repository.
    """
    if not paths.DVC_YAML.exists() or not Path(".git").exists():
        raise UserError("this is not a DVC project in a git repository; run from the project's top folder")
    if name == WORKSPACE:
        return Snapshot(name, None)
    try:
        return Snapshot(name, resolve_rev(SCM("."), name))
    except (RevError, ValueError):  # a name may be no text
        raise UserError(unknown_revision(name)) from None


class _Lenient(BaseModel):
    """A part of a file of DVC's, of which only the declared keys matter."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Item(_Lenient):
    """A dep or output in dvc.lock."""

    path: str
    md5: str | None = None


class Locked(_Lenient):
    """A stage in dvc.lock."""

    cmd: str | list[str]
    deps: list[Item] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[Item] = []


# Paths, or paths with their settings
Outputs = list[str | dict[str, dict[str, Any] | None]]


class Stage(BaseModel):
    """A stage in dvc.yaml, as far as it is supported."""

    model_config = ConfigDict(extra="forbid", strict=True)

    cmd: str | list[str]
    desc: str = ""
    deps: list[str] = []
    params: list[str | Annotated[dict[str, Any], Field(min_length=1)]] = []
    outs: Outputs = []
    metrics: Outputs = []
    plots: Outputs = []

    def outputs(self) -> dict[str, bool]:
        """Whether each output is in DVC's cache, by its path."""
        found: dict[str, bool] = {}
        for item in (*self.outs, *self.metrics, *self.plots):
            settings = item if isinstance(item, dict) else {item: {}}
            found |= {path: (how or {}).get("cache", True) is not False for path, how in settings.items()}
        return found


STAGES = TypeAdapter(dict[str, Stage])
LOCK = TypeAdapter(dict[str, Locked])


class Description(NamedTuple):
    """What a revision says of itself. params: of params.yaml. stages: of dvc.yaml.

    locked: what dvc.lock says of these stages and their outputs; what it says of others, DVC ignores.
    """

    params: Any
    stages: dict[str, Stage]
    locked: dict[str, Locked]


def describe(folder: Path) -> Description:
    """Read params.yaml, dvc.yaml and dvc.lock in a folder.

    Raises:
        UserError: one of them is missing, is not what DVC reads or writes, or uses what is not supported here.
    """
    if missing := [path for path in DESCRIBING if not (folder / path).exists()]:
        raise UserError(f"{missing[0]} is missing")
    stages, locked = _parsed(STAGES, folder / paths.DVC_YAML), _parsed(LOCK, folder / paths.DVC_LOCK)
    declared = {
        name: stage.model_copy(update={"outs": [item for item in stage.outs if item.path in stages[name].outputs()]})
        for name, stage in locked.items()
        if name in stages
    }
    return Description(load_yaml(folder / PARAMS), stages, declared)


def is_inside(path: str) -> bool:
    """Whether the path of a dep or output is that of a file in the repository."""
    pure = PurePosixPath(path)
    return path.isprintable() and "://" not in path and not pure.is_absolute() and ".." not in pure.parts


def _parsed(kind: TypeAdapter[Any], path: Path) -> Any:
    content = load_yaml(path)
    if isinstance(content, dict) and "vars" in content:
        raise UserError(f"{path.name}: vars: not supported")
    if "${" in str(content):
        raise UserError(f"{path.name}: ${{…}}: not supported")
    try:
        return kind.validate_python(content.get("stages", {}) if isinstance(content, dict) else content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        problem = "not supported" if first["type"] == "extra_forbidden" else first["msg"]
        raise UserError(f"{path.name}: stages.{where}: {problem}") from None


def _listed(*arguments: str) -> list[str]:
    """The entries that a command of git prints, separated by zero bytes."""
    command, *options = arguments
    return [entry for entry in git_offline(command, "-z", *options).decode(errors="replace").split("\0") if entry]


def _entry(line: str) -> tuple[Path, Blob | None]:
    """An entry of a commit's tree. One that was made by hand can have a path that leads out of the folder."""
    about, _, path = line.partition("\t")
    mode, _, name, size = about.split()
    if not mode.startswith("100"):
        return Path(path), None
    if not size.isdecimal():
        raise UserError(INCOMPLETE)
    return Path(path), Blob(name, int(size))


def _content(blob: str) -> bytes:
    return git_offline("cat-file", "blob", blob)


@cache  # most files of two revisions are the same, and stages share deps
def _md5_of_blob(blob: str) -> str:
    return md5(_content(blob))


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
