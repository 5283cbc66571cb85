"""Classify picture files with the trained model.

    python -m pictures.predict PATH...

PATH is a picture or a folder of pictures. Prints the three most probable classes of each picture, and writes into the
folder predictions a table with the probability of every class, and a figure with the pictures, the images that the
network sees, and the probabilities. If some files cannot be read, the others are classified and the exit status is 1.
"""

import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from classifier import artifacts, model_file, runtime, tables
from classifier import figures as classifier_figures
from classifier.errors import UserError
from classifier.notation import percent
from classifier.params import PARAMS, Params, load_params, load_yaml
from pictures import convert, figures, files, likeness
from project import cli, paths, seeds, snapshot
from stages import evaluate

TABLE, FIGURE = "predictions.csv", "predictions.png"
SCHEMA: tables.Schema = {"file": str, "class": str, "probability": float}
HEAD = ("picture", "most probable class", "second", "third")
UNSURE = 0.5  # smaller probabilities of the most probable class are noted
DRAWN = 20  # pictures in the figure
THUMBNAIL = 400  # pixels, the longest edge of a picture in the figure


def main() -> None:
    parser = cli.parser(__doc__)
    parser.add_argument("paths", nargs="+", type=files.given, metavar="PATH", help="a picture, or a folder of pictures")
    parser.add_argument("--model", type=Path, default=paths.MODEL, metavar="FILE", help=f"default {paths.MODEL}")
    default = paths.PREDICTED
    parser.add_argument("--output", type=Path, default=default, metavar="FOLDER", help=f"default {default}")
    options = parser.parse_args()
    params = load_params()
    cli.check_replaceable(options.output, (TABLE, FIGURE), "earlier predictions")
    shape = image_shape(options.model)
    if options.model == paths.MODEL and paths.DVC_LOCK.exists():
        check_classes(params)
    found, errors = files.pictures_in(options.paths)
    images, unreadable = files.for_each(found, lambda path: convert.load(path, shape))
    if images:
        predict(images, options.model, params, options.output)
    if errors := errors + unreadable:
        raise files.summary(errors, len(images) + len(errors))


def image_shape(model: Path) -> tuple[int, int]:
    """The height and width of the images that a .keras model takes, read without TensorFlow.

    Raises:
        UserError: the file is missing or is not a model of images.
    """
    try:
        with model_file.open_archive(model) as archive:
            config = json.loads(archive.read("config.json"))
        _, height, width, _ = config["config"]["layers"][0]["config"]["batch_shape"]
        return int(height), int(width)
    except FileNotFoundError:
        raise UserError(f"{model} is missing; make repro trains it") from None
    except Exception as error:  # of any kind: the file can have any content
        reason = " ".join((str(error) or type(error).__name__).split())
        raise UserError(f"{model} is not a model of this pipeline ({reason:.200}); make repro trains one") from None


def check_classes(params: Params) -> None:
    """Check that the pipeline's model has the classes of params.yaml, which it does not contain itself.

    Raises:
        UserError: it was trained with others, or is not that of dvc.lock.
    """
    lock = load_yaml(paths.DVC_LOCK)["stages"]
    if (trained := seeds.model(lock)) is None:
        return
    if snapshot.md5(paths.MODEL.read_bytes()) != trained:
        raise UserError(
            f"{paths.MODEL} is not the model of {paths.DVC_LOCK}; dvc checkout restores it, make repro trains"
        )
    if lock["train"].get("params", {}).get(str(PARAMS), {}).get("dataset.classes") != params.dataset.classes:
        raise UserError(f"{paths.MODEL} was trained with other classes than those of {PARAMS}; make repro trains again")


def predict(images: dict[Path, NDArray[np.uint8]], model: Path, params: Params, output: Path) -> None:
    """Classify images, given by the paths of their pictures; print the results, and write the folder output.

    images: uint8, of the model's shape (height, width).

    Raises:
        UserError: the model is invalid, or the folder cannot be written.
    """
    class_names = params.dataset.classes
    stacked = np.stack(list(images.values()))
    runtime.start(params.runtime)
    network = model_file.read_model(model, stacked.shape[1:], len(class_names))
    probabilities = evaluate.classify(network, stacked, params.evaluate)

    names = [files.one_line(path) for path in images]
    notes = unusual(stacked, probabilities, len(class_names))
    print_results(names, probabilities, class_names, notes)
    drawn = [
        figures.Row(files.one_line(Path(path.name)), thumbnail(path), *row)
        for path, *row in list(zip(images, stacked, probabilities, notes, strict=True))[:DRAWN]
    ]
    count = f"{len(drawn)} of {len(names):,} pictures" if len(drawn) < len(names) else "predictions"
    figure = figures.predictions(drawn, class_names, f"{params.dataset.name}: {count}")
    with artifacts.replacing(output) as folder, warnings.catch_warnings(action="ignore"):  # characters without a glyph
        folder.mkdir()
        tables.write(folder / TABLE, as_table(names, probabilities, class_names), SCHEMA)
        classifier_figures.write(folder / FIGURE, figure)
    print(f"Figure and table: {output / FIGURE}, {output / TABLE}", file=sys.stderr)


def thumbnail(path: Path) -> Image.Image:
    """A picture file, reduced for the figure.

    Raises:
        UserError: as by convert.read.
    """
    picture = convert.read(path)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture


def unusual(images: NDArray[np.uint8], probabilities: NDArray[np.floating], num_classes: int) -> list[str]:
    """For each image, what a reader of its prediction should know; an empty text if it is usual."""
    try:
        usual = likeness.usual_range(paths.TRAINING_SPLIT, images.shape[1:], num_classes)
    except UserError as error:
        print(f"The pictures are not compared with the training images: {error}", file=sys.stderr)
        differences = [""] * len(images)
    else:
        differences = likeness.differences(images, usual)
    unsure = [share < UNSURE and f"unsure: no class has {percent(UNSURE, 0)}" for share in probabilities.max(axis=1)]
    unlike = [difference and f"unlike the training images: {difference}" for difference in differences]
    return ["; ".join(filter(None, notes)) for notes in zip(unsure, unlike, strict=True)]


def print_results(
    names: Sequence[str], probabilities: NDArray[np.floating], class_names: Sequence[str], notes: Sequence[str]
) -> None:
    """Print a table with the most probable classes of each picture, and the notes below it."""
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, : len(HEAD) - 1]
    rows = [HEAD[: 1 + order.shape[1]]]
    for name, labels, shares in zip(names, order, probabilities, strict=True):
        rows.append((name, *(f"{class_names[label]} {percent(shares[label], 1)}" for label in labels)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for name, note in zip(names, notes, strict=True):
        if note:
            print(f"{name}: {note}")


def as_table(names: Sequence[str], probabilities: NDArray[np.floating], class_names: Sequence[str]) -> pd.DataFrame:
    """One row per picture and class with the columns of SCHEMA, to four decimals as in metrics/predictions.csv."""
    return pd.DataFrame(
        {
            "file": np.repeat(names, len(class_names)),
            "class": np.tile(class_names, len(names)),
            "probability": probabilities.ravel().astype(np.float64).round(4),
        }
    )


if __name__ == "__main__":
    with cli.one_line_errors("predict", lists=True):
        main()
