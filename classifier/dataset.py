"""IDX files, the splits made of them, and the arrays the splits are kept in."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier import artifacts
from classifier.cli import InputError
from classifier.params import File

UNSIGNED_BYTE = 0x08  # IDX's code of the only element type this dataset family uses


class Split(NamedTuple):
    """Images and their labels, the same number of both.

    images: uint8 of shape (n, height, width), 0 black to 255 white.
    labels: uint8 of shape (n,), positions in the list of class names.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_idx(path: Path, dimensions: int, sha256: str) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes with the given number of dimensions and the hash of its content.

    The format: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian 32-bit
    integer, then the elements (Yann LeCun, The MNIST database of handwritten digits).

    Raises:
        InputError: the file is missing, its content has another hash, or its magic number, a dimension or the size
            is not what the format and the caller ask for.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} is missing; dvc repro fetches it") from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise InputError(f"{path} has SHA-256 {found}, params.yaml has {sha256}; dvc repro fetches it anew")
    magic = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if content[:4] != magic:
        raise InputError(
            f"{path} starts with {content[:4].hex(' ')}, IDX with {dimensions} dimensions: {magic.hex(' ')}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise InputError(f"{path} ends within its header")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, 4))
    expected = header + np.prod(shape, dtype=object)  # Python integers do not overflow
    if 0 in shape or len(content) != expected:
        raise InputError(f"{path} has {len(content)} bytes; its dimensions {shape} make {expected}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_split(folder: Path, images: File, labels: File, classes: int) -> Split:
    """Read a pair of a folder's IDX files: images of shape (n, height, width) and n labels below `classes`.

    Raises:
        InputError: one of the files is no such file, or they do not belong together.
    """
    split = Split(read_idx(folder / images.name, 3, images.sha256), read_idx(folder / labels.name, 1, labels.sha256))
    return _checked(split, classes, f"{folder / images.name} and {labels.name}")


def save_split(folder: Path, split: Split, positions: NDArray[np.intp] | None = None) -> None:
    """Write a split, or what is at those positions of it, as images.npy and labels.npy into a folder.

    The folder takes its place whole.
    """
    with artifacts.replacing(folder) as temporary:
        temporary.mkdir()
        for name, array in split._asdict().items():
            artifacts.write_array(temporary / f"{name}.npy", array, positions)


def load_split(folder: Path, classes: int) -> Split:
    """Load what save_split wrote.

    Raises:
        InputError: an array is missing, broken, or not of a split's shape, type and range.
    """
    arrays = (artifacts.read_array(folder / f"{name}.npy") for name in Split._fields)
    return _checked(Split(*arrays), classes, str(folder))


def load_splits(folder: Path, names: Iterable[str], classes: int) -> dict[str, Split]:
    """Load several splits of one dataset by name.

    Raises:
        InputError: as by load_split, or their images are not of one size.
    """
    splits = {name: load_split(folder / name, classes) for name in names}
    sizes = {name: split.images.shape[1:] for name, split in splits.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"{folder}: the splits' images have different sizes: {sizes}")
    return splits


def split_last(labels: NDArray[np.uint8], fraction: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The positions of the training and of the validation images: validation is the last `fraction` of them."""
    positions = np.arange(len(labels))
    kept = len(labels) - round(len(labels) * fraction)
    return positions[:kept], positions[kept:]


def split_stratified(
    labels: NDArray[np.uint8], fraction: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same, but `fraction` of every class is drawn at random for validation; both keep the dataset's order."""
    random = np.random.default_rng(seed)
    validation = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        positions = np.flatnonzero(labels == label)
        validation[random.permutation(positions)[: round(len(positions) * fraction)]] = True
    return np.flatnonzero(~validation), np.flatnonzero(validation)


def _checked(split: Split, classes: int, source: str) -> Split:
    images, labels = split
    if images.dtype != np.uint8 or labels.dtype != np.uint8:
        raise InputError(f"{source}: {images.dtype} images and {labels.dtype} labels, both must be uint8")
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not images.size:
        raise InputError(f"{source}: images of shape {images.shape} and labels of shape {labels.shape} are no split")
    if labels.max() >= classes:
        raise InputError(f"{source}: label {labels.max()}, but params.yaml names {classes} classes, 0 to {classes - 1}")
    return split
