"""Draw the learning curves of the training that is in progress in this folder, again after each epoch.

    python -m project.curves

Run it in another terminal while dvc repro trains. It draws curves.png, which an editor such as VS Code shows and
reloads, and ends when the model is saved. The curves are those in the state that train saves after each epoch.
"""

import time
import zipfile
from contextlib import suppress

import numpy as np
import pandas as pd

from classifier import figures
from classifier.errors import UserError
from classifier.tables import CURVES
from project import cli, paths

SECONDS = 1  # between two looks at the file


def main() -> None:
    cli.parser(__doc__).parse_args()
    if not paths.CHECKPOINT.exists():
        raise UserError(f"no training here has finished an epoch: {paths.CHECKPOINT} is missing; start dvc repro")
    drawn = None
    with suppress(FileNotFoundError):  # train has ended, and removed it
        while True:
            modified = paths.CHECKPOINT.stat().st_mtime_ns
            if modified != drawn:
                draw(read())
                drawn = modified
            time.sleep(SECONDS)


def read() -> pd.DataFrame:
    """The learning curves so far, with the columns of tables.HISTORY.

    Raises:
        UserError: the file is not the state of a training.
        FileNotFoundError: there is no such file.
    """
    try:
        with np.load(paths.CHECKPOINT, allow_pickle=False) as saved:
            curves = pd.DataFrame(saved["curves"], columns=CURVES)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{paths.CHECKPOINT} is not the state of a training ({' '.join(str(error).split())})") from None
    curves.insert(0, "epoch", range(1, len(curves) + 1))
    return curves


def draw(curves: pd.DataFrame) -> None:
    """Write the figure, and print the values of the last epoch."""
    figure, panels = figures.curve_axes(f"Training, after epoch {len(curves)}")
    for score, axes in panels.items():
        epoch, validation = curves["epoch"], curves[f"val_{score}"]
        axes.plot(epoch, curves[score], "-o", markersize=3, color=figures.BLUE, label="training")
        axes.plot(epoch, validation, "--s", markersize=3, color=figures.ORANGE, label="validation")
    figures.legend_below(figure)
    figures.write(paths.LIVE_CURVES, figure)
    last = curves.iloc[-1]
    print(f"epoch {last['epoch']:.0f}: val_loss {last['val_loss']:.4f}, val_accuracy {last['val_accuracy']:.4f}")


if __name__ == "__main__":
    with cli.one_line_errors("project.curves"):
        main()
