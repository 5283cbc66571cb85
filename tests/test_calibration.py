"""The temperature that is fitted on the validation split makes the confidence of a network that of its accuracy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier import calibration, models
from classifier.dataset import Split
from classifier.params import load_params
from classifier.pieces import predict
from tests.conftest import ROOT

PARAMS = load_params(ROOT / "params.yaml")


@pytest.fixture
def network() -> keras.Model:
    """A network whose logits are large, so that its probabilities are not all alike."""
    keras.utils.set_random_seed(0)
    network = models.build(PARAMS.model, images(), 10)
    calibration.divide_logits(network, 0.1)
    return network


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4000, 28, 28), np.uint8)


def test_the_fitted_temperature_is_that_of_the_labels(network: keras.Model) -> None:
    logits = predict(keras.Model(network.input, network.get_layer("logits").output), images(), 1000)
    for temperature in (0.5, 1.0, 2.0):
        labels = tf.random.stateless_categorical(logits / temperature, 1, seed=[1, 2]).numpy()[:, 0]
        assert calibration.fit_temperature(network, Split(images(), labels)) == pytest.approx(temperature, rel=0.1)


def test_division_by_the_temperature_changes_the_confidence_and_no_class(network: keras.Model) -> None:
    before = predict(network, images()[:100], 1000)
    calibration.divide_logits(network, 2.0)
    after = predict(network, images()[:100], 1000)
    expected = np.sqrt(before) / np.sqrt(before).sum(axis=1, keepdims=True)  # softmax of half of the logits
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
