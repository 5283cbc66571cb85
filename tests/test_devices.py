"""Training on several devices, which share each batch, gives the curves of training on one device."""

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
split = Split(idx.make_images(labels, np.random.default_rng(0)), labels)
strategy = runtime.strategy(settings)
with strategy.scope():
    model = models.build(params.Model(architecture=architecture, standardize=False, dropout=0.0), split.images, 10)
    for last in epochs:  # each continues the previous one
        train = all_params.train.model_copy(update={"epochs": last, "batch_size": batch_size, "piece_size": batch_size})
        augment = all_params.augment.model_copy(update={"flip": True, "shift": 1})
        curves = training.fit(model, split, split, train, augment, checkpoint.Checkpoint(path, "this"))
print(json.dumps([strategy.num_replicas_in_sync, curves.to_dict("list")]))
"""


def fit(*arguments: object) -> tuple[int, dict[str, list[float]]]:
    """Run PROGRAM; return the number of devices that shared the batches, and the curves."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    devices, curves = json.loads(result.stdout.splitlines()[-1])
    return devices, curves


def test_training_on_two_devices_gives_the_curves_of_one(tmp_path: Path) -> None:
    devices, single = fit("single", "cnn", tmp_path / "single", 66, 4)
    assert devices == 1
    devices, distributed = fit("distributed", "cnn", tmp_path / "distributed", 66, 2, 4)
    assert devices == 2
    assert single["epoch"] == distributed["epoch"] == [1, 2, 3, 4]
    assert single["loss"][-1] < 0.9 * single["loss"][0]
    for name in ("loss", "val_loss"):
        assert distributed[name] == pytest.approx(single[name], rel=1e-4)


def test_batch_normalization_on_two_devices_uses_the_whole_batch(tmp_path: Path) -> None:
    _, single = fit("single", "resnet", tmp_path / "single", 330, 1)
    _, distributed = fit("distributed", "resnet", tmp_path / "distributed", 330, 1)
    assert distributed["loss"] == pytest.approx(single["loss"], rel=1e-4)
