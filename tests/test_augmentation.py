"""Augmented images are the given ones, flipped, shifted and erased, and the same for the same seed."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from classifier import augmentation
from classifier.params import Augment

IMAGES = np.random.default_rng(0).integers(1, 256, (200, 28, 28, 1), np.uint8)
NONE = Augment(flip=False, shift=0, erase=0)


def augmented(seed: tuple[int, int] = (1, 2), **settings: Any) -> NDArray[np.uint8]:
    changed = augmentation.augment(tf.constant(IMAGES), NONE.model_copy(update=settings), tf.constant(seed, tf.int64))
    assert changed.dtype == tf.uint8
    assert changed.shape == IMAGES.shape
    return np.asarray(changed)


def test_nothing_is_changed_unless_asked_for() -> None:
    np.testing.assert_array_equal(augmented(), IMAGES)


def test_about_half_of_the_images_are_flipped() -> None:
    changed = augmented(flip=True)
    flipped = [np.array_equal(new, old[:, ::-1]) for new, old in zip(changed, IMAGES, strict=True)]
    same = [np.array_equal(new, old) for new, old in zip(changed, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(flipped, same, strict=True))
    assert 70 < sum(flipped) < 130


def test_every_shift_up_to_the_given_one_occurs_and_black_enters() -> None:
    changed = augmented(shift=2)
    padded = np.pad(IMAGES, ((0, 0), (2, 2), (2, 2), (0, 0)))
    found = set()
    for new, old in zip(changed, padded, strict=True):
        (offset,) = [(y, x) for y in range(5) for x in range(5) if np.array_equal(new, old[y : y + 28, x : x + 28])]
        found.add(offset)
    assert found == {(y, x) for y in range(5) for x in range(5)}


def test_a_square_is_erased_that_may_reach_over_the_edge() -> None:
    changed = augmented(erase=6)
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
def test_the_same_seed_makes_the_same_changes_and_another_one_others(settings: dict[str, Any]) -> None:
    first = augmented(**settings)
    np.testing.assert_array_equal(augmented(**settings), first)
    assert not np.array_equal(augmented(seed=(1, 3), **settings), first)
    assert not np.array_equal(augmented(seed=(2, 2), **settings), first)
