"""A Keras model as a file: train writes it, evaluate reads it."""

import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from classifier import artifacts
from classifier.errors import UserError

if TYPE_CHECKING:
    import keras

LARGEST = 2**30  # bytes of an unpacked model, and of what a small hostile archive may become in memory
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the zip format can express


def write_model(path: Path, model: "keras.Model") -> None:
    """Write a model in Keras's format .keras, the same bytes for the same model.

    Keras puts the date, zip times and memory addresses (shared_object_id) into the archive. Here the date is removed,
    the times are fixed, and the addresses are numbered in order of appearance. The model loads with the same weights
    and optimizer state.

    Raises:
        UserError: the file cannot be written.
    """
    with artifacts.replacing(path) as temporary:
        saved = temporary.with_name("saved.keras")  # Keras insists on the suffix
        model.save(saved)
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(temporary, "w") as target:
            for name in sorted(source.namelist()):
                target.writestr(zipfile.ZipInfo(name, ZIP_TIME), _canonical(name, source.read(name)))


def read_model(path: Path, image_shape: tuple[int, ...], num_classes: int) -> "keras.Model":
    """Load a model that write_model wrote, unpacked at most LARGEST. No code in the file is run. Imports TensorFlow.

    image_shape: (height, width) in pixels.

    Raises:
        UserError: the file is missing, is not a whole .keras archive, or does not map (n, height, width, 1) to
            (n, num_classes).
    """
    import keras

    try:
        with open_archive(path):
            pass
        model = keras.saving.load_model(path, safe_mode=True)
        shapes = model.input_shape, model.output_shape
    except Exception as error:  # of any kind: Keras builds what the file asks for before all of it is checked
        reason = " ".join((str(error) or type(error).__name__).split())
        raise UserError(f"{path} is not a whole Keras model ({reason:.200}); make repro trains it") from error
    if shapes != ((None, *image_shape, 1), (None, num_classes)):
        raise UserError(
            f"{path} maps {shapes[0]} to {shapes[1]}, but the data has {image_shape} images and {num_classes} classes"
        )
    return model


def open_archive(path: Path) -> zipfile.ZipFile:
    """The .keras archive, open for reading.

    Raises:
        ValueError: unpacked, it is larger than LARGEST.
        OSError, zipfile.BadZipFile: it cannot be read.
    """
    archive = zipfile.ZipFile(path)
    size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        archive.close()
        raise ValueError(f"unpacked, it has {size:,} bytes, but at most {LARGEST:,} are read")
    return archive


def _canonical(name: str, content: bytes) -> bytes:
    """A member of the archive without what differs between two saves of one model."""
    if name == "metadata.json":
        metadata = json.loads(content)
        del metadata["date_saved"]
        return json.dumps(metadata).encode()
    if name == "config.json":
        numbers: dict[bytes, int] = {}
        return re.sub(
            rb'("shared_object_id": )(\d+)',
            lambda match: match[1] + str(numbers.setdefault(match[2], len(numbers))).encode(),
            content,
        )
    return content
