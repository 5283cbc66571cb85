"""Random changes of the training images, the same ones in every run: they depend on a seed alone, not on a state."""

import tensorflow as tf

from classifier import params


def augmented(pixels: tf.Tensor, settings: params.Augment, seed: tf.Tensor) -> tf.Tensor:
    """A batch of images, each mirrored, shifted and partly erased at random.

    pixels: uint8 of shape (b, height, width, 1); what enters at the edges and what is erased is black, 0.
    seed: two int64 values; the same pair makes the same changes.
    """
    seeds = tf.random.experimental.stateless_split(seed, 4)
    if settings.flip:
        pixels = mirrored(pixels, seeds[0])
    if settings.shift:
        pixels = shifted(pixels, settings.shift, seeds[1])
    if settings.erase:
        pixels = erased(pixels, settings.erase, seeds[2])
    return pixels


def mirrored(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Half of the images with left and right exchanged."""
    heads = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed) < 0.5
    return tf.where(heads, pixels[:, :, ::-1], pixels)


def shifted(pixels: tf.Tensor, most: int, seed: tf.Tensor) -> tf.Tensor:
    """Each image moved by up to `most` pixels along both axes."""
    count, height, width, _ = tf.unstack(tf.shape(pixels))
    padded = tf.pad(pixels, [[0, 0], [most, most], [most, most], [0, 0]])
    offsets = tf.random.stateless_uniform([2, count, 1], seed, 0, 2 * most + 1, tf.int32)
    rows = tf.gather(padded, offsets[0] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, offsets[1] + tf.range(width), axis=2, batch_dims=1)


def erased(pixels: tf.Tensor, side: int, seed: tf.Tensor) -> tf.Tensor:
    """Each image with a square set to 0, which may lie partly outside (DeVries and Taylor, Cutout, 2017)."""
    count, height, width, _ = tf.unstack(tf.shape(pixels))
    corners = tf.random.stateless_uniform([2, count], seed)
    top = tf.cast(corners[0] * tf.cast(height + side - 1, tf.float32), tf.int32)[:, None] - side + 1
    left = tf.cast(corners[1] * tf.cast(width + side - 1, tf.float32), tf.int32)[:, None] - side + 1
    rows = (tf.range(height) >= top) & (tf.range(height) < top + side)
    columns = (tf.range(width) >= left) & (tf.range(width) < left + side)
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    return tf.where(inside, tf.zeros_like(pixels), pixels)
