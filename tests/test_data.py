"""The statements of docs/data.md about the images of Fashion-MNIST, checked on the real data."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.dataset import read_split
from classifier.params import load_params
from tests.conftest import ROOT


@pytest.mark.slow
def test_all_images_are_distinct_and_each_has_a_black_and_a_white_pixel(tmp_path: Path) -> None:
    params = load_params(ROOT / "params.yaml")
    raw = tmp_path / "raw"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages", "fetch", "--raw", str(raw)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    files, num_classes = params.dataset.files, len(params.dataset.classes)
    training = read_split(raw, files.train_images, files.train_labels, num_classes).images
    test = read_split(raw, files.test_images, files.test_labels, num_classes).images
    assert training.shape == (60_000, 28, 28)
    assert test.shape == (10_000, 28, 28)
    images = np.concatenate([training, test])
    assert len({image.tobytes() for image in images}) == 70_000
    pixels = images.reshape(len(images), -1)
    assert pixels.min(axis=1).max() == 0
    assert pixels.max(axis=1).min() == 254
