"""Random augmentation of the training images. It depends on a seed alone and keeps no state, so that it repeats."""

import tensorflow as tf

from classifier import params


def augment(pixels: tf.Tensor, settings: params.Augment, seed: tf.Tensor) -> tf.Tensor:
    """Apply the augmentations that the settings switch on, with other random numbers for each image.

    pixels: uint8 of shape (n, height, width, 1). What enters at the edges and what is erased is black, 0.
    seed: int64 of shape (2,); the same seed makes the same changes.
    """
    seeds = tf.random.experimental.stateless_split(seed, 3)
    if settings.flip:
        pixels = flip(pixels, seeds[0])
    if settings.shift:
        pixels = shift(pixels, settings.shift, seeds[1])
    if settings.erase:
        pixels = erase(pixels, settings.erase, seeds[2])
    return pixels


def flip(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Flip each image horizontally with probability 1/2; pixels and seed as for augment."""
    flipped = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(flipped, pixels[:, :, ::-1], pixels)


def shift(pixels: tf.Tensor, limit: int, seed: tf.Tensor) -> tf.Tensor:
    """Shift each image by up to `limit` pixels along both axes; pixels and seed as for augment."""
    count, height, width, _ = tf.unstack(tf.shape(pixels))
    padded = tf.pad(pixels, [[0, 0], [limit, limit], [limit, limit], [0, 0]])
    offsets = tf.random.stateless_uniform([2, count, 1], seed, 0, 2 * limit + 1, tf.int32)
    rows = tf.gather(padded, offsets[0] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, offsets[1] + tf.range(width), axis=2, batch_dims=1)


def erase(pixels: tf.Tensor, side: int, seed: tf.Tensor) -> tf.Tensor:
    """Set a square of each image to 0, which may lie partly outside; pixels and seed as for augment.

    side: of the square, in pixels. DeVries and Taylor, Improved regularization of convolutional neural networks with
    cutout (2017).
    """
    count, height, width, _ = tf.unstack(tf.shape(pixels))
    corners = tf.random.stateless_uniform([2, count], seed)
    top = tf.cast(corners[0] * tf.cast(height + side - 1, tf.float32), tf.int32)[:, None] - side + 1
    left = tf.cast(corners[1] * tf.cast(width + side - 1, tf.float32), tf.int32)[:, None] - side + 1
    rows = (tf.range(height) >= top) & (tf.range(height) < top + side)
    columns = (tf.range(width) >= left) & (tf.range(width) < left + side)
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(inside, tf.zeros_like(pixels), pixels)
