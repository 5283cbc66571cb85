"""Damage in DVC's cache, found by `make repro`: the results are again those of dvc.lock.

A file of the cache is damaged, the output of which it is a copy is removed, and DVC checks the damaged copy out.
"""

import random
import stat
from collections.abc import Callable, Iterator

from tests.conftest import Project
from tests.faults.outcome import Outcome

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut to half": lambda content: content[: len(content) // 2],
    "emptied": lambda content: b"",
    "with a flipped bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
}


def inject(project: Project, seed: int) -> Iterator[Outcome]:
    """Damage the cache of a project, which has results; afterwards they are as they were."""
    expected = project.snapshot()
    generator = random.Random(seed)
    for name, damage in DAMAGES.items():
        objects = [path for path in project.folder.glob(".dvc/cache/files/md5/??/*") if path.stat().st_size > 1]
        damaged = generator.sample(sorted(objects), 3)
        for path in damaged:
            content = damage(path.read_bytes())
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
            path.write_bytes(content)
            path.chmod(0o444)
        for output in expected:
            if output.startswith(("data/", "models/")) and not output.endswith(".gitignore"):
                (project.folder / output).unlink()
        project.dvc("checkout", check=False)
        again = project.run("make", "repro", check=False)
        status = project.dvc("status", "--json", check=False).strip()
        same = again.returncode == 0 and project.snapshot() == expected and status == "{}"
        result = "identical results after make repro" if same else f"other results, or an error: {again.stderr[-300:]}"
        yield Outcome(f"{len(damaged)} files of the cache {name}", result, same)
