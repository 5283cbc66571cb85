"""Batch normalization with the same bits on every x86-64 CPU, and its removal from a trained network."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """Batch normalization over the images that it is given, which are a piece of a batch in training.

    Keras's own layer uses the reciprocal square root, which CPUs of different vendors approximate differently. Division
    and square root in float64 have the same result on all of them, and so has TensorFlow's fused operation.
    """

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            scale, offset = _scale_and_offset(self)
            return x * tf.cast(scale, x.dtype) + tf.cast(offset, x.dtype)
        none = tf.constant([], tf.float32)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=self.gamma, offset=self.beta, mean=none, variance=none, epsilon=self.epsilon, is_training=True
        )
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + new * (1 - self.momentum))
        return y


def fold(network: keras.Model) -> keras.Model:
    """A network of plain Keras layers with the outputs of a trained one.

    Each batch normalization becomes a part of the convolution before it, which gets a bias: in inference it scales and
    shifts the output of each filter by constants.
    """
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D) and not layer.use_bias]
    normalizations = [layer for layer in network.layers if isinstance(layer, layers.BatchNormalization)]
    weights = {layer.name: layer.get_weights() for layer in network.layers}
    for convolution, normalization in zip(convolutions, normalizations, strict=True):
        scale, offset = (np.asarray(value) for value in _scale_and_offset(normalization))
        weights[convolution.name] = [np.asarray(convolution.kernel, np.float64) * scale, offset]

    def clone(layer: layers.Layer) -> layers.Layer:
        return layer.from_config(layer.get_config() | ({"use_bias": True} if layer in convolutions else {}))

    def call(layer: layers.Layer, *arguments: keras.KerasTensor, **options: bool) -> keras.KerasTensor:
        return arguments[0] if isinstance(layer, layers.BatchNormalization) else layer(*arguments, **options)

    folded = keras.models.clone_model(network, clone_function=clone, call_function=call)
    for layer in folded.layers:
        layer.set_weights(weights[layer.name])
    return folded


def _scale_and_offset(layer: layers.BatchNormalization) -> tuple[tf.Tensor, tf.Tensor]:
    """What the layer multiplies its input by in inference, and what it adds then: float64 of shape (channels,)."""
    gamma, beta, mean, variance = (
        tf.cast(value, tf.float64) for value in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    )
    scale = gamma / tf.sqrt(variance + layer.epsilon)
    return scale, beta - mean * scale
