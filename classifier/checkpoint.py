"""The state of a training after each epoch, in a file from which an interrupted training goes on."""

import hashlib
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from pydantic import BaseModel

from classifier import artifacts
from classifier.dataset import Split
from classifier.provenance import Inputs
from classifier.tables import CURVES


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Saves a training's state after each epoch, and restores it in another run of the same training.

    The state consists of the weights, the optimizer's variables, the seeds of dropout and the learning curves. The
    order of the images and their augmentation have no state: they depend on the seed and the epoch's number alone.
    """

    def __init__(self, path: Path, identity: str) -> None:
        """identity: a hash of everything that determines the training's result; see identity()."""
        super().__init__()
        self.path = path
        self.identity = identity
        self._curves: list[list[float]] = []

    def restore(self, model: keras.Model) -> list[list[float]]:
        """Restore the state of a compiled model; returns the values of tables.CURVES for each epoch done so far.

        A file that belongs to another training or is broken is not used, and a line on stdout says so.
        """
        if not self.path.exists():
            return []
        variables = _variables(model)
        try:
            with np.load(self.path, allow_pickle=False) as saved:
                if str(saved["identity"]) != self.identity:
                    print(f"{self.path} belongs to other code, params or data, or to other hardware: not used")
                    return []
                curves = saved["curves"].tolist()
                state = [saved[f"variable{number}"] for number in range(len(variables))]
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


def location(default: Path, identity: str) -> Path:
    """Where a training's state is saved: at the default, or in the folder that the variable CHECKPOINTS names.

    The variable is set for trainings in a temporary copy of the project, whose files are lost with the copy.
    """
    folder = os.environ.get("CHECKPOINTS")
    return Path(folder, f"{identity[:16]}.checkpoint") if folder else default


def identity(settings: list[BaseModel], splits: list[Split], inputs: Inputs, arithmetic: str) -> str:
    """A hash of what determines the bits of a training: params, data, code, libraries, CPU and number of devices.

    inputs: whose modules are the code. arithmetic: the fingerprint of the CPU's operations.
    """
    digest = hashlib.sha256(json.dumps([each.model_dump() for each in settings]).encode())
    for split in splits:
        for array in split:
            digest.update(np.ascontiguousarray(array).data)
    digest.update(inputs.code_hash().encode())
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    digest.update(f"{tf.__version__} {keras.version()} {np.__version__} {arithmetic} {devices}".encode())
    return digest.hexdigest()


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
