"""A lock that lets only one stage at a time run in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zc.lockfile

from classifier.errors import UserError

LOCK = Path(".dvc/tmp/stage.lock")


@contextmanager
def only_stage() -> Iterator[None]:
    """Hold the lock. DVC has one of its own, but does not hold it while a stage runs, which may also outlive its DVC.

    Raises:
        UserError: a stage is running, or the lock cannot be written.
    """
    try:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        lock = zc.lockfile.LockFile(str(LOCK), content_template="process {pid} on {hostname}")
    except zc.lockfile.LockError:
        holder = LOCK.read_text(encoding="utf-8").strip()
        raise UserError(f"a stage is running in this folder, {holder}; wait until it has ended, or end it") from None
    except OSError as error:
        raise UserError(f"cannot write {LOCK}: {error.strerror}") from error
    try:
        yield
    finally:
        lock.close()
