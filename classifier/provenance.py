"""The params and the code that a stage begins with.

DVC records in dvc.lock the params and the code that it finds when a stage has finished. After an edit or a git checkout
during the stage, dvc.lock would attribute the results to params or code that never made them.
"""

import hashlib
import sys
from pathlib import Path

from classifier.errors import UserError
from classifier.params import PARAMS


class Inputs:
    """The content of params.yaml and of the modules under classifier/ and stages/, as it was when this was made."""

    def __init__(self) -> None:
        modules = [*Path().glob("classifier/*.py"), *Path().glob("stages/*.py")]
        self._content = {path: path.read_bytes() for path in sorted([PARAMS, *modules]) if path.exists()}

    def check(self) -> None:
        """Make sure that params.yaml and the modules loaded by now are unchanged.

        Raises:
            UserError: one of them has changed or is gone.
        """
        for path in [PARAMS, *self._loaded()]:
            if path in self._content and not (path.exists() and path.read_bytes() == self._content[path]):
                raise UserError(f"{path} has changed since the stage began; put it back, or run dvc repro again")

    def code_hash(self) -> str:
        """The SHA-256 of the modules loaded by now, in hexadecimal digits."""
        digest = hashlib.sha256()
        for path in self._loaded():
            digest.update(self._content[path])
        return digest.hexdigest()

    def _loaded(self) -> list[Path]:
        return [path for path in self._content if ".".join(path.with_suffix("").parts) in sys.modules]
