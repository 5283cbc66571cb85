"""The networks have the intended layers, take raw pixels, and are trained with the settings of params.yaml."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from classifier import model_file, models, params, training
from classifier.dataset import Split
from classifier.errors import UserError
from classifier.params import load_params
from pictures import predict
from tests import idx
from tests.conftest import ROOT

PARAMS = load_params(ROOT / "params.yaml")
MODEL = params.Model(architecture="cnn", standardize=False, dropout=0.5)
BLANK = np.zeros((1, 28, 28), np.uint8)  # models.build takes the image size from it


@pytest.fixture(scope="module")
def cnn() -> keras.Model:
    keras.utils.set_random_seed(0)
    return models.build(MODEL, BLANK, 10)


def test_the_cnn_is_that_of_the_original_scripts(cnn: keras.Model) -> None:
    assert cnn.count_params() == 34_826
    kinds = [type(layer) for layer in cnn.layers]
    assert kinds == [
        layers.InputLayer, layers.Rescaling, layers.Cropping2D, layers.Conv2D, layers.MaxPooling2D, layers.Conv2D,
        layers.MaxPooling2D, layers.Flatten, layers.Dropout, layers.Dense, layers.Softmax,
    ]  # fmt: skip
    first, second, dropout, dense = (cnn.layers[place] for place in (3, 5, 8, 9))
    assert (first.filters, first.kernel_size, first.activation.__name__) == (32, (3, 3), "relu")
    assert (second.filters, second.kernel_size, second.activation.__name__) == (64, (3, 3), "relu")
    assert (dense.units, dense.activation.__name__, dropout.rate) == (10, "linear", 0.5)


def test_standardized_images_have_mean_0_and_standard_deviation_1(cnn: keras.Model) -> None:
    images = np.random.default_rng(0).integers(20, 200, (100, 28, 28), np.uint8)
    model = models.build(MODEL.model_copy(update={"standardize": True}), images, 10)
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in cnn.weights]
    scaled = np.asarray(model.get_layer("scaling")(images))
    np.testing.assert_allclose((scaled.mean(), scaled.std()), (0, 1), atol=1e-5)


def test_the_residual_network_has_at_most_300_000_parameters_and_two_skip_connections() -> None:
    resnet = models.build(MODEL.model_copy(update={"architecture": "resnet"}), BLANK, 10)
    assert resnet.count_params() <= 300_000
    sums = [layer for layer in resnet.layers if isinstance(layer, layers.Add)]
    assert len(sums) == 2
    assert resnet.output_shape == (None, 10)


def test_macs_are_those_counted_by_hand(cnn: keras.Model) -> None:
    assert models.multiply_adds(cnn) == 24 * 24 * 9 * 32 + 10 * 10 * 9 * 32 * 64 + 1600 * 10


@pytest.mark.parametrize("size", [28, 29, 30, 31])
def test_the_pixels_that_the_cnn_crops_reach_no_output(size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, size, size, 1)).astype(np.float32)
    network = models.build(MODEL, np.zeros((1, size, size), np.uint8), 10)
    x = whole = network.get_layer("scaling")(images)
    for layer in network.layers[2:]:
        x = layer(x)
        whole = whole if isinstance(layer, layers.Cropping2D) else layer(whole)
    np.testing.assert_allclose(x, whole, rtol=1e-5)
    assert network.layers[2].output.shape[1:3] == (size - (size - 6) % 4,) * 2


def test_the_saved_model_takes_raw_pixels(cnn: keras.Model, tmp_path: Path) -> None:
    model_file.write_model(tmp_path / "model.keras", cnn)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    pixels = idx.make_images(np.arange(10, dtype=np.uint8), np.random.default_rng(0))
    assert pixels.dtype == np.uint8
    x = pixels.astype("float32")[..., None] / 255  # by hand, layer by layer, without the model's own scaling
    for layer in cnn.layers[2:]:
        x = layer(x)
    np.testing.assert_allclose(loaded.predict(pixels, verbose=0), x, rtol=1e-4, atol=1e-6)


def test_every_architecture_of_the_params_can_be_built() -> None:
    names = get_args(params.Model.model_fields["architecture"].annotation)
    assert len(names) > 1
    for name in names:
        assert models.build(MODEL.model_copy(update={"architecture": name}), BLANK, 3).name == name


def test_images_too_small_for_the_network_are_refused() -> None:
    with pytest.raises(UserError, match="cnn does not take 4×4 images"):
        models.build(MODEL, np.zeros((1, 4, 4), np.uint8), 10)


def test_a_model_is_always_saved_as_the_same_bytes_and_with_its_optimizer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, activation="softmax")])
    model.compile("adam", loss="categorical_crossentropy")
    model.fit(np.ones((4, 3)), np.eye(2)[[0, 1, 0, 1]], verbose=0)
    for name in ("one", "two"):
        model_file.write_model(tmp_path / f"{name}.keras", model)
    assert len({hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}) == 1
    loaded = keras.saving.load_model(tmp_path / "one.keras")
    for saved, kept in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(saved, kept)


def test_a_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.keras is not a whole Keras model"):
        model_file.read_model(tmp_path / "model.keras", (28, 28), 10)


def test_a_model_file_runs_no_code(tmp_path: Path) -> None:
    """A file with a Lambda layer, or with a function of another module as a layer, is refused, and no code is run."""
    file = tmp_path / "created"
    images = keras.Input((28, 28, 1))
    model = keras.Model(
        images, keras.layers.Lambda(lambda x: x)(keras.layers.Dense(10)(keras.layers.Flatten()(images)))
    )
    model.save(tmp_path / "lambda.keras")
    with zipfile.ZipFile(tmp_path / "lambda.keras") as archive:
        config = json.loads(archive.read("config.json"))
    (layer,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "Lambda"]
    for module, name in (("os", "system"), ("subprocess", "run"), ("builtins", "exec")):
        layer |= {"module": module, "class_name": name, "registered_name": name, "config": {"command": f"touch {file}"}}
        with (
            zipfile.ZipFile(tmp_path / "lambda.keras") as source,
            zipfile.ZipFile(tmp_path / f"{name}.keras", "w") as target,
        ):
            for member in source.namelist():
                target.writestr(member, json.dumps(config) if member == "config.json" else source.read(member))
    for name in ("lambda", "system", "run", "exec"):
        with pytest.raises(UserError, match=rf"{name}\.keras is not a whole Keras model"):
            model_file.read_model(tmp_path / f"{name}.keras", (28, 28), 10)
    assert not file.exists()


def _external(variables: h5py.Group, other: Path) -> None:
    other.write_bytes(bytes(40))
    variables.create_dataset("1", shape=(10,), dtype="f4", external=[(str(other), 0, 40)])


def _link(variables: h5py.Group, other: Path) -> None:
    with h5py.File(other, "w") as file:
        file["biases"] = np.zeros(10, np.float32)
    variables["1"] = h5py.ExternalLink(str(other), "biases")


def _virtual(variables: h5py.Group, other: Path) -> None:
    with h5py.File(other, "w") as file:
        file["biases"] = np.zeros(10, np.float32)
    layout = h5py.VirtualLayout((10,), np.float32)
    layout[:] = h5py.VirtualSource(other, "biases", (10,))
    variables.create_virtual_dataset("1", layout)


def _bomb(variables: h5py.Group, other: Path) -> None:
    variables.create_dataset("1", shape=(10**10,), dtype="f4", chunks=(10**6,), compression="gzip")


@pytest.mark.parametrize("replace", [_external, _link, _virtual, _bomb])
def test_weights_outside_of_the_model_file_or_larger_than_memory_are_refused(
    tmp_path: Path, replace: Callable[[h5py.Group, Path], None]
) -> None:
    good, bad, weights = tmp_path / "good.keras", tmp_path / "bad.keras", tmp_path / "weights.h5"
    model_file.write_model(good, models.build(MODEL, BLANK, 10))
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for member in source.namelist():
            weights.write_bytes(source.read(member))
            if member == "model.weights.h5":
                with h5py.File(weights, "r+") as file:
                    variables = file["layers/dense/vars"]
                    del variables["1"]
                    replace(variables, tmp_path / "other")
            target.writestr(member, weights.read_bytes())
    with pytest.raises(UserError, match=r"bad\.keras is not a whole Keras model \(.*Not allowed: H5"):
        model_file.read_model(bad, (28, 28), 10)


def test_a_small_archive_that_unpacks_to_a_large_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_file, "LARGEST", 10**7)
    path = tmp_path / "model.keras"
    model_file.write_model(path, models.build(MODEL, BLANK, 10))
    model_file.read_model(path, (28, 28), 10)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets", bytes(10**7))
    assert path.stat().st_size < 10**6
    with pytest.raises(UserError, match=r"unpacked, it has 10,\d{3},\d{3} bytes, but at most 10,000,000 are read"):
        model_file.read_model(path, (28, 28), 10)
    with pytest.raises(UserError, match=r"unpacked, it has"):
        predict.image_shape(path)


def test_a_model_for_other_images_or_classes_is_refused(tmp_path: Path) -> None:
    model = models.build(MODEL, BLANK, 10)
    model_file.write_model(tmp_path / "model.keras", model)
    assert model_file.read_model(tmp_path / "model.keras", (28, 28), 10).count_params() == model.count_params()
    for shape, classes in (((32, 32), 10), ((28, 28), 9)):
        with pytest.raises(UserError, match=r"model\.keras maps \(None, 28, 28, 1\) to \(None, 10\), but the data has"):
            model_file.read_model(tmp_path / "model.keras", shape, classes)


def settings(**values: object) -> params.Train:
    return PARAMS.train.model_copy(update=values)


def test_every_epoch_has_every_image_once_in_a_different_order() -> None:
    images = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)
    split = Split(images, np.arange(50, dtype=np.uint8) % 3)

    def orders(**values: object) -> list[list[int]]:
        """The images' order in each of three epochs."""
        epoch = tf.Variable(0, dtype=tf.int64)
        batches = training.shuffled_batches(split, 3, settings(batch_size=16, **values), PARAMS.augment, epoch)
        seen = []
        for number in range(3):
            epoch.assign(number)
            pixels, one_hot = (np.concatenate(part) for part in zip(*batches.as_numpy_iterator(), strict=True))
            assert pixels.dtype == np.uint8
            assert len(batches) == 4
            np.testing.assert_array_equal(one_hot.argmax(axis=1), pixels[:, 0, 0, 0] % 3)
            seen.append(pixels[:, 0, 0, 0].tolist())
        return seen

    first, second, third = orders(seed=1)
    assert sorted(first) == sorted(second) == sorted(third) == list(range(50))
    assert first != second != third
    assert orders(seed=1) == [first, second, third]
    assert orders(seed=2)[0] != first


