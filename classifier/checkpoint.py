"""Where an interrupted training goes on: its whole state after each epoch, in a file of its own."""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from pydantic import BaseModel

from classifier import artifacts, cli, runtime
from classifier.dataset import Split
from classifier.results import CURVES


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Keeps a training's state after each epoch, and gives it back to another run of the same training.

    The state is that of the weights, of the optimizer and of dropout, and the curves. The order of the images and
    their augmentation have none: they depend on the seed and the epoch's number alone.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """identity: of everything that decides on the training's bits."""
        super().__init__()
        self.path = path
        self.identity = identity
        self._curves: list[list[float]] = []

    def restore(self, model: keras.Model) -> list[list[float]]:
        """Put a compiled model into the kept state; returns the curves so far: a row of CURVES for each epoch done.

        What belongs to another training or is broken is not taken, and a line says so.
        """
        if not self.path.exists():
            return []
        variables = _variables(model)
        try:
            with np.load(self.path, allow_pickle=False) as kept:
                if str(kept["identity"]) != self.identity:
                    print(f"{self.path} belongs to other code, params or data, or to other hardware: not used")
                    return []
                curves = kept["curves"].tolist()
                state = [kept[f"variable{number}"] for number in range(len(variables))]
            if [value.shape for value in state] != [variable.shape for variable in variables]:
                raise ValueError("the variables have other shapes")
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            print(f"{self.path} is broken: not used ({' '.join(str(error).split())})")
            return []
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        self._curves = curves
        print(f"going on after epoch {len(curves)}, from {self.path}")
        return list(curves)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self._curves.append([float(logs[name]) for name in CURVES])
        state = {f"variable{number}": np.asarray(value) for number, value in enumerate(_variables(self.model))}
        with artifacts.replacing(self.path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, identity=self.identity, curves=np.array(self._curves), **state)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def identity(settings: list[BaseModel], splits: list[Split]) -> str:
    """A hash of all that decides on a training's bits: its params, images and labels, code, libraries, CPU and devices.

    The code is that of this project's modules which are loaded by now.
    """
    digest = hashlib.sha256(json.dumps([each.model_dump() for each in settings]).encode())
    for split in splits:
        for array in split:
            digest.update(np.ascontiguousarray(array).data)
    for content in cli.code().values():
        digest.update(content)
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    digest.update(f"{tf.__version__} {keras.version()} {np.__version__} {runtime.arithmetic()} {devices}".encode())
    return digest.hexdigest()


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
