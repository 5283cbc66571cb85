"""Check whether the results of a revision belong to its code and params; exit with status 1 if they do not.

    python -m project.stale [REVISION]

`dvc status` needs the data as well, which a clone without a cache lacks. This needs git alone: files in git are
compared with dvc.lock, and for files in the cache, the entries of dvc.lock are compared with each other.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from classifier.errors import UserError
from classifier.params import PARAMS
from project import cli, paths
from project.repository import WORKSPACE
from project.snapshot import (
    DESCRIBING,
    MOST,
    Description,
    Item,
    Locked,
    Snapshot,
    Stage,
    describe,
    is_inside,
    md5,
    snapshot,
)

MISSING = object()
OUTSIDE = "is outside of the repository, which is not supported"


def stale(files: Snapshot, description: Description) -> list[str]:
    """Why the results of a revision are stale: one line per stage, none if they are up to date.

    description: what its files say, as by project.snapshot.describe.

    What is not supported here counts as stale: deps and outputs outside of the repository, and files of DVC's other
    than dvc.yaml and dvc.lock in the top folder.
    """
    params, declared, locked = description
    made = {item.path: (name, item.md5) for name, stage in locked.items() for item in stage.outs}
    found = []
    for name, stage in declared.items():
        if name not in locked:
            found.append(f"{name}: was never run")
        elif changes := list(_changes(stage, locked[name], params, made, files)):
            found.append(f"{name}: {', '.join(changes)}")
    others = [path for path in files.files() if path.suffix == ".dvc" or path.name == paths.DVC_YAML.name]
    return found + [f"{path}: not supported" for path in others if path != paths.DVC_YAML]


def _changes(
    stage: Stage, locked: Locked, params: Any, made: dict[str, tuple[str, str | None]], files: Snapshot
) -> Iterator[str]:
    if stage.cmd != locked.cmd:
        yield "its command changed"
    deps = {item.path: item for item in locked.deps}
    for name in stage.deps:
        if not is_inside(name):
            yield f"{name} {OUTSIDE}"
        elif name not in deps:
            yield f"{name} is a new dep"
        elif name in made and deps[name].md5 != made[name][1]:
            yield f"{name} is not what {made[name][0]} made"
        elif name not in made or files.has(Path(name)):
            yield from _difference(deps[name], files)
    # DVC does not run a stage again for this reason
    yield from (f"{name} is no dep any more (dvc commit removes it)" for name in deps if name not in stage.deps)
    yield from _params(stage, locked, params)
    outs = {item.path: item for item in locked.outs}
    for name, cached in stage.outputs().items():
        if not is_inside(name):
            yield f"{name} {OUTSIDE}"
        elif name not in outs:
            yield f"{name} is a new output"
        elif not cached:
            yield from _difference(outs[name], files)


def _params(stage: Stage, locked: Locked, params: Any) -> Iterator[str]:
    known = locked.params.get(str(PARAMS), {})
    for key in stage.params:
        if not isinstance(key, str):
            yield f"params in {next(iter(key))} are not supported"
        elif key not in known:
            yield f"param {key} is new"
        elif (value := _value(params, key)) != known[key]:
            yield f"param {key} {'deleted' if value is MISSING else 'modified'}"


def _value(params: Any, key: str) -> Any:
    """The value at a key such as train.epochs."""
    for part in key.split("."):
        if not isinstance(params, dict) or part not in params:
            return MISSING
        params = params[part]
    return params


def _difference(item: Item, files: Snapshot) -> Iterator[str]:
    """Whether a file or folder in git is another one than in dvc.lock."""
    if len(files.files(Path(item.path))) > MOST:
        yield f"{item.path} has more than {MOST} files, which is not supported"
        return
    path = Path(item.path)
    found = _folder_hash(files, path) if (item.md5 or "").endswith(".dir") else files.md5(path)
    if found is None:
        yield f"{item.path} deleted"
    elif found != item.md5:
        yield f"{item.path} modified"


def _folder_hash(files: Snapshot, folder: Path) -> str | None:
    """The hash that DVC gives to a folder: of a JSON list of its files with their hashes."""
    entries = [{"md5": files.md5(path), "relpath": path.relative_to(folder).as_posix()} for path in files.files(folder)]
    existing = [entry for entry in entries if entry["md5"]]
    if not existing:
        return None
    text = json.dumps(sorted(existing, key=lambda entry: str(entry["relpath"])), sort_keys=True)
    return md5(text.encode()) + ".dir"


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("revision", nargs="?", default=WORKSPACE, metavar="REVISION")
    name = parser.parse_args().revision
    files = snapshot(name)
    try:
        with files.extracted(DESCRIBING) as folder:
            found = stale(files, describe(folder))
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    if found:
        head = f"The results of {name} are stale; run dvc repro and commit what it writes:"
        print(cli.printable("\n".join([head, *(" ".join(line.split()) for line in found)])))
        sys.exit(1)
    print(f"The results of {name} are up to date")


if __name__ == "__main__":
    with cli.one_line_errors("project.stale"):
        main()
