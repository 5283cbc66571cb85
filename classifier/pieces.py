"""A network that computes each batch in pieces, so that the bits do not depend on the number of cores.

Each piece is computed by one thread, and TensorFlow computes several pieces side by side (see runtime.start). The sizes
of the pieces determine the order of all sums. Without pieces, a sum is split among the threads of an operation.
"""

import math
from itertools import pairwise

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

INFERENCE_PIECE = 50  # images at most that one thread classifies at a time


class Pieces(keras.Model):  # type: ignore[misc]  # Keras has no types
    """A network that is applied to `count` pieces of a batch, of nearly the same number of images.

    The gradients of the pieces are added in the order of the pieces. A batch needs at least `count` images.
    """

    def __init__(self, network: keras.Model, count: int) -> None:
        super().__init__(name=network.name)
        self.network = network
        self.count = count

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        size = tf.shape(images)[0]
        ends = [size * piece // self.count for piece in range(self.count + 1)]
        pieces = [images[begin:end] for begin, end in pairwise(ends)]
        return tf.concat([self.network(piece, training=training) for piece in pieces], axis=0)


def number_of_pieces(images: int, batch_size: int, piece_size: int) -> int:
    """The number of pieces of at most piece_size images in a batch. None is empty in the last, smaller batch either."""
    last = images % batch_size or batch_size
    return min(math.ceil(batch_size / piece_size), last)


def predict(network: keras.Model, images: NDArray[np.uint8], batch_size: int) -> NDArray[np.floating]:
    """The network's outputs for images of shape (n, height, width), computed in pieces: float32 of shape (n, classes).

    batch_size: the largest number of images in memory at once.
    """
    batches = np.array_split(images[..., None], math.ceil(len(images) / batch_size))  # of nearly the same size
    model = Pieces(network, math.ceil(len(batches[-1]) / INFERENCE_PIECE))
    outputs: NDArray[np.floating] = np.concatenate([model.predict_on_batch(batch) for batch in batches])
    return outputs
