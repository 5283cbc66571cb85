"""Turn the raw IDX files into the arrays of the training, validation and test split.

The validation images are held out of the training images. The test files become the test split as they are.
"""

from pathlib import Path

from classifier import dataset
from classifier.errors import UserError
from classifier.params import load_params


def prepare(raw: Path, prepared: Path) -> None:
    """Read the IDX files in raw, and write the three splits below prepared.

    Raises:
        UserError: a file is missing or broken, or a split would be empty.
    """
    params = load_params()
    files = params.dataset.files
    num_classes = len(params.dataset.classes)
    full = dataset.read_split(raw, files.train_images, files.train_labels, num_classes)
    test = dataset.read_split(raw, files.test_images, files.test_labels, num_classes)
    if full.images.shape[1:] != test.images.shape[1:]:
        raise UserError(f"training images are {full.images.shape[1:]}, test images {test.images.shape[1:]} pixels")

    fraction = params.prepare.validation_fraction
    if params.prepare.split == "last":
        training, validation = dataset.split_last(full.labels, fraction)
    else:
        training, validation = dataset.split_stratified(full.labels, fraction, params.prepare.seed)
    if not len(training) or not len(validation):
        raise UserError(
            f"prepare.validation_fraction {fraction} of {len(full.labels)} images leaves "
            f"{len(training)} for training and {len(validation)} for validation; both need some"
        )

    dataset.save_split(prepared / "train", full, training)
    dataset.save_split(prepared / "validation", full, validation)
    dataset.save_split(prepared / "test", test)
    print(f"{len(training)} training, {len(validation)} validation, {len(test.labels)} test images")
