"""Tell whether the results of a revision belong to its code and params; exit with 1 if they do not.

    python -m review.stale [REVISION]

`dvc status` asks for the data as well, which a clone without a cache lacks. This needs git alone: what is in git is
compared with dvc.lock, and what is not, between the lines of dvc.lock.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from dvc.repo import Repo

from classifier import cli
from review.repository import WORKSPACE, opened, switched


def stale(repo: Repo) -> list[str]:
    """What keeps the results of the repo's current revision from being up to date, a line a stage; none: they are."""
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
    parser = argparse.ArgumentParser(description=inspect.getdoc(sys.modules["__main__"]))
    parser.add_argument("revision", nargs="?", default=WORKSPACE, metavar="REVISION")
    name = parser.parse_args().revision
    with opened() as repo, switched(repo, name):
        found = stale(repo)
    if found:
        print("\n".join([f"The results of {name} are stale; run dvc repro and commit what it makes:", *found]))
        sys.exit(1)
    print(f"The results of {name} are up to date")


if __name__ == "__main__":
    with cli.one_line_errors("review.stale"):
        main()
