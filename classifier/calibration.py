"""A temperature for a network's logits, so that its confidence is as high as its accuracy.

Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017).
"""

import keras
import numpy as np
import tensorflow as tf

from classifier.dataset import Split
from classifier.pieces import predict

TEMPERATURES = np.arange(30, 301) / 100  # the loss is flat around its minimum
BATCH_SIZE = 1000


def fit_temperature(network: keras.Model, validation: Split) -> float:
    """The one of TEMPERATURES with the lowest cross-entropy on the validation split.

    network: ends with the layers "logits" and softmax.
    """
    logits = predict(keras.Model(network.input, network.get_layer("logits").output), validation.images, BATCH_SIZE)
    targets = tf.one_hot(validation.labels, logits.shape[1])
    losses = [float(cross_entropy(targets, tf.constant(logits), tf.constant(t, tf.float32))) for t in TEMPERATURES]
    return float(TEMPERATURES[np.argmin(losses)])


@tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
def cross_entropy(targets: tf.Tensor, logits: tf.Tensor, temperature: tf.Tensor) -> tf.Tensor:
    """The mean over the images, in nats. targets, logits: of shape (n, classes)."""
    return keras.losses.CategoricalCrossentropy(from_logits=True)(targets, logits / temperature)


def divide_logits(network: keras.Model, temperature: float) -> None:
    """Divide the logits by a temperature, in place, in the weights of the layer that computes them."""
    layer = network.get_layer("logits")
    layer.set_weights([weights / np.float32(temperature) for weights in layer.get_weights()])
