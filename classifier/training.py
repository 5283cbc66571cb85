"""The training loop's parts: the batches, the learning rate's schedule, the optimizer, the fit."""

import math
import sys
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from classifier import params
from classifier.augmentation import augment
from classifier.checkpoint import Checkpoint
from classifier.dataset import Split
from classifier.errors import UserError
from classifier.interruption import Interruption
from classifier.pieces import Pieces, number_of_pieces
from classifier.tables import CURVES

# Batches per call of TensorFlow: fewer returns to Python, and the same bits
STEPS_PER_EXECUTION = 64
PREFETCHED = 2  # batches that are ready before they are needed
VALIDATION_BATCH = 1000  # images at most: without gradients, more fit into memory at once


def fit(
    network: keras.Model,
    training: Split,
    validation: Split,
    settings: params.Train,
    augmentation: params.Augment,
    checkpoint: Checkpoint | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pd.DataFrame:
    """Train the network in place, starting from the checkpoint. Shows a progress bar, or a line per epoch in a file.

    network: ends with the layers "logits" and softmax; the loss is computed from the logits.

    Returns the learning curves with the columns of tables.HISTORY, one row per epoch, 1 first. loss and accuracy are
    running averages over the training batches, with dropout, augmentation and smoothed labels; val_loss and
    val_accuracy are those of the validation split after the epoch, without. Losses are cross-entropies in nats.

    Raises:
        UserError: the loss became NaN or infinite.
        KeyboardInterrupt: on Ctrl-C; the message says in which epoch.
    """
    steps = math.ceil(len(training.labels) / settings.batch_size)
    model = _trainable(network, len(training.labels), len(validation.labels), settings)
    model.compile(
        optimizer=optimizer(settings, steps),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        # More than the epoch has would overshoot the progress bar; MirroredStrategy takes one
        steps_per_execution=1 if tf.distribute.has_strategy() else min(STEPS_PER_EXECUTION, steps),
    )
    model.optimizer.build(model.trainable_variables)  # so that the checkpoint finds its variables
    num_classes = network.output_shape[-1]
    current = tf.Variable(0, dtype=tf.int64)
    done = checkpoint.restore(model) if checkpoint else []
    interruption = Interruption()
    try:
        history = model.fit(
            shuffled_batches(training, num_classes, settings, augmentation, current),
            initial_epoch=len(done),
            epochs=settings.epochs,
            validation_data=ordered_batches(validation, num_classes),
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
    new_history = pd.DataFrame(history.history, columns=CURVES)
    curves = pd.DataFrame([*done, *new_history.itertuples(index=False)], columns=CURVES)
    curves.insert(0, "epoch", range(1, len(curves) + 1))
    if not np.isfinite(curves.to_numpy(float)).all():
        if checkpoint:
            checkpoint.remove()
        raise UserError(f"the loss became NaN or infinite in epoch {len(curves)}; lower train.learning_rate")
    return curves


def _trainable(network: keras.Model, training: int, validation: int, settings: params.Train) -> keras.Model:
    """The network up to its logits, applied in pieces. A GPU, or each of several devices, takes its images at once.

    training, validation: the number of images.
    """
    logits = keras.Model(network.input, network.get_layer("logits").output)
    if tf.distribute.has_strategy() or tf.config.list_physical_devices("GPU"):
        return logits
    pieces = number_of_pieces(training, settings.batch_size, settings.piece_size)
    return Pieces(logits, min(pieces, validation))


def shuffled_batches(
    split: Split, num_classes: int, settings: params.Train, augmentation: params.Augment, epoch: tf.Variable
) -> tf.data.Dataset:
    """An epoch's batches: augmented pixels (b, height, width, 1), uint8, and smoothed labels (b, num_classes), float32.

    Order and augmentation depend on the seed and on the epoch's number alone, which is read from `epoch` whenever the
    iteration begins. Label smoothing is that of Szegedy and others, Rethinking the Inception architecture (2016). It
    happens here and not in the loss, so that the validation losses of any two experiments can be compared.
    """
    count = len(split.labels)
    off_value = settings.label_smoothing / num_classes
    on_value = 1 - settings.label_smoothing + off_value

    def seed() -> tf.Tensor:
        return tf.stack([tf.constant(settings.seed, tf.int64), epoch.read_value()])

    def order(_: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(tf.random.experimental.stateless_shuffle(tf.range(count), seed()))

    def gather(step: tf.Tensor, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = _gather(split, positions)
        images = augment(pixels, augmentation, tf.random.experimental.stateless_fold_in(seed(), step))
        return images, tf.one_hot(labels, num_classes, on_value=on_value, off_value=off_value)

    positions = tf.data.Dataset.range(1).flat_map(order).apply(tf.data.experimental.assert_cardinality(count))
    return _prefetched(positions.batch(settings.batch_size).enumerate().map(gather))


def ordered_batches(split: Split, num_classes: int) -> tf.data.Dataset:
    """A split's batches in its own order: pixels (b, height, width, 1), uint8, and one-hot labels (b, num_classes)."""

    count = math.ceil(len(split.labels) / VALIDATION_BATCH)
    ends = np.arange(count + 1) * len(split.labels) // count  # nearly equal: none has fewer images than pieces

    def gather(begin: tf.Tensor, end: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = _gather(split, tf.range(begin, end))
        return pixels, tf.one_hot(labels, num_classes)

    return _prefetched(tf.data.Dataset.from_tensor_slices((ends[:-1], ends[1:])).map(gather))


def _prefetched(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The batches, prepared while the ones before them are computed.

    Without tf.data's autotuning, whose thread takes up to half of a core's time from the second epoch on.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(PREFETCHED).with_options(options)


def _gather(split: Split, positions: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The pixels (b, height, width, 1) and the labels (b,) at the given positions (b,), within a graph.

    NumPy gathers them, because TensorFlow would hold a second copy of the whole dataset in memory.
    """
    pixels, labels = tf.numpy_function(
        lambda rows: (split.images[rows, ..., None], split.labels[rows]), [positions], (tf.uint8, tf.uint8)
    )
    return tf.ensure_shape(pixels, (None, *split.images.shape[1:], 1)), tf.ensure_shape(labels, (None,))


def optimizer(settings: params.Train, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimizer that train.optimizer names, with the learning rate's schedule."""
    rate = learning_rate(settings, steps_per_epoch)
    decay = settings.weight_decay or None
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=decay)
    return keras.optimizers.Adam(rate, weight_decay=decay)


def learning_rate(
    settings: params.Train, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate at each step: a linear warm-up from 0, then constant, or a cosine decay to 0.

    The cosine decay is that of Loshchilov and Hutter, SGDR (2017), without restarts.
    """
    peak = settings.learning_rate
    warmup = round(settings.warmup_epochs * steps_per_epoch)
    if settings.schedule == "cosine":
        decay_steps = max(1, settings.epochs * steps_per_epoch - warmup)
    elif warmup:
        decay_steps = 1
    else:
        return peak
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else peak,
        decay_steps=decay_steps,
        alpha=0.0 if settings.schedule == "cosine" else 1.0,  # 1: stay at the peak
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
