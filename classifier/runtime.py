"""The settings that TensorFlow needs before it is imported: determinism, instruction set, threads, precision.

Call start() before anything imports TensorFlow or Keras.
"""

import os
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from classifier.params import Runtime

if TYPE_CHECKING:
    import tensorflow as tf


def start(settings: Runtime) -> None:
    """Import TensorFlow under the given settings.

    oneDNN reads its environment variables when TensorFlow loads it, so they are set first. With op determinism,
    TensorFlow raises an error where an operation has no deterministic implementation. The number of threads is fixed
    because oneDNN and Eigen split sums by it, which determines the order of the additions.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised in Python as well
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(settings.onednn))
    os.environ["ONEDNN_MAX_CPU_ISA"] = "DEFAULT" if settings.cpu_isa == "native" else settings.cpu_isa

    with _quiet():
        import keras
        import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    if settings.op_determinism:
        tf.config.experimental.enable_op_determinism()
    # Keras's own defaults, whatever the user's ~/.keras/keras.json says
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(settings.precision)


def strategy(settings: Runtime) -> "tf.distribute.Strategy":
    """How batches are distributed: with runtime.distributed over all GPUs, or over all logical CPU devices without one.

    Each device takes an equal part of every batch, and gradients are averaged over the whole batch.
    """
    import tensorflow as tf

    if not settings.distributed:
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def arithmetic() -> str:
    """A fingerprint of this CPU's floating-point results under the current settings: eight hexadecimal digits.

    Two machines with the same fingerprint are expected to train to the same bits. It is the CRC-32 of the results of
    the operations that can differ between CPUs (convolutions, matrix products, softmax, exponentials, divisions,
    reciprocal square roots), on fixed numbers in shapes like those of training.
    """
    import tensorflow as tf

    images = tf.random.stateless_uniform([128, 28, 28, 1], seed=[1, 2])
    first = tf.random.stateless_normal([3, 3, 1, 32], seed=[3, 4])
    second = tf.random.stateless_normal([3, 3, 32, 64], seed=[5, 6])
    dense = tf.random.stateless_normal([1600, 10], seed=[7, 8])
    with tf.GradientTape() as tape:
        tape.watch([first, second, dense])
        hidden = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(images, first, 1, "VALID")), 2, 2, "VALID")
        hidden = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(hidden, second, 1, "VALID")), 2, 2, "VALID")
        logits = tf.reshape(hidden, [128, 1600]) @ dense / 100
        loss = tf.reduce_mean(tf.reduce_logsumexp(logits, axis=1))
    gradients = tape.gradient(loss, [first, second, dense])
    results = [tf.nn.softmax(logits), *gradients, tf.math.rsqrt(images + 1), images / (images + 1)]
    return f"{zlib.crc32(b''.join(result.numpy().tobytes() for result in results)):08x}"


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
