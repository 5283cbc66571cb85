"""The training loop's parts: the batches, the learning rate's schedule, the optimizer, the fit."""

import math
import signal
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from classifier import params
from classifier.augmentation import augmented
from classifier.checkpoint import Checkpoint
from classifier.cli import InputError
from classifier.dataset import Split
from classifier.results import CURVES

# Batches handed to TensorFlow at a time: saves the way through Python after every one, and changes no bits.
STEPS_PER_EXECUTION = 64
VALIDATION_BATCH = 1000  # images; validation keeps no gradients, so it may take more at once


def fit(
    model: keras.Model,
    training: Split,
    validation: Split,
    settings: params.Train,
    augment: params.Augment,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Train the model in place, from the checkpoint on; show a progress bar in a terminal, a line an epoch elsewhere.

    Returns a row an epoch: epoch (1 first), loss and accuracy while training (with dropout), and val_loss and
    val_accuracy on the validation split after the epoch. Losses are cross-entropies in nats, against smoothed labels
    while training.

    Raises:
        InputError: the training diverged.
        KeyboardInterrupt: by Ctrl-C; the message says in which epoch.
    """
    steps = math.ceil(len(training.labels) / settings.batch_size)
    model.compile(
        optimizer=optimizer(settings, steps),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        # More than the epoch has would overshoot the progress bar; MirroredStrategy takes one
        steps_per_execution=1 if tf.distribute.has_strategy() else min(STEPS_PER_EXECUTION, steps),
    )
    model.optimizer.build(model.trainable_variables)  # so that the checkpoint finds its variables
    classes = model.output_shape[-1]
    current = tf.Variable(0, dtype=tf.int64)
    done = checkpoint.restore(model) if checkpoint else []
    interruption = Interruption()
    try:
        history = model.fit(
            shuffled_batches(training, classes, settings, augment, current),
            initial_epoch=len(done),
            epochs=settings.epochs,
            validation_data=ordered_batches(validation, classes),
            shuffle=False,  # the batches are
            callbacks=[
                keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: current.assign(epoch)),
                keras.callbacks.TerminateOnNaN(),
                *([checkpoint] if checkpoint else []),
                interruption,
                *callbacks,
            ],
            verbose=1 if sys.stdout.isatty() else 2,
        )
    finally:
        interruption.release()
    since = pd.DataFrame(history.history, columns=CURVES)
    curves = pd.DataFrame([*done, *since.itertuples(index=False)], columns=CURVES)
    curves.insert(0, "epoch", range(1, len(curves) + 1))
    if not np.isfinite(curves.to_numpy(float)).all():
        if checkpoint:
            checkpoint.remove()
        raise InputError(f"the loss is no number any more in epoch {len(curves)}; lower train.learning_rate")
    return curves


class Interruption(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Takes Ctrl-C between two calls of TensorFlow, which crashes now and then if it is taken within one.

    A second Ctrl-C is taken at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted = False
        self._handler = signal.getsignal(signal.SIGINT)
        if self._handler is signal.default_int_handler:  # else it is ignored, as in the background
            signal.signal(signal.SIGINT, self._note)

    def release(self) -> None:
        signal.signal(signal.SIGINT, self._handler)

    def _note(self, *_: Any) -> None:
        self._noted = True
        self.release()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._noted:
            where = f"in epoch {self._epoch} of {self.params['epochs']}"
            raise KeyboardInterrupt(f"{where}; the same command goes on after epoch {self._epoch - 1}")

    on_test_batch_end = on_train_batch_end


def shuffled_batches(
    split: Split, classes: int, settings: params.Train, augment: params.Augment, epoch: tf.Variable
) -> tf.data.Dataset:
    """An epoch's batches: augmented pixels (b, height, width, 1) as uint8 and smoothed one-hot labels (b, classes).

    Order and augmentation depend on the seed and on the epoch's number alone, which each iteration reads anew from
    `epoch`. Labels are smoothed as by Szegedy and others, Rethinking the Inception architecture (2016); here and not
    in the loss, so that the validation loss of any two experiments compares.
    """
    count = len(split.labels)
    wrong = settings.label_smoothing / classes
    true = 1 - settings.label_smoothing + wrong

    def seed() -> tf.Tensor:
        return tf.stack([tf.constant(settings.seed, tf.int64), epoch.read_value()])

    def order(_: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(tf.range(count), seed()))

    def gather(step: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = _gathered(split, positions)
        images = augmented(pixels, augment, tf.random.experimental.stateless_fold_in(seed(), step))
        return images, tf.one_hot(labels, classes, on_value=true, off_value=wrong)

    positions = tf.data.Dataset.range(1).flat_map(order).apply(tf.data.experimental.assert_cardinality(count))
    return positions.batch(settings.batch_size).enumerate().map(gather).prefetch(tf.data.AUTOTUNE)


def ordered_batches(split: Split, classes: int) -> tf.data.Dataset:
    """A split's batches in its own order, in the form of shuffled_batches."""

    def gather(positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = _gathered(split, positions)
        return pixels, tf.one_hot(labels, classes)

    return tf.data.Dataset.range(len(split.labels)).batch(VALIDATION_BATCH).map(gather).prefetch(tf.data.AUTOTUNE)


def _gathered(split: Split, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels (b, height, width, 1) and the labels (b,) at some positions, in a graph.

    NumPy gathers them: TensorFlow would keep two copies of the whole dataset, its own and that which it made it of.
    """
    pixels, labels = tf.numpy_function(
        lambda chosen: (split.images[chosen, ..., None], split.labels[chosen]), [positions], (tf.uint8, tf.uint8)
    )
    return tf.ensure_shape(pixels, (None, *split.images.shape[1:], 1)), tf.ensure_shape(labels, (None,))


def optimizer(settings: params.Train, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer that params.yaml names, with its learning rate's schedule."""
    rate = learning_rate(settings, steps_per_epoch)
    decay = settings.weight_decay or None
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    return keras.optimizers.Adam(rate, weight_decay=decay)


def learning_rate(
    settings: params.Train, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate at every step: a linear rise over the warm-up, then constant, or a cosine down to 0.

    The cosine is that of Loshchilov and Hutter, SGDR (2017), without restarts.
    """
    peak = settings.learning_rate
    warmup = round(settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "cosine":
        after = max(1, settings.epochs * steps_per_epoch - warmup)
    elif warmup:
        after = 1
    else:
        return peak
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=after,
        alpha=0.0 if settings.schedule == "cosine" else 1.0,  # 1: stay at the peak
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
