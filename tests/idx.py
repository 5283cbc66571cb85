"""A tiny synthetic dataset in MNIST's format that a network can learn within seconds."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pictures.dataset import NAMES as NAMES
from pictures.dataset import encode as encode


def make_images(labels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Make a noisy 28×28 image for each label, with a bright bar whose position depends on the class."""
    images = random.integers(0, 120, (len(labels), 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 + 2 * label : 6 + 2 * label, 4:24] += 100
    return images


def write_dataset(folder: Path, training: int = 600, test: int = 200) -> dict[str, dict[str, str]]:
    """Write the four files of a dataset and return their entries for dataset.files in params.yaml."""
    random = np.random.default_rng(0)
    files = {}
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", training), ("test", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        random.shuffle(labels)
        for kind, array in (("images", make_images(labels, random)), ("labels", labels)):
            name, content = NAMES[f"{split}_{kind}"], encode(array)
            (folder / name).write_bytes(content)
            files[f"{split}_{kind}"] = {"name": name, "sha256": hashlib.sha256(content).hexdigest()}
    return files
