"""Check whether the results of a revision belong to its code and params; exit with status 1 if they do not.

    python -m project.stale [REVISION]

`dvc status` needs the data as well, which a clone without a cache lacks. This needs git alone: files in git are
compared with dvc.lock, and for files in the cache, the entries of dvc.lock are compared with each other.
"""

import sys
from collections.abc import Iterator
from typing import Any

from dvc.repo import Repo

from project import cli
from project.repository import WORKSPACE, at_revision, open_repo


def stale(repo: Repo) -> list[str]:
    """Why the results of the repo's current revision are stale: one line per stage, none if they are up to date."""
    made = {out.def_path: out for stage in repo.index.stages for out in stage.outs}
    return [
        f"{stage.name}: {', '.join(found)}" for stage in repo.index.stages if (found := list(_changes(stage, made)))
    ]


def _changes(stage: Any, made: dict[str, Any]) -> Iterator[str]:
    if stage.changed_stage():
        yield "its command changed"
    for item in (*stage.deps, *stage.outs):
        source = made.get(item.def_path)
        if source and item.hash_info != source.hash_info:
            yield f"{item.def_path} is not what {source.stage.name} made"
            continue
        for path, how in item.status().items():
            if isinstance(how, dict):  # params
                yield from (f"param {key} {change}" for key, change in how.items())
            elif not (source and source.use_cache and how in ("deleted", "not in cache")):
                yield f"{path} {how}"


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("revision", nargs="?", default=WORKSPACE, metavar="REVISION")
    name = parser.parse_args().revision
    with open_repo() as repo, at_revision(repo, name):
        found = stale(repo)
    if found:
        print("\n".join([f"The results of {name} are stale; run dvc repro and commit what it writes:", *found]))
        sys.exit(1)
    print(f"The results of {name} are up to date")


if __name__ == "__main__":
    with cli.one_line_errors("project.stale"):
        main()