@pytest.mark.slow
def test_the_number_of_steps_per_execution_does_not_change_a_training() -> None:
    split = Split(np.zeros((50, 28, 28), np.uint8), np.arange(50, dtype=np.uint8) % 10)
    weights = []
    for steps in (1, 3, 64):
        keras.utils.set_random_seed(1)
        model = models.build(MODEL, BLANK, 10)
        last = keras.callbacks.Callback()  # has the trained model
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "STEPS_PER_EXECUTION", steps)
            curves = training.fit(
                model, split, split, settings(batch_size=16, epochs=3), PARAMS.augment, callbacks=[last]
            )
        assert int(last.model.optimizer.iterations) == 3 * 4
        assert list(curves["epoch"]) == [1, 2, 3]
        weights.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[0], weights[2])


def test_fit_passes_the_number_of_the_epoch_to_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tf.Variable] = []
    batches = training.shuffled_batches

    def record_epoch(*arguments: Any) -> tf.data.Dataset:
        given.append(arguments[-1])
        return batches(*arguments)

    monkeypatch.setattr(training, "shuffled_batches", record_epoch)
    split = Split(np.zeros((20, 28, 28), np.uint8), np.arange(20, dtype=np.uint8) % 10)
    seen: list[int] = []
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(int(given[0])))
    training.fit(models.build(MODEL, BLANK, 10), split, split, settings(epochs=3), PARAMS.augment, callbacks=[record])
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"schedule": "constant"}, [0.1] * 5),
        ({"schedule": "constant", "warmup_epochs": 1}, [0, 0.05, 0.1, 0.1, 0.1]),
        ({"schedule": "cosine"}, [0.1, 0.05 * (1 + np.cos(np.pi / 8)), 0.05 * (1 + np.cos(np.pi / 4))]),
        ({"schedule": "cosine", "warmup_epochs": 1}, [0, 0.05, 0.1, 0.075, 0.025]),
    ],
)
def test_learning_rate_schedules(values: dict[str, object], expected: list[float]) -> None:
    steps_per_epoch, epochs = (2, 4)
    if values.get("warmup_epochs") and values["schedule"] == "cosine":
        epochs = 2.5  # type: ignore[assignment]  # 3 steps after the warm-up: cos(π/3) = 1/2
    rate = training.learning_rate(settings(learning_rate=0.1, epochs=epochs, **values), steps_per_epoch)
    actual = [float(rate(step)) if callable(rate) else rate for step in range(len(expected))]
    assert actual == pytest.approx(expected, abs=1e-6)


