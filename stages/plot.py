"""Draw the pictures of the trained model's results from what train and evaluate wrote."""

from pathlib import Path

import numpy as np

from classifier import artifacts, cli, figures
from classifier.params import load_params


def plot(
    history: Path, per_class: Path, confusion_train: Path, confusion_test: Path, mistakes: Path, pictures: Path
) -> None:
    params = load_params()
    name = params.dataset.name
    scores = artifacts.read_csv(per_class).query("split == 'test'")
    with np.load(mistakes, allow_pickle=False) as arrays:
        wrong = dict(arrays)
    drawn = {
        "learning_curves": figures.learning_curves(artifacts.read_csv(history), f"{name}: learning curves"),
        "confusion_test": figures.confusion_matrix(artifacts.read_csv(confusion_test), f"{name}: test set"),
        "confusion_train": figures.confusion_matrix(artifacts.read_csv(confusion_train), f"{name}: training set"),
        "per_class": figures.per_class_scores(scores, f"{name}: precision and recall on the test set"),
        "mistakes": figures.mistake_gallery(
            **wrong, names=params.dataset.classes, title=f"{name}: the most confident mistakes on the test set"
        ),
    }
    with artifacts.replacing(pictures) as folder:
        folder.mkdir()
        for title, figure in drawn.items():
            artifacts.write_figure(folder / f"{title}.png", figure)
    print(f"{len(drawn)} pictures in {pictures}")


if __name__ == "__main__":
    cli.run(plot)
