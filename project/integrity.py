"""Hash DVC's cache and the outputs of the stages, and remove what is damaged.

    python -m project.integrity

DVC trusts its cache and what it has hashed before: a file that a disk damaged is checked out and called up to date, and
a stage that makes it again ends with the damaged copy. This computes the hash of everything in the cache, and of every
output that DVC calls up to date. It removes what has another hash, and copies into the cache again what is still there
as an output. An output that DVC itself calls modified is left alone. A corrupt lock file of DVC is removed as well.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dvc.repo import Repo
from dvc.utils import dict_sha256
from dvc_data.hashfile.state import StateNoop
from tqdm import tqdm

from classifier import artifacts
from classifier.errors import UserError
from classifier.params import load_yaml
from project import cli
from project.lock import only_stage
from project.repository import open_repo

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")  # its hash without the first two digits, which are the name of its folder


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("--quiet", action="store_true", help="print nothing if nothing is damaged")
    quiet = parser.parse_args().quiet
    removed = 0
    with open_repo() as repo, repo.lock, only_stage():  # neither DVC nor a stage changes the outputs meanwhile
        remove_corrupt(Path(repo.tmp_dir, "rwlock"))
        for path in remove_damaged(repo):
            print(f"{os.path.relpath(path)} was damaged: removed")
            removed += 1
    if removed:
        print("dvc repro makes again what was removed; dvc pull fetches it from the remote, if there is one")
    elif not quiet:
        print("The cache and the outputs are not damaged")


def remove_damaged(repo: Repo) -> Iterator[Path]:
    """Remove the damaged files of the cache and the damaged outputs; yields the path of each."""
    cache = repo.cache.local
    objects = [(path, _is_object) for path in Path(cache.path).glob("??/*") if OBJECT.fullmatch(path.name)]
    runs = [(path, _is_run) for path in Path(repo.stage_cache.cache_dir).glob("??/*/*")]
    for path, is_whole in tqdm([*objects, *runs], desc="hashing the cache", unit="file", leave=False, disable=None):
        if path.is_file() and not is_whole(path):
            artifacts.remove(path)
            yield path
    outputs = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.exists]
    broken = [out for out in outputs if _is_broken_link(Path(out.fs_path))]
    unchanged = [out for out in outputs if out not in broken and not out.changed_checksum()]
    cache.state = StateNoop()  # from here on, DVC computes every hash and looks up none
    for out in [*broken, *unchanged]:
        if out in broken or out.changed_checksum():
            artifacts.remove(Path(out.fs_path))
            yield Path(out.fs_path)
        elif out.changed_cache():
            out.commit(relink=False)


def remove_corrupt(lock: Path) -> None:
    """Remove a lock file of DVC's that is no JSON: DVC was killed in writing it, and could not go on with it."""
    with suppress(FileNotFoundError):
        try:
            json.loads(lock.read_bytes())
        except ValueError:
            lock.unlink()


def _is_object(path: Path) -> bool:
    """Whether a copy of an output has the hash that is its name."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return digest == path.parent.name + path.name.removesuffix(".dir")


def _is_run(path: Path) -> bool:
    """Whether an entry of the run cache, the inputs and outputs of a finished stage, has the hash that is its name."""
    try:
        return bool(dict_sha256(load_yaml(path), exclude=["size", "nfiles"]) == path.name)
    except (UserError, AttributeError, TypeError):
        return False


def _is_broken_link(path: Path) -> bool:
    """Whether a file, or one in a folder, is a link to an object that is not in the cache any more."""
    return any(each.is_symlink() and not each.exists() for each in (path, *path.rglob("*")))


if __name__ == "__main__":
    with cli.one_line_errors("project.integrity"):
        main()
