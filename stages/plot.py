"""Draw the pictures of the trained model's results from what train and evaluate wrote.

Puts the learning curves and the training's metrics where git keeps them, too: what train leaves is in the cache alone,
since DVC shares no finished run of a stage that writes to git.
"""

from pathlib import Path

from classifier import artifacts, cli, figures, results, scores
from classifier.params import load_params


def plot(
    history: Path,
    cost: Path,
    per_class: Path,
    confusion_train: Path,
    confusion_test: Path,
    predictions: Path,
    mistakes: Path,
    curves: Path,
    metrics: Path,
    pictures: Path,
) -> None:
    params = load_params()
    name, names = params.dataset.name, params.dataset.classes
    learning_curves = results.read_history(history)
    training_cost = results.read_cost(cost)
    test_scores = results.read_per_class(per_class, names).query("split == 'test'")
    predicted = results.read_predictions(predictions, names)
    wrong = scores.mistakes(predicted).sort_values("confidence", ascending=False, kind="stable")
    worst = wrong.head(params.plot.mistakes)
    captions = [f"{row.actual}\nas {row.predicted}, {row.confidence:.1%}" for row in worst.itertuples()]
    images = results.read_mistakes(mistakes, predicted)[worst.index]
    drawn = {
        "learning_curves": figures.learning_curves(learning_curves, f"{name}: learning curves"),
        "confusion_test": figures.confusion_matrix(results.read_confusion(confusion_test, names), f"{name}: test set"),
        "confusion_train": figures.confusion_matrix(
            results.read_confusion(confusion_train, names), f"{name}: training set"
        ),
        "per_class": figures.per_class_scores(test_scores, f"{name}: precision and recall on the test set"),
        "mistakes": figures.gallery(images, captions, f"{name}: the most confident mistakes on the test set"),
    }
    artifacts.write_csv(curves, learning_curves)
    artifacts.write_json(metrics, training_cost)
    with artifacts.replacing(pictures) as folder:
        folder.mkdir()
        for title, figure in drawn.items():
            artifacts.write_figure(folder / f"{title}.png", figure)
    print(f"{len(drawn)} pictures in {pictures}")


if __name__ == "__main__":
    cli.run(plot)
