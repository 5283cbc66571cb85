"""Other CPUs compute the same results as this one, operation by operation, and train the same weights."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT, is_untested_cpu, require

not_known_on_untested_cpus = pytest.mark.xfail(
    is_untested_cpu(), reason="no real CPU of this kind has been tested", strict=False
)

# Hashes all operations and trains each architecture for ten steps, with a last batch smaller than the others
PROGRAM = """
import json, zlib
import numpy as np
from classifier import params, runtime
from classifier.dataset import Split

all_params = params.load_params()
runtime.start(all_params.runtime)
import keras
from classifier import arithmetic, models, normalization, training

found = {"operations": arithmetic.operations()}
random = np.random.default_rng(0)
TRAININGS = {
    "cnn": (True, {"batch_size": 16, "piece_size": 8}),
    "resnet": (False, {"batch_size": 8, "piece_size": 4, "weight_decay": 0.05, "schedule": "cosine"}),
}
for name, (standardize, changes) in TRAININGS.items():
    size = changes["batch_size"]
    images = random.integers(0, 256, (10 * size - size // 4, 28, 28), np.uint8)
    split = Split(images, (np.arange(len(images)) % 10).astype(np.uint8))
    keras.utils.set_random_seed(1)
    network = models.build(params.Model(architecture=name, standardize=standardize, dropout=0.5), images, 10)
    train = all_params.train.model_copy(update={"epochs": 1, **changes})
    augment = params.Augment(flip=True, shift=1, erase=8)
    validation = Split(images[:size], split.labels[:size])
    curves = training.fit(network, split, validation, train, augment)
    weights = [np.ascontiguousarray(weight).tobytes() for weight in normalization.fold(network).get_weights()]
    found[name] = [f"{zlib.crc32(b''.join(weights)):08x}", curves.to_dict("list")]
print(json.dumps(found))
"""


def compute(*prefix: str) -> dict[str, Any]:
    """Run PROGRAM, after a prefix such as `qemu-x86_64` if given; return what it prints."""
    result = subprocess.run([*prefix, sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def native() -> dict[str, Any]:
    return compute()


@not_known_on_untested_cpus
@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["Haswell-noTSX", "EPYC-Rome", "Skylake-Client-noTSX-IBRS"])
def test_training_on_another_cpu_gives_the_same_bits(native: dict[str, Any], cpu: str) -> None:
    """The CPUs are emulated by qemu, which implements their instructions in software."""
    qemu = require(shutil.which("qemu-x86_64"), "qemu-user")
    emulated = compute(qemu, "-cpu", cpu)
    assert emulated == native
