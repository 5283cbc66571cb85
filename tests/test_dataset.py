"""IDX files are parsed strictly; splits are saved, loaded and drawn correctly."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from classifier import dataset
from classifier.errors import UserError
from classifier.params import File
from tests import idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


def test_an_idx_file_is_read_as_it_was_encoded(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_idx(tmp_path / "images", idx.encode(IMAGES)), IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with"),
        (b"\x00\x00\x08", "starts with"),
        (b"\x00\x00\x09\x03" + bytes(12), "starts with 00 00 09 03"),  # signed bytes
        (b"\x00\x00\x08\x01" + bytes(4), "starts with 00 00 08 01"),  # labels instead of images
        (b"\x00\x00\x08\x03" + bytes(11), "ends within its header"),
        (b"\x00\x00\x08\x03" + bytes(12), "require 16"),  # no images
        (idx.encode(IMAGES)[:-1], r"39 bytes, but its dimensions \(2, 3, 4\) require 40"),
        (idx.encode(IMAGES) + b"\x00", "41 bytes"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "require 79228162458924105385300197391"),  # the product does not overflow
    ],
)
def test_an_invalid_idx_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_idx(tmp_path / "images", content)


def test_an_idx_file_with_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(idx.encode(IMAGES))
    with pytest.raises(
        UserError, match=r"images has SHA-256 \w{64}, params\.yaml has 0{64}; make repro fetches it again"
    ):
        dataset.read_idx(tmp_path / "images", 3, "0" * 64)


def read_idx(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Write an IDX file of images with the given content, and read it with the hash of that content."""
    path.write_bytes(content)
    return dataset.read_idx(path, 3, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1, 2], "do not form a split"), ([0, 5], "label 5, but params.yaml names 5 classes, 0 to 4")],
)
def test_labels_must_fit_the_images_and_the_classes(tmp_path: Path, labels: list[int], message: str) -> None:
    files = []
    for name, array in (("images", IMAGES), ("labels", np.array(labels, np.uint8))):
        (tmp_path / name).write_bytes(idx.encode(array))
        files.append(File(name=name, sha256=hashlib.sha256(idx.encode(array)).hexdigest()))
    with pytest.raises(UserError, match=message):
        dataset.read_split(tmp_path, files[0], files[1], num_classes=5)


def test_a_split_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    split = dataset.Split(IMAGES, np.array([1, 0], np.uint8))
    dataset.save_split(tmp_path / "train", split)
    loaded = dataset.load_split(tmp_path / "train", num_classes=2)
    np.testing.assert_array_equal(loaded.images, split.images)
    np.testing.assert_array_equal(loaded.labels, split.labels)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (IMAGES.astype(np.float32), "must be uint8"),
        (IMAGES[:1], "do not form a split"),
        (IMAGES[..., None], "do not form a split"),
        (np.array([{"a": "pickle"}, 1], object), "not a whole NumPy array"),
    ],
)
def test_prepared_images_of_another_type_or_shape_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    dataset.save_split(tmp_path / "train", dataset.Split(IMAGES, np.array([1, 0], np.uint8)))
    np.save(tmp_path / "train" / "images.npy", array)
    with pytest.raises(UserError, match=message):
        dataset.load_split(tmp_path / "train", num_classes=2)


@pytest.mark.parametrize("kept", [0, 5, 130])
def test_a_truncated_array_is_refused(tmp_path: Path, kept: int) -> None:
    dataset.save_split(tmp_path / "train", dataset.Split(IMAGES, np.array([1, 0], np.uint8)))
    path = tmp_path / "train" / "images.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"images\.npy is not a whole NumPy array"):
        dataset.load_split(tmp_path / "train", num_classes=2)


def test_the_last_images_are_the_validation_split_by_default() -> None:
    training, validation = dataset.split_last(np.zeros(60_000, np.uint8), 0.1)
    assert (training[0], training[-1], validation[0], validation[-1]) == (0, 53_999, 54_000, 59_999)


def test_a_stratified_split_draws_the_same_fraction_of_each_class_and_depends_on_its_seed() -> None:
    labels = np.repeat(np.arange(5, dtype=np.uint8), [100, 50, 20, 200, 10])
    training, validation = dataset.split_stratified(labels, 0.2, seed=1)
    np.testing.assert_array_equal(np.bincount(labels[validation]), [20, 10, 4, 40, 2])
    np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(len(labels)))
    np.testing.assert_array_equal(validation, dataset.split_stratified(labels, 0.2, seed=1)[1])
    assert not np.array_equal(validation, dataset.split_stratified(labels, 0.2, seed=2)[1])
