"""The baseline of the speed comparison: a plain Keras script for the same network and recipe.

Prints the training speed in its last epoch, in images per second, and the number of floating-point operations of the
training per image: more than in the pipeline, which crops pixels that reach no output.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers

from benchmarks.timer import EpochTimer
from classifier import models
from project.verdict import training_operations


def main(folder: Path, epochs: int) -> None:
    images = np.load(folder / "images.npy").astype("float32")[..., None] / 255
    labels = keras.utils.to_categorical(np.load(folder / "labels.npy"))
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(labels.shape[1], activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    timer = EpochTimer()
    model.fit(images, labels, batch_size=128, epochs=epochs, callbacks=[timer], verbose=0)
    print(len(images) / timer.seconds[-1], training_operations(models.multiply_adds(model), 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
