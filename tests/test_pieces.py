"""A batch in pieces has the outputs and gradients of the whole batch; a saved network has Keras layers only."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from classifier import model_file, models, normalization
from classifier.params import load_params
from classifier.pieces import Pieces, number_of_pieces
from tests.conftest import ROOT

PARAMS = load_params(ROOT / "params.yaml")
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 28, 28), np.uint8)


def build_network(architecture: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    settings = PARAMS.model.model_copy(update={"architecture": architecture, "dropout": 0.0})
    return models.build(settings, IMAGES, 10)


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """A trained residual network, whose batch normalization does not have its initial statistics and weights."""
    model = build_network("resnet")
    model.compile("sgd", loss="categorical_crossentropy")
    model.fit(IMAGES, np.eye(10)[np.arange(30) % 10], batch_size=10, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize(
    ("images", "batch_size", "piece_size", "expected"),
    [
        (54_000, 128, 16, 8),  # the last batch has 112 images: 8 pieces of 14
        (540, 100, 16, 7),
        (514, 128, 16, 2),  # the last batch has 2 images
        (513, 128, 16, 1),
        (5, 128, 16, 5),
        (100, 50, 64, 1),
    ],
)
def test_no_piece_is_empty_or_larger_than_piece_size(
    images: int, batch_size: int, piece_size: int, expected: int
) -> None:
    assert number_of_pieces(images, batch_size, piece_size) == expected


@pytest.mark.parametrize("count", [1, 4, 30])
def test_pieces_have_the_outputs_and_gradients_of_the_whole_batch(count: int) -> None:
    whole = build_network("cnn")
    pieces = Pieces(whole, count)
    results = []
    for model in (whole, pieces):
        with tf.GradientTape() as tape:
            outputs = model(tf.constant(IMAGES), training=True)
            loss = tf.reduce_mean(keras.losses.categorical_crossentropy(np.eye(10)[np.arange(30) % 10], outputs))
        results.append((outputs, tape.gradient(loss, [weight.value for weight in whole.trainable_variables])))
    (outputs, gradients), (in_pieces, summed) = results
    np.testing.assert_allclose(in_pieces, outputs, atol=1e-6)
    for gradient, expected in zip(summed, gradients, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_batch_normalization_gives_the_outputs_of_keras() -> None:
    x = np.random.default_rng(1).normal(3, 2, (8, 5, 5, 4)).astype(np.float32)
    ours, theirs = normalization.BatchNormalization(momentum=0.9), layers.BatchNormalization(momentum=0.9)
    for _ in range(2):
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-4)
    np.testing.assert_allclose(ours.moving_mean, theirs.moving_mean, rtol=1e-5)
    # The moving variance of this layer is divided by n - 1, that of Keras by n
    np.testing.assert_allclose(ours.moving_variance, theirs.moving_variance, rtol=2 / 200)
    np.testing.assert_allclose(ours(x, training=False), theirs(x, training=False), rtol=2 / 200, atol=0.02)


def test_a_folded_network_has_keras_layers_only_and_the_same_outputs(trained: keras.Model) -> None:
    folded = normalization.fold(trained)
    assert {type(layer).__module__.split(".")[0] for layer in folded.layers} == {"keras"}
    assert not [layer for layer in folded.layers if isinstance(layer, layers.BatchNormalization)]
    np.testing.assert_allclose(folded.predict(IMAGES, verbose=0), trained.predict(IMAGES, verbose=0), atol=1e-5)


@pytest.mark.slow
def test_keras_alone_loads_the_saved_model(trained: keras.Model, tmp_path: Path) -> None:
    folded = normalization.fold(trained)
    model_file.write_model(tmp_path / "model.keras", folded)
    np.save(tmp_path / "images.npy", IMAGES)
    program = (
        "import keras, numpy\n"
        "model = keras.saving.load_model('model.keras')\n"
        "numpy.save('found.npy', model.predict(numpy.load('images.npy'), verbose=0))\n"
    )
    # The project's modules cannot be imported in this folder
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), folded.predict(IMAGES, verbose=0), atol=1e-6)
