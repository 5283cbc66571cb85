"""Turn the raw IDX files into the arrays of the training, validation and test split.

The validation images are held out of the training images; the test files become the test split as they are.
"""

from pathlib import Path

from classifier import cli, dataset
from classifier.params import load_params


def prepare(raw: Path, prepared: Path) -> None:
    params = load_params()
    files = params.dataset.files
    classes = len(params.dataset.classes)
    full = dataset.read_split(raw, files.train_images, files.train_labels, classes)
    test = dataset.read_split(raw, files.test_images, files.test_labels, classes)
    if full.images.shape[1:] != test.images.shape[1:]:
        raise cli.InputError(f"training images are {full.images.shape[1:]}, test images {test.images.shape[1:]} pixels")

    fraction = params.prepare.validation_fraction
    if params.prepare.split == "last":
        training, validation = dataset.split_last(full.labels, fraction)
    else:
        training, validation = dataset.split_stratified(full.labels, fraction, params.prepare.seed)
    if not len(training) or not len(validation):
        raise cli.InputError(
            f"prepare.validation_fraction {fraction} of {len(full.labels)} images leaves "
            f"{len(training)} for training and {len(validation)} for validation; both need some"
        )

    dataset.save_split(prepared / "train", full, training)
    dataset.save_split(prepared / "validation", full, validation)
    dataset.save_split(prepared / "test", test)
    print(f"{len(training)} training, {len(validation)} validation, {len(test.labels)} test images")


if __name__ == "__main__":
    cli.run(prepare)
