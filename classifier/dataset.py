"""IDX files, the training, validation and test splits, and the arrays in which the splits are stored."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier import artifacts
from classifier.errors import UserError
from classifier.params import File

UNSIGNED_BYTE = 0x08  # IDX's code for uint8, the only element type that MNIST and its successors use


class Split(NamedTuple):
    """Images and their labels, the same number of both.

    images: uint8 of shape (n, height, width), 0 black to 255 white.
    labels: uint8 of shape (n,), positions in the list of class names.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_idx(path: Path, dimensions: int, sha256: str) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes that has the given number of dimensions and SHA-256.

    The format: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian 32-bit
    integer, then the elements (Yann LeCun, The MNIST database of handwritten digits).

    Raises:
        UserError: the file is missing, its content has another hash, or its magic number, a dimension or the size
            is not what the format and the caller require.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make repro fetches it") from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise UserError(f"{path} has SHA-256 {found}, params.yaml has {sha256}; make repro fetches it again")
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if content[:4] != magic:
        raise UserError(
            f"{path} starts with {content[:4].hex(' ')}, but IDX with {dimensions} dimensions with {magic.hex(' ')}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{path} ends within its header")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    expected = header + np.prod(shape, dtype=object)  # Python integers do not overflow
    if 0 in shape or len(content) != expected:
        raise UserError(f"{path} has {len(content)} bytes, but its dimensions {shape} require {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_split(folder: Path, images: File, labels: File, num_classes: int) -> Split:
    """Read a pair of IDX files in a folder: images and their labels, which are below num_classes.

    Raises:
        UserError: as by read_idx, or images and labels differ in number, or a label is too large.
    """
    split = Split(read_idx(folder / images.name, 3, images.sha256), read_idx(folder / labels.name, 1, labels.sha256))
    return _checked(split, num_classes, f"{folder / images.name} and {labels.name}")


def save_split(folder: Path, split: Split, positions: NDArray[np.intp] | None = None) -> None:
    """Write a split, or only the images at the given positions, as images.npy and labels.npy into a new folder.

    Raises:
        UserError: the folder cannot be written; an earlier one stays as it was.
    """
    with artifacts.replacing(folder) as temporary:
        temporary.mkdir()
        for name, array in split._asdict().items():
            artifacts.write_array(temporary / f"{name}.npy", array, positions)


def load_split(folder: Path, num_classes: int) -> Split:
    """Load a split that save_split wrote.

    Raises:
        UserError: an array is missing or broken, or has the wrong shape, type or range.
    """
    arrays = (artifacts.read_array(folder / f"{name}.npy") for name in Split._fields)
    return _checked(Split(*arrays), num_classes, str(folder))


def load_splits(folder: Path, names: Iterable[str], num_classes: int) -> dict[str, Split]:
    """Load several splits of one dataset, each from the subfolder of its name.

    Raises:
        UserError: as by load_split, or the splits' images have different sizes.
    """
    splits = {name: load_split(folder / name, num_classes) for name in names}
    sizes = {name: split.images.shape[1:] for name, split in splits.items()}
    if len(set(sizes.values())) > 1:
        raise UserError(f"{folder}: the splits' images have different sizes: {sizes}")
    return splits


def split_last(labels: NDArray[np.uint8], fraction: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The positions of the training and of the validation images. Validation gets the last `fraction` of them."""
    positions = np.arange(len(labels))
    kept = len(labels) - round(len(labels) * fraction)
    return positions[:kept], positions[kept:]


def split_stratified(
    labels: NDArray[np.uint8], fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The positions of the training and of the validation images, both in the dataset's order.

    Validation gets `fraction` of every class, drawn at random.
    """
    random = np.random.default_rng(seed)
    validation = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        validation[random.permutation(positions)[: round(len(positions) * fraction)]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def _checked(split: Split, num_classes: int, source: str) -> Split:
    images, labels = split
    if images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise UserError(f"{source}: {images.dtype} images and {labels.dtype} labels, both must be uint8")
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not images.size:
        raise UserError(
            f"{source}: images of shape {images.shape} and labels of shape {labels.shape} do not form a split"
        )
    if labels.max() >= num_classes:
        raise UserError(
            f"{source}: label {labels.max()}, but params.yaml names {num_classes} classes, 0 to {num_classes - 1}"
        )
    return split
