"""Several devices share each batch, and train as one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from classifier import params, runtime
from classifier.dataset import Split
from tests import idx

distributed, architecture, path = sys.argv[1] == "distributed", sys.argv[2], Path(sys.argv[3])
batch_size, *epochs = map(int, sys.argv[4:])
all_params = params.load_params()
settings = all_params.runtime.model_copy(update={"distributed": distributed})
runtime.start(settings)
import keras, tensorflow as tf
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
from classifier import checkpoint, models, training

keras.utils.set_random_seed(1)
labels = np.arange(330, dtype=np.uint8) % 10
split = Split(idx.images_of(labels, np.random.default_rng(0)), labels)
strategy = runtime.strategy(settings)
with strategy.scope():
    model = models.build(params.Model(architecture=architecture, standardize=False, dropout=0.0), split.images, 10)
    for last in epochs:  # each goes on where the one before it has stopped
        train = all_params.train.model_copy(update={"epochs": last, "batch_size": batch_size, "piece_size": batch_size})
        augment = all_params.augment.model_copy(update={"flip": True, "shift": 1})
        curves = training.fit(model, split, split, train, augment, checkpoint.Checkpoint(path, "this"))
print(json.dumps([strategy.num_replicas_in_sync, curves.to_dict("list")]))
"""


def fitted(*arguments: object) -> tuple[int, dict[str, list[float]]]:
    """The number of devices that shared the batches, and the curves."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    devices, curves = json.loads(result.stdout.splitlines()[-1])
    return devices, curves


def test_two_devices_train_the_same_curves_as_one(tmp_path: Path) -> None:
    devices, alone = fitted("alone", "cnn", tmp_path / "alone", 66, 4)
    assert devices == 1
    devices, shared = fitted("distributed", "cnn", tmp_path / "shared", 66, 2, 4)
    assert devices == 2
    assert alone["epoch"] == shared["epoch"] == [1, 2, 3, 4]
    assert alone["loss"][-1] < 0.9 * alone["loss"][0]
    for name in ("loss", "val_loss"):
        assert shared[name] == pytest.approx(alone[name], rel=1e-4)


def test_two_devices_normalise_over_the_whole_batch(tmp_path: Path) -> None:
    _, alone = fitted("alone", "resnet", tmp_path / "alone", 330, 1)
    _, shared = fitted("distributed", "resnet", tmp_path / "shared", 330, 1)
    assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-4)
