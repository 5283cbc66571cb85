"""Images are flipped, shifted and erased as params.yaml says, and the same seed gives the same images."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from classifier import augmentation
from classifier.params import Augment

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 28, 28, 1), np.uint8)
OFF = Augment(flip=False, shift=0, erase=0)


def augment(seed: tuple[int, int] = (1, 2), **settings: Any) -> NDArray[np.uint8]:
    changed = augmentation.augment(tf.constant(IMAGES), OFF.model_copy(update=settings), tf.constant(seed, tf.int64))
    assert changed.dtype == tf.uint8
    assert changed.shape == IMAGES.shape
    return np.asarray(changed)


def test_images_are_unchanged_if_every_augmentation_is_off() -> None:
    np.testing.assert_array_equal(augment(), IMAGES)


def test_about_half_of_the_images_are_flipped() -> None:
    changed = augment(flip=True)
    flipped = [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, IMAGES, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(changed, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130


def test_every_shift_up_to_the_given_one_occurs_and_new_pixels_are_black() -> None:
    changed = augment(shift=2)
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)))
    found = set()
    for new, old in zip(changed, padded, strict=True):
        (offset,) = [(y, x) for y in range(5) for x in range(5) if np.array_equal(new, old[y : y + 28, x : x + 28])]
        found.add(offset)
    assert found == {(y, x) for y in range(5) for x in range(5)}


def test_the_erased_square_may_extend_beyond_the_edge() -> None:
    changed = augment(erase=6)
    sizes = set()
    for new, old in zip(changed, IMAGES, strict=True):
        rows, columns = (sorted(set(positions)) for positions in np.nonzero(new[..., 0] == 0))
        assert len(rows) in range(1, 7)
        assert rows == list(range(rows[0], rows[-1] + 1))
        assert columns == list(range(columns[0], columns[-1] + 1))
        kept = np.ones((28, 28), bool)
        kept[np.ix_(rows, columns)] = False
        np.testing.assert_array_equal(new[kept], old[kept])
        sizes.add((len(rows), len(columns)))
    assert (6, 6) in sizes
    assert len(sizes) > 1


@pytest.mark.parametrize("settings", [{"flip": True}, {"shift": 2}, {"erase": 6}])
def test_the_same_seed_gives_the_same_changes_and_another_seed_other_changes(settings: dict[str, Any]) -> None:
    first = augment(**settings)
    np.testing.assert_array_equal(augment(**settings), first)
    assert not np.array_equal(augment(seed=(1, 3), **settings), first)
    assert not np.array_equal(augment(seed=(2, 2), **settings), first)
