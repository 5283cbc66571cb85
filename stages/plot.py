"""Draw the pictures of the results that train and evaluate wrote.

Copies the learning curves, the training's summary and the hashes of the CPU's operations into the folders that git
keeps, too. Stage train leaves them in the cache alone, because DVC cannot share a finished run of a stage that writes
to git.
"""

from pathlib import Path

from classifier import artifacts, figures, scores, tables
from classifier.params import load_params


def plot(
    history: Path,
    summary: Path,
    operations: Path,
    per_class: Path,
    confusion_train: Path,
    confusion_test: Path,
    predictions: Path,
    mistakes: Path,
    curves: Path,
    metrics: Path,
    arithmetic: Path,
    pictures: Path,
) -> None:
    """Copy history to curves, summary to metrics and operations to arithmetic; draw the folder pictures.

    Raises:
        UserError: params.yaml or a file is missing or invalid.
    """
    params = load_params()
    name, class_names = params.dataset.name, params.dataset.classes
    learning_curves = tables.read_history(history)
    training_summary = tables.read_summary(summary)
    hashes = tables.read_operations(operations)
    test_scores = tables.read_per_class(per_class, class_names).query("split == 'test'")
    test_counts = tables.read_confusion(confusion_test, class_names)
    training_counts = tables.read_confusion(confusion_train, class_names)
    predicted = tables.read_predictions(predictions, class_names)
    worst = scores.mistakes(predicted, class_names).head(params.plot.mistakes)
    images = tables.read_mistakes(mistakes, predicted)[worst.index]
    drawn = {
        "learning_curves": figures.learning_curves(learning_curves, f"{name}: learning curves"),
        "confusion_test": figures.confusion_matrix(test_counts, f"{name}: confusion matrix of the test set"),
        "confusion_train": figures.confusion_matrix(training_counts, f"{name}: confusion matrix of the training set"),
        "per_class": figures.per_class_scores(test_scores, f"{name}: precision and recall on the test set"),
        "mistakes": figures.gallery(
            images, figures.captions(worst), f"{name}: the most confident mistakes on the test set"
        ),
    }
    tables.write(curves, learning_curves, tables.HISTORY)
    artifacts.write_json(metrics, training_summary)
    tables.write(arithmetic, hashes, tables.OPERATIONS)
    with artifacts.replacing(pictures) as folder:
        folder.mkdir()
        for title, figure in drawn.items():
            figures.write(folder / f"{title}.png", figure)
    print(f"{len(drawn)} pictures in {pictures}")
