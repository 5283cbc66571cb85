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
    splits = dataset.load_splits(prepared, SPLITS, len(names))
    labels = {name: split.labels for name, split in splits.items()}
    images = splits["test"].images

    runtime.start(params.runtime)
    network = artifacts.read_model(model, images.shape[1:], len(names))
    probabilities = {}
    for name in SPLITS:
        # Out of memory as soon as it is classified: scores take some, too
        probabilities[name] = classify(network, splits.pop(name).images, params.evaluate)
        print(f"{name}: {len(labels[name]):,} images classified")

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
    artifacts.write_array(mistakes, images[probabilities["test"].argmax(axis=1) != labels["test"]])


def classify(network: "keras.Model", images: NDArray[np.uint8], settings: Evaluate) -> NDArray[np.floating]:
    """The probability of every class for every image, of shape (n, classes).

    Raises:
        InputError: what the network returns are no probabilities.
    """
    batches = []
    for start in range(0, len(images), settings.batch_size):
        batch = images[start : start + settings.batch_size]
        predicted = network.predict_on_batch(batch)
        if settings.flip_average:
            predicted = (predicted + network.predict_on_batch(batch[:, :, ::-1])) / 2
        batches.append(predicted)
    probabilities: NDArray[np.floating] = np.concatenate(batches)
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1, atol=0.01)):  # nor if it is NaN
        raise cli.InputError("the model's outputs are no probabilities; dvc repro --force train trains it anew")
    return probabilities


if __name__ == "__main__":
    cli.run(evaluate)
