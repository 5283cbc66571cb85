"""What this CPU computes: a hash of the result of every operation that a training and an evaluation use.

All x86-64 CPUs with AVX2 are expected to have the same hashes under the settings of runtime.start. Where the results of
two machines differ, the hashes show the operation that differs.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from sklearn import metrics

from classifier import augmentation, calibration

PIECES = (14, 16, 32)  # images: the sizes of pieces in the last batch, and in the others, of the committed recipes
CONVOLUTIONS = {  # size of the images, channels, filters, padding
    "cnn 1": (26, 1, 32, "VALID"),
    "cnn 2": (12, 32, 64, "VALID"),
    "resnet 1": (28, 1, 32, "SAME"),
    "resnet 2": (14, 32, 32, "SAME"),
    "resnet 3": (14, 32, 64, "SAME"),
    "resnet 4": (7, 64, 96, "SAME"),
    "resnet 5": (7, 96, 96, "SAME"),
}
DENSE = {"cnn": 1600, "resnet": 96}  # inputs of the last layer
CLASSES = 10

Function = Callable[..., Any]  # of tensors


def operations() -> dict[str, str]:
    """The CRC-32 of the results of each operation on fixed inputs, as eight hexadecimal digits, by its name."""
    return {name: f"{_crc32(arrays):08x}" for name, arrays in _results()}


def fingerprint(operations: dict[str, str]) -> str:
    """One hash of all operations, as eight hexadecimal digits."""
    return f"{zlib.crc32(repr(sorted(operations.items())).encode()):08x}"


def _crc32(arrays: Any) -> int:
    crc = 0
    for array in tf.nest.flatten(arrays):
        crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


def _results() -> Iterator[tuple[str, Any]]:
    random = np.random.default_rng(1)

    def numbers(*shape: int) -> NDArray[np.float32]:
        """Random multiples of 2⁻²³ between -1 and 1, which no rounding makes different on another CPU."""
        return ((random.integers(0, 2**24, shape) - 2**23) / 2**23).astype(np.float32)

    for piece in PIECES:
        for name, (size, channels, filters, padding) in CONVOLUTIONS.items():
            images, kernel = numbers(piece, size, size, channels), numbers(3, 3, channels, filters)
            convolve = _convolution(padding)
            yield f"convolution {name}, {piece} images", _with_gradients(convolve, images, kernel, numbers(filters))
        for name, inputs in DENSE.items():
            values, kernel = numbers(piece, inputs), numbers(inputs, CLASSES)
            yield f"dense layer {name}, {piece} images", _with_gradients(tf.linalg.matmul, values, kernel)
        features = numbers(piece, 14, 14, 32)
        yield f"max-pooling, {piece} images", _with_gradients(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), features)
        yield f"global max-pooling, {piece} images", _with_gradients(lambda x: tf.reduce_max(x, [1, 2]), features)
        yield (
            f"batch normalization, {piece} images",
            _with_gradients(_normalize, features, numbers(32), numbers(32)),
        )
        targets = tf.one_hot(np.arange(piece) % CLASSES, CLASSES, 0.91, 0.01)
        yield f"cross-entropy, {piece} images", _with_gradients(_cross_entropy(targets), 8 * numbers(piece, CLASSES))
        yield f"softmax, {piece} images", tf.function(tf.nn.softmax)(8 * numbers(piece, CLASSES))
        yield f"dropout, {piece} images", keras.layers.Dropout(0.5, seed=1)(numbers(piece, 1600), training=True)

    pixels = tf.constant(random.integers(0, 256, (16, 28, 28, 1)), tf.uint8)
    seed = tf.constant([1, 2], tf.int64)
    yield "scaling", keras.layers.Rescaling(1 / 90, -73 / 90)(pixels)
    yield (
        "flip, shift, erase",
        [
            augmentation.flip(pixels, seed),
            augmentation.shift(pixels, 1, seed),
            augmentation.erase(pixels, 8, seed),
        ],
    )
    yield "order of the images", tf.random.experimental.stateless_shuffle(tf.range(54_000), seed)
    yield "initial weights", keras.initializers.GlorotUniform(seed=1)((3, 3, 32, 64))
    weights, gradients = numbers(34_826), [numbers(34_826) for _ in range(3)]
    cosine = keras.optimizers.schedules.CosineDecay(0.0, 500, warmup_target=0.003, warmup_steps=2)
    yield "Adam", _trained(keras.optimizers.Adam(0.001), weights, gradients)
    yield "AdamW, cosine", _trained(keras.optimizers.Adam(cosine, weight_decay=0.02), weights, gradients)
    yield "SGD", _trained(keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True), weights, gradients)
    yield "sum of the pieces", tf.function(tf.add_n)(gradients)
    probabilities = random.integers(1, 2**20, (1000, CLASSES)).astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.arange(1000) % CLASSES
    logits, targets = 8 * numbers(1000, CLASSES), tf.one_hot(labels, CLASSES)
    yield "temperature", calibration.cross_entropy(targets, tf.constant(logits), tf.constant(1.07))
    yield "log loss", np.round(metrics.log_loss(labels, probabilities), 6)


def _with_gradients(function: Function, *values: NDArray[np.float32]) -> list[tf.Tensor]:
    """The output of a function and the gradients of the output's sum of squares by all values, from one graph."""

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output = function(*tensors)
            total = tf.reduce_sum(output * output)
        return [output, *tape.gradient(total, tensors)]

    tensors = [tf.constant(value) for value in values]
    results: list[tf.Tensor] = run.get_concrete_function(*tensors)(*tensors)
    return results


def _convolution(padding: str) -> Function:
    return lambda images, kernel, bias: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(images, kernel, 1, padding), bias))


def _normalize(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    none = tf.constant([], tf.float32)
    return tf.raw_ops.FusedBatchNormV3(x=x, scale=scale, offset=offset, mean=none, variance=none, is_training=True).y


def _cross_entropy(targets: tf.Tensor) -> Function:
    return lambda logits: keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits)


def _trained(
    optimizer: keras.optimizers.Optimizer, weights: NDArray[np.float32], gradients: list[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Weights after an update by each of the gradients."""
    variable = keras.Variable(weights)
    optimizer.build([variable])
    update = tf.function(lambda gradient: optimizer.apply_gradients([(gradient, variable)]))
    for gradient in gradients:
        update(tf.constant(gradient))
    trained: NDArray[np.float32] = variable.numpy()
    return trained
