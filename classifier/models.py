"""The architectures: each a function that reads like its diagram.

A new one is a function here, from the scaled images to the class probabilities, and its name in classifier.params;
model.architecture in params.yaml chooses it.
"""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from classifier import params
from classifier.cli import InputError

Architecture = Callable[[keras.KerasTensor, int, float], keras.KerasTensor]


def cnn(images: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """Two convolutions, each followed by pooling, and one dense layer: 34,826 parameters for 28×28 and 10 classes."""
    x = layers.Conv2D(32, 3, activation="relu")(images)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Conv2D(64, 3, activation="relu")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(classes, activation="softmax", dtype="float32")(x)


def standardized_cnn(images: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """The same on images with mean 0 and standard deviation 1, from which it learns faster: as many weights."""
    return cnn(_normalization(center=False, scale=False, dtype="float32")(images), classes, dropout)


def resnet(images: keras.KerasTensor, classes: int, dropout: float) -> keras.KerasTensor:
    """A residual network, 32 filters wide at half of the images' size and 96 at a quarter: 261,098 parameters.

    The blocks are those of He, Zhang, Ren and Sun, Deep residual learning for image recognition (2016), without the
    last ReLU, as in David Page's ResNet-9. At the full size, where convolutions cost most, there is only the first.
    """
    x = _convolution(images, 32)
    x = layers.MaxPooling2D(2)(x)
    x = _residual(x)
    x = _convolution(x, 64)
    x = layers.MaxPooling2D(2)(x)
    x = _convolution(x, 96)
    x = _residual(x)
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return layers.Dense(classes, activation="softmax", dtype="float32")(x)


def _residual(x: keras.KerasTensor) -> keras.KerasTensor:
    """Two convolutions whose result is added to what went in."""
    width = x.shape[-1]
    return layers.Add()([x, _convolution(_convolution(x, width), width)])


def _convolution(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)  # the normalisation has a bias
    return layers.ReLU()(_normalization()(x))


def _normalization(**options: Any) -> layers.BatchNormalization:
    """Over the whole batch, where several devices share it."""
    return layers.BatchNormalization(momentum=0.9, synchronized=tf.distribute.has_strategy(), **options)


def multiply_adds(model: keras.Model) -> int:
    """The multiplications of one image's way through the convolutions and dense layers, which is nearly all of them."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D | layers.Dense):
            places = math.prod(layer.output.shape[1:-1])
            total += places * math.prod(layer.kernel.shape)
    return total


def build(settings: params.Model, image_shape: tuple[int, int], classes: int) -> keras.Model:
    """A fresh model, from raw pixels of shape (n, height, width, 1), 0 to 255, to probabilities of shape (n, classes).

    The scaling to [0, 1] is its first layer, so that nobody who loads the model can forget it or do it otherwise.

    Raises:
        InputError: the images are too small for the architecture.
    """
    architecture: Architecture = globals()[settings.architecture]
    pixels = keras.Input((*image_shape, 1), name="pixels")
    # in float32 whatever the precision of the rest: bfloat16 has too few digits for a grey value over 255
    images = layers.Rescaling(1 / 255, dtype="float32", name="scaling")(pixels)
    try:
        probabilities = architecture(images, classes, settings.dropout)
    except ValueError as error:
        size = "×".join(map(str, image_shape))
        raise InputError(f"model.architecture {settings.architecture} does not take {size} images: {error}") from error
    return keras.Model(pixels, probabilities, name=settings.architecture)
