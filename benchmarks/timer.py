"""The time of each epoch."""

import time
from typing import Any

import keras


class EpochTimer(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Collects the wall-clock seconds of each epoch in `seconds`."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)
