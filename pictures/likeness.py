"""Whether images are unlike the training images: simple statistics of each that are outside of the usual range."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import dataset
from classifier.errors import UserError
from classifier.notation import percent

BLACK, WHITE = 15, 240  # pixels up to, and from, these intensities count as black and white
USUAL = (0.001, 0.999)  # quantiles of the training images between which a statistic is usual


def statistics(images: NDArray[np.uint8]) -> pd.DataFrame:
    """One row per image of shape (n, height, width): mean intensities, 0 to 255, and shares of black and white pixels.

    "at the edge" is the outermost row or column of pixels on each side, which in most datasets shows the background.
    """
    pixels = images.reshape(len(images), -1)
    edge = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    return pd.DataFrame(
        {
            "mean intensity": pixels.mean(axis=1),
            "mean intensity at the edge": edge.mean(axis=1),
            "black pixels": (pixels <= BLACK).mean(axis=1),
            "white pixels": (pixels >= WHITE).mean(axis=1),
        }
    )


def usual_range(folder: Path, shape: tuple[int, int], num_classes: int) -> pd.DataFrame:
    """The usual range of each statistic among the training images in a folder: rows low and high.

    shape: (height, width) of the images that will be compared with them.

    Raises:
        UserError: the folder is missing or invalid, or its images have another size.
    """
    images = dataset.load_split(folder, num_classes).images
    if images.shape[1:] != shape:
        raise UserError(f"the images in {folder} are {'×'.join(map(str, images.shape[1:]))} pixels")
    return statistics(images).quantile(list(USUAL)).set_axis(["low", "high"])


def differences(images: NDArray[np.uint8], usual: pd.DataFrame) -> list[str]:
    """For each image, which of its statistics are outside of the usual range; an empty text if none is."""
    found: list[list[str]] = [[] for _ in images]
    for name, values in statistics(images).items():
        low, high = usual[name]
        for texts, value in zip(found, values, strict=True):
            if not low <= value <= high:
                numbers = [_number(str(name), number) for number in (value, low, high)]
                texts.append("{} {} (theirs: {} to {})".format(name, *numbers))
    return [", ".join(texts) for texts in found]


def _number(name: str, value: float) -> str:
    return f"{value:.0f}" if name.startswith("mean") else percent(value, 0)
