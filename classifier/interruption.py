"""Ctrl-C during a training."""

import signal
from typing import Any

import keras


class Interruption(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Raises KeyboardInterrupt between two calls of TensorFlow, which can crash if it is interrupted within one.

    A second Ctrl-C is not held back. release() restores the handler that was there before.
    """

    def __init__(self) -> None:
        super().__init__()
        self._requested = False
        self._handler = signal.getsignal(signal.SIGINT)
        if self._handler is signal.default_int_handler:  # else it is ignored, as in the background
            signal.signal(signal.SIGINT, self._request)

    def release(self) -> None:
        signal.signal(signal.SIGINT, self._handler)

    def _request(self, *_: Any) -> None:
        self._requested = True
        self.release()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._requested:
            where = f"in epoch {self._epoch} of {self.params['epochs']}"
            raise KeyboardInterrupt(f"{where}; the same command goes on after epoch {self._epoch - 1}")

    on_test_batch_end = on_train_batch_end