def test_optimizer_and_weight_decay_are_those_of_the_params() -> None:
    adam, sgd = (training.optimizer(settings(optimizer=name, weight_decay=0.01), 1) for name in ("adam", "sgd"))
    assert (type(adam), adam.weight_decay) == (keras.optimizers.Adam, 0.01)
    assert (type(sgd), sgd.momentum, sgd.nesterov) == (keras.optimizers.SGD, 0.9, True)
    assert training.optimizer(settings(), 1).weight_decay is None


def test_augmentation_differs_between_epochs_and_is_the_same_in_every_run() -> None:
    split = Split(np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8), np.zeros(40, np.uint8))
    epoch = tf.Variable(0, dtype=tf.int64)
    augment = params.Augment(flip=True, shift=1, erase=4)

    def images(number: int) -> list[bytes]:
        epoch.assign(number)
        batches = training.shuffled_batches(split, 2, settings(batch_size=16), augment, epoch)
        return [image.tobytes() for pixels, _ in batches.as_numpy_iterator() for image in pixels]

    first = images(0)
    assert images(0) == first
    assert not set(images(1)) & set(first)


def test_labels_are_smoothed_for_training_and_not_for_validation() -> None:
    split = Split(np.zeros((20, 28, 28), np.uint8), np.full(20, 3, np.uint8))
    shuffled = training.shuffled_batches(
        split, 10, settings(label_smoothing=0.1), PARAMS.augment, tf.Variable(0, dtype=tf.int64)
    )
    for batches, on_value, off_value in ((shuffled, 0.91, 0.01), (training.ordered_batches(split, 10), 1, 0)):
        ((_, labels),) = batches.as_numpy_iterator()
        expected = np.full((20, 10), off_value, np.float32)
        expected[:, 3] = on_value
        np.testing.assert_allclose(labels, expected)


def test_a_training_that_diverges_is_an_error() -> None:
    split = Split(np.full((64, 28, 28), 255, np.uint8), np.arange(64, dtype=np.uint8) % 10)
    model = models.build(MODEL, BLANK, 10)
    with pytest.raises(UserError, match=r"lower train\.learning_rate"):
        training.fit(model, split, split, settings(optimizer="sgd", learning_rate=1e30, epochs=3), PARAMS.augment)
