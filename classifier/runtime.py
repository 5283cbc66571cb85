"""The settings that TensorFlow needs before it is imported: determinism, instruction set, threads, precision.

Call start() before anything imports TensorFlow or Keras.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from classifier.params import Runtime

if TYPE_CHECKING:
    import tensorflow as tf


def start(settings: Runtime) -> None:
    """Import TensorFlow under settings that give the same bits on every x86-64 CPU with AVX2, with any number of cores.

    - oneDNN's kernels on every CPU, with AVX2 as their widest instructions. oneDNN reads its environment variables when
      TensorFlow loads it, so they are set first.
    - One thread for each operation, so that no sum is split among threads. Independent operations run side by side on
      all cores that the process may use; see classifier.pieces.
    - Op determinism: TensorFlow raises an error where an operation has no deterministic implementation.
    - No optimization of the graph that replaces a division or a square root by an approximate reciprocal, which CPUs of
      different vendors compute differently.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised in Python as well
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"

    with _quiet():
        import keras
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(_cores())
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"constant_folding": False, "arithmetic_optimization": False})
    # Keras's own defaults, whatever the user's ~/.keras/keras.json says
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(settings.precision)


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def strategy(settings: Runtime) -> "tf.distribute.Strategy":
    """How batches are distributed: with runtime.distributed over all GPUs, or over all logical CPU devices without one.

    Each device takes an equal part of every batch, and gradients are averaged over the whole batch.
    """
    import tensorflow as tf

    if not settings.distributed:
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress what TensorFlow's libraries print while they are loaded, unless loading fails.

    They write a dozen lines about missing GPUs directly to the process's stderr, before they read their log level.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
