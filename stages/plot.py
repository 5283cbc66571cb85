"""Draw the pictures of the trained model's results from what train and evaluate wrote.

Puts the learning curves where git keeps them, too, for DVC's own plots.
"""

from pathlib import Path

from classifier import artifacts, cli, figures, scores
from classifier.params import load_params


def plot(
    history: Path,
    per_class: Path,
    confusion_train: Path,
    confusion_test: Path,
    predictions: Path,
    mistakes: Path,
    curves: Path,
    pictures: Path,
) -> None:
    params = load_params()
    name = params.dataset.name
    learning_curves = artifacts.read_csv(history)
    test_scores = artifacts.read_csv(per_class).query("split == 'test'")
    wrong = scores.mistakes(artifacts.read_csv(predictions)).sort_values("confidence", ascending=False, kind="stable")
    worst = wrong.head(params.plot.mistakes)
    captions = [f"{row.actual}\nas {row.predicted}, {row.confidence:.1%}" for row in worst.itertuples()]
    images = artifacts.read_array(mistakes)[worst.index]
    drawn = {
        "learning_curves": figures.learning_curves(learning_curves, f"{name}: learning curves"),
        "confusion_test": figures.confusion_matrix(artifacts.read_csv(confusion_test), f"{name}: test set"),
        "confusion_train": figures.confusion_matrix(artifacts.read_csv(confusion_train), f"{name}: training set"),
        "per_class": figures.per_class_scores(test_scores, f"{name}: precision and recall on the test set"),
        "mistakes": figures.gallery(images, captions, f"{name}: the most confident mistakes on the test set"),
    }
    artifacts.write_csv(curves, learning_curves)
    with artifacts.replacing(pictures) as folder:
        folder.mkdir()
        for title, figure in drawn.items():
            artifacts.write_figure(folder / f"{title}.png", figure)
    print(f"{len(drawn)} pictures in {pictures}")


if __name__ == "__main__":
    cli.run(plot)
