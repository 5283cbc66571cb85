"""Ctrl-C, and the signals that ask a process to end, during a training."""

import signal
from typing import Any

import keras

# Ctrl-C; a terminal or connection that closes; kill, systemd, a queue or a cluster's scheduler. Windows lacks SIGHUP
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGHUP", "SIGTERM") if hasattr(signal, name)]


class Interruption(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Raises KeyboardInterrupt between two calls of TensorFlow, which can crash if it is interrupted within one.

    A second signal is not held back. release() restores the handlers that were there before. A signal that is ignored
    stays so, as Ctrl-C is for processes in the background and SIGHUP under nohup.
    """

    def __init__(self) -> None:
        super().__init__()
        self._requested = False
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}
        for number, handler in self._handlers.items():
            if handler in (signal.default_int_handler, signal.SIG_DFL):
                signal.signal(number, self._request)

    def release(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

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
