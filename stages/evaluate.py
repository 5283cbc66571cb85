"""Measure the trained model on the training, validation and test split.

This is the only stage that measures anything on the test split. It writes the scores of all three splits, and for the
test split what a review needs: every prediction, the confusion matrix, and the images of all mistakes. Of the
validation split, it writes which images are classified correctly.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import artifacts, dataset, model_file, runtime, scores, tables
from classifier.errors import UserError
from classifier.params import Evaluate, load_params

if TYPE_CHECKING:
    import keras

SPLITS = ("train", "validation", "test")


def evaluate(
    prepared: Path,
    model: Path,
    metrics: Path,
    per_class: Path,
    predictions: Path,
    correct: Path,
    confused_pairs: Path,
    confusion_train: Path,
    confusion_test: Path,
    mistakes: Path,
) -> None:
    """Classify the splits below prepared with a .keras model; write its scores, tables and the images of mistakes.

    Raises:
        UserError: params, data or model are missing or invalid, or the model's outputs are not probabilities.
    """
    params = load_params()
    class_names = params.dataset.classes
    splits = dataset.load_splits(prepared, SPLITS, len(class_names))
    labels = {name: split.labels for name, split in splits.items()}
    test_images = splits["test"].images

    runtime.start(params.runtime)
    network = model_file.read_model(model, test_images.shape[1:], len(class_names))
    probabilities = {}
    for name in SPLITS:
        # Release each split once it is classified: the scores need memory, too
        probabilities[name] = classify(network, splits.pop(name).images, params.evaluate)
        print(f"{name}: {len(labels[name]):,} images classified")

    summaries = {split: scores.summary(labels[split], probabilities[split]) for split in SPLITS}
    by_class = {split: scores.per_class(labels[split], probabilities[split], class_names) for split in SPLITS}
    artifacts.write_json(metrics, summaries)
    tables.write(per_class, pd.concat(by_class, names=["split"]).reset_index("split"), tables.PER_CLASS)
    print(pd.DataFrame(summaries).T.round(4), by_class["test"].round(3).to_string(index=False), sep="\n\n")

    confusion = {split: scores.confusion_counts(labels[split], probabilities[split], class_names) for split in SPLITS}
    tables.write(confusion_train, confusion["train"], tables.CONFUSION)
    tables.write(confusion_test, confusion["test"], tables.CONFUSION)
    tables.write(confused_pairs, scores.confused_pairs(confusion["test"]), tables.CONFUSED_PAIRS)

    predicted = scores.predictions(labels["test"], probabilities["test"], class_names)
    tables.write(predictions, predicted, tables.predictions_schema(class_names))
    right = {split: probabilities[split].argmax(axis=1) == labels[split] for split in ("validation", "test")}
    rows = [(split, len(bits), tables.pack(bits)) for split, bits in right.items()]
    tables.write(correct, pd.DataFrame(rows, columns=list(tables.CORRECT)), tables.CORRECT)
    artifacts.write_array(mistakes, test_images[~right["test"]])


def classify(network: "keras.Model", images: NDArray[np.uint8], settings: Evaluate) -> NDArray[np.floating]:
    """The probability of every class for every image: float32 of shape (n, classes).

    images: of shape (n, height, width). With evaluate.flip_average, the probabilities are averaged over each image and
    its horizontal flip (test-time augmentation).

    Raises:
        UserError: the network's outputs are not probabilities.
    """
    from classifier.pieces import predict

    probabilities = predict(network, images, settings.batch_size)
    if settings.flip_average:
        probabilities = (probabilities + predict(network, images[:, :, ::-1], settings.batch_size)) / 2
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1, atol=0.01)):  # False for NaN
        raise UserError("the model's outputs are not probabilities; dvc repro --force train trains another one")
    return probabilities
