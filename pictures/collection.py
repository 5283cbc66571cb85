"""Pictures in folders that are named like their classes: found, converted, split and checked."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.dataset import split_stratified
from classifier.errors import UserError
from pictures import convert, files
from pictures.files import one_line

SPLITS = ("train", "test")
MAX_CLASSES = 256  # a label is a byte
EXAMPLES = 3  # in a note

Folders = dict[str, list[Path]]  # the picture files of each class


class Collection(NamedTuple):
    """Images with the files that they come from.

    paths: of n pictures. images: uint8 of shape (n, height, width). labels: uint8 of shape (n,), positions in the list
    of class names.
    """

    paths: list[Path]
    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def select(self, positions: NDArray[np.intp]) -> "Collection":
        """The pictures at the given positions."""
        return Collection([self.paths[place] for place in positions], self.images[positions], self.labels[positions])

    def counts(self, class_names: list[str]) -> NDArray[np.intp]:
        """The number of pictures of each class."""
        return np.bincount(self.labels, minlength=len(class_names))


def find(folder: Path) -> list[Folders]:
    """The classes in a folder: once, or for training and test if its subfolders are exactly train and test.

    The classes are in the order of their names, in which 2 comes before 10.

    Raises:
        UserError: there are not 2 to MAX_CLASSES classes, one has no files or a subfolder, or one is only in test.
    """
    found = [_find_classes(part) for part in _parts(folder)]
    if not 2 <= len(found[0]) <= MAX_CLASSES:
        number = f"{len(found[0])} subfolders with pictures"
        raise UserError(f"{one_line(folder)}: {number}; 2 to {MAX_CLASSES} are needed, one for each class")
    if unknown := found[-1].keys() - found[0].keys():
        raise UserError(f"{one_line(folder / SPLITS[1] / min(unknown))}: the class has no folder in {SPLITS[0]}")
    return found


def _parts(folder: Path) -> list[Path]:
    """The folders that have those of the classes: a folder itself, or its subfolders for training and test."""
    subfolders = _subfolders(folder)
    if {path.name for path in subfolders} == set(SPLITS) and all(map(_subfolders, subfolders)):
        return [folder / split for split in SPLITS]
    return [folder]


def _find_classes(folder: Path) -> Folders:
    found = sorted(_subfolders(folder), key=_in_natural_order)
    for subfolder in found:
        if inner := _subfolders(subfolder):
            raise UserError(f"{one_line(inner[0])}: a folder in that of a class, where only pictures may be")
        if not files.visible(subfolder):
            raise UserError(f"{one_line(subfolder)}: a class without pictures")
    return {subfolder.name: files.visible(subfolder) for subfolder in found}


def _subfolders(folder: Path) -> list[Path]:
    return [path for path in files.visible(folder) if path.is_dir()]


def _in_natural_order(path: Path) -> list[str | int]:
    """A key for sorting: names with their numbers as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def convert_all(folders: Folders, class_names: list[str], size: int, skip_unreadable: bool) -> Collection:
    """Convert the pictures of all classes to images of size×size pixels.

    skip_unreadable: leave out the files that cannot be read, and print which.

    Raises:
        UserError: files cannot be read; the message has the first ones. Or a class has none that can.
    """
    labels = {path: class_names.index(name) for name, paths in folders.items() for path in paths}
    images, errors = files.for_each(labels, lambda path: convert.load(path, (size, size)))
    if errors:
        summary = files.summary(errors, len(labels))
        if not skip_unreadable:
            raise UserError(f"{summary}\nWith --skip-unreadable, such files are left out.")
        print(f"left out: {summary}")
    if empty := folders.keys() - {class_names[labels[path]] for path in images}:
        raise UserError(f"no picture of the class {min(empty)} can be read")
    return Collection(
        list(images), np.stack(list(images.values())), np.array([labels[path] for path in images], np.uint8)
    )


