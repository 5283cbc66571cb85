"""The speed of this pipeline's training with the recipe of params.yaml.

    python -m benchmarks.pipeline FOLDER

FOLDER holds a training split. Prints the speed in the last epoch, in images per second, and the number of
floating-point operations of the training per image.
"""

import sys
from pathlib import Path

from classifier import dataset, runtime
from classifier.params import Params, load_params
from project.verdict import training_operations

EPOCHS = 2  # the first includes TensorFlow's tracing, the second counts


def measure(params: Params, split: dataset.Split) -> tuple[float, int]:
    """Train the model of the params for EPOCHS; returns images per second, and operations per image."""
    from benchmarks.timer import EpochTimer
    from classifier import models, training

    model = models.build(params.model, split.images, len(params.dataset.classes))
    few = dataset.Split(split.images[:100], split.labels[:100])  # the plain script has no validation
    timer = EpochTimer()
    settings = params.train.model_copy(update={"epochs": EPOCHS})
    training.fit(model, split, few, settings, params.augment, callbacks=[timer])
    return len(split.labels) / timer.seconds[-1], training_operations(models.multiply_adds(model), 1)


def main(folder: Path) -> None:
    params = load_params()
    split = dataset.load_split(folder, len(params.dataset.classes))
    runtime.start(params.runtime)
    print(*measure(params, split))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
