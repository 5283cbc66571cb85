"""The architectures, one function each.

A new architecture is a function here, from the scaled images to the logits, with an entry in ARCHITECTURES, and its
name among those that classifier/params.py allows for model.architecture.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

from classifier import params
from classifier.errors import UserError
from classifier.normalization import BatchNormalization

# From scaled images (n, height, width, 1), the number of classes and the dropout rate to logits (n, classes)
Architecture = Callable[[keras.KerasTensor, int, float], keras.KerasTensor]


def cnn(images: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    """Two convolutions, each followed by pooling, and one dense layer: 34,826 parameters for 28×28 and 10 classes."""
    # Both poolings drop an odd last row or column. The pixels that therefore reach no output are not computed with.
    unused = [(0, (size - 6) % 4) for size in images.shape[1:3]]
    x = layers.Cropping2D(unused)(images)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)


def resnet(images: keras.KerasTensor, num_classes: int, dropout: float) -> keras.KerasTensor:
    """A residual network of 261,098 parameters: 32 filters wide at half of the images' size, 96 at a quarter.

    The blocks are those of He, Zhang, Ren and Sun, Deep residual learning for image recognition (2016), without the
    last ReLU, as in David Page's ResNet-9. Only the first convolution works at the full size, where each costs most.
    """
    x = _convolution(images, 32)
    x = layers.MaxPooling2D(2)(x)
    x = _residual_block(x)
    x = _convolution(x, 64)
    x = layers.MaxPooling2D(2)(x)
    x = _convolution(x, 96)
    x = _residual_block(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(num_classes, dtype="float32", name="logits")(x)


ARCHITECTURES: dict[str, Architecture] = {"cnn": cnn, "resnet": resnet}


def _residual_block(x: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions, whose output is added to their input."""
    filters = x.shape[-1]
    return layers.Add()([x, _convolution(_convolution(x, filters), filters)])


def _convolution(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    """A 3×3 convolution, batch normalization and ReLU."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)  # the normalization has a bias
    if tf.distribute.has_strategy():  # over the whole batch, which several devices share
        normalization = layers.BatchNormalization(momentum=0.9, synchronized=True)
    else:
        normalization = BatchNormalization(momentum=0.9)
    return layers.ReLU()(normalization(x))


def multiply_adds(model: keras.Model) -> int:
    """The MACs of one image's forward pass through the convolutions and dense layers, which do nearly all of them."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            positions = math.prod(layer.output.shape[1:-1])
            total += positions * math.prod(layer.kernel.shape)
    return total


def build(settings: params.Model, images: NDArray[np.uint8], num_classes: int) -> keras.Model:
    """A new model from pixels (n, height, width, 1), 0 to 255, to probabilities of shape (n, num_classes).

    The first layer scales the pixels, so that whoever loads the model cannot scale them in another way: to [0, 1], or
    with model.standardize to the mean 0 and the standard deviation 1 of the training images.

    images: the training images, (n, height, width).

    Raises:
        UserError: the images are too small for the architecture.
    """
    pixels = keras.Input((*images.shape[1:], 1), name="pixels")
    mean, sd = _mean_and_sd(images) if settings.standardize else (0.0, 255.0)
    # in float32 whatever the precision of the rest: bfloat16 has too few digits for a grey value over 255
    scaled = layers.Rescaling(1 / sd, -mean / sd, dtype="float32", name="scaling")(pixels)
    try:
        logits = ARCHITECTURES[settings.architecture](scaled, num_classes, settings.dropout)
    except ValueError as error:
        size = "×".join(map(str, images.shape[1:]))
        raise UserError(f"model.architecture {settings.architecture} does not take {size} images: {error}") from error
    probabilities = layers.Softmax(dtype="float32", name="probabilities")(logits)
    return keras.Model(pixels, probabilities, name=settings.architecture)


def _mean_and_sd(images: NDArray[np.uint8]) -> tuple[float, float]:
    """The mean and the standard deviation of all pixels, from the histogram, whose sums are exact."""
    counts = np.bincount(images.ravel(), minlength=256).tolist()
    count = sum(counts)
    mean = sum(value * number for value, number in enumerate(counts)) / count
    variance = sum(value**2 * number for value, number in enumerate(counts)) / count - mean**2
    return mean, math.sqrt(max(variance, 1.0))  # at least 1: all pixels may be equal