def draw_test(pictures: Collection, fraction: float, seed: int) -> tuple[Collection, Collection]:
    """Split pictures into training and test, which gets `fraction` of each class, drawn at random.

    Of pictures that have become the same image, all are in the same split: a model must not be tested on images that it
    has seen.
    """
    originals = _originals(pictures.images)
    distinct = np.unique(originals)
    _, drawn = split_stratified(pictures.labels[distinct], fraction, seed)
    in_test = np.isin(originals, distinct[drawn])
    return pictures.select(np.flatnonzero(~in_test)), pictures.select(np.flatnonzero(in_test))


def shuffle(pictures: Collection, seed: int) -> Collection:
    """Pictures in random order, in which those that have become the same image stand together."""
    order = np.random.default_rng(seed).permutation(len(pictures.paths))
    originals = _originals(pictures.images)
    first = np.full(len(order), len(order))  # for each original, where in the order the first of its copies is
    np.minimum.at(first, originals, np.argsort(order))
    return pictures.select(np.argsort(first[originals], kind="stable"))


def check(training: Collection, test: Collection, class_names: list[str]) -> None:
    """Check that a model can be trained on all classes and tested.

    Raises:
        UserError: there are no test images, or a class has no training images.
    """
    if not test.paths:
        raise UserError("no class has enough pictures for a test image; a larger --test-fraction takes more of them")
    if untrained := _absent(training, class_names):
        raise UserError(
            f"the class {untrained[0]} has no training image; a smaller --test-fraction leaves more of them"
        )


def notes(folder: Path, training: Collection, test: Collection, class_names: list[str]) -> Iterator[str]:
    """What else a user should know about the dataset that a folder has become, one line each."""
    folders = dict.fromkeys([folder, *_parts(folder)])
    if outside := [one_line(path) for each in folders for path in files.visible(each) if not path.is_dir()]:
        yield f"files outside of the classes' folders, which are left out: {_examples(outside)}"
    paths = training.paths + test.paths
    images = np.concatenate([training.images, test.images])
    labels = np.concatenate([training.labels, test.labels])
    counts = training.counts(class_names) + test.counts(class_names)
    if single := [name for name, count in zip(class_names, counts, strict=True) if count == 1]:
        yield f"classes of a single picture: {_examples(single)}"
    if untested := _absent(test, class_names):
        yield f"classes without a test image, whose recall is not measured: {_examples(untested)}"
    if blank := [path for path, image in zip(paths, images, strict=True) if image.min() == image.max()]:
        yield f"images of one colour: {_examples(map(one_line, blank))}"
    copies = _copies(images)
    split = np.arange(len(paths)) < len(training.paths)
    for kind, groups in (
        ("pictures that become the same image", copies),
        ("of them, in several classes", [places for places in copies if len(set(labels[places])) > 1]),
        ("of them, in both training and test", [places for places in copies if len(set(split[places])) > 1]),
    ):
        if groups:
            equal = [sorted(one_line(paths[place]) for place in places) for places in groups]
            yield f"{kind}: {_examples(' = '.join(names[:EXAMPLES]) for names in sorted(equal))}"


def _copies(images: NDArray[np.uint8]) -> list[list[int]]:
    """The positions of equal images, for each image that occurs more than once."""
    places: dict[bytes, list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.tobytes(), []).append(place)
    return [equal for equal in places.values() if len(equal) > 1]


def _originals(images: NDArray[np.uint8]) -> NDArray[np.intp]:
    """For each image, the position of the first one that is equal."""
    originals = np.arange(len(images))
    for places in _copies(images):
        originals[places] = places[0]
    return originals


def _absent(pictures: Collection, class_names: list[str]) -> list[str]:
    """The classes of which there is no picture."""
    return [name for name, count in zip(class_names, pictures.counts(class_names), strict=True) if not count]


def _examples(found: Iterable[str]) -> str:
    """The number of what was found, and the first of it."""
    everything = list(found)
    return f"{len(everything):,} ({', '.join(everything[:EXAMPLES])}{', …' if len(everything) > EXAMPLES else ''})"
