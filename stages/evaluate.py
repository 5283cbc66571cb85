"""Measure the trained model on the training, validation and test split.

The only stage that reads the test split. Writes the scores of all three splits, and for the test split what a review
needs beyond them: every prediction, the confusions, and the images of all mistakes.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier import artifacts, cli, dataset, runtime, scores
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
    confused_pairs: Path,
    confusion_train: Path,
    confusion_test: Path,
    mistakes: Path,
) -> None:
    params = load_params()
    names = params.dataset.classes
    images, labels, probabilities = {}, {}, {}
    for split in SPLITS:
        images[split], labels[split] = dataset.load_split(prepared / split, len(names))

    runtime.start(params.runtime)
    network = artifacts.read_model(model)
    for split in SPLITS:
        probabilities[split] = classify(network, images[split], params.evaluate)
        print(f"{split}: {len(images[split]):,} images classified")

    summaries = {split: scores.summary(labels[split], probabilities[split]) for split in SPLITS}
    tables = {split: scores.per_class(labels[split], probabilities[split], names) for split in SPLITS}
    artifacts.write_json(metrics, summaries)
    artifacts.write_csv(per_class, pd.concat(tables, names=["split"]).reset_index("split"))
    print(pd.DataFrame(summaries).T.round(4), tables["test"].round(3).to_string(index=False), sep="\n\n")

    confusion = {split: scores.confusion_counts(labels[split], probabilities[split], names) for split in SPLITS}
    artifacts.write_csv(confusion_train, confusion["train"])
    artifacts.write_csv(confusion_test, confusion["test"])
    artifacts.write_csv(confused_pairs, scores.confused_pairs(confusion["test"]))

    artifacts.write_csv(predictions, scores.predictions(labels["test"], probabilities["test"], names))
    artifacts.write_array(mistakes, images["test"][probabilities["test"].argmax(axis=1) != labels["test"]])


def classify(network: "keras.Model", images: NDArray[np.uint8], settings: Evaluate) -> NDArray[np.floating]:
    """The probability of every class for every image, of shape (n, classes)."""
    probabilities: NDArray[np.floating] = network.predict(images, batch_size=settings.batch_size, verbose=0)
    if settings.flip_average:
        mirrored = network.predict(images[:, :, ::-1], batch_size=settings.batch_size, verbose=0)
        probabilities = (probabilities + mirrored) / 2
    return probabilities


if __name__ == "__main__":
    cli.run(evaluate)
