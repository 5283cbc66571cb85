"""Train the model of params.yaml on the training split, and measure it on the validation split after each epoch.

Writes the model as it is after the last epoch, the learning curves, a summary of the training, and a hash of what the
CPU computes for each operation. This stage does not read the test split.
"""

from pathlib import Path

import pandas as pd

from classifier import artifacts, dataset, model_file, runtime, tables
from classifier.params import load_params
from classifier.provenance import Inputs


def train(prepared: Path, checkpoint: Path, model: Path, history: Path, summary: Path, operations: Path) -> None:
    """Train on the splits below prepared, and write a .keras file, two tables and a JSON file.

    checkpoint: the state of an interrupted training, from which this one goes on.

    Raises:
        UserError: params or data are missing or invalid, the loss became NaN or infinite, or params.yaml or the code
            changed during the training.
    """
    params = load_params()
    num_classes = len(params.dataset.classes)
    training_split, validation_split = dataset.load_splits(prepared, ("train", "validation"), num_classes).values()

    runtime.start(params.runtime)
    import keras  # TensorFlow is imported under the settings of runtime.start, so not before it

    from classifier import arithmetic, calibration, models, normalization, training
    from classifier.checkpoint import Checkpoint, identity, location

    inputs = Inputs()
    hashes = arithmetic.operations()
    fingerprint = arithmetic.fingerprint(hashes)
    keras.utils.set_random_seed(params.train.seed)
    with runtime.strategy(params.runtime).scope() as strategy:
        network = models.build(params.model, training_split.images, num_classes)
        print(f"{network.name}: {network.count_params():,} parameters, {len(training_split.labels):,} images per epoch")
        if params.runtime.distributed:
            print(f"each batch is distributed over {strategy.num_replicas_in_sync} devices")
        this_training = identity(
            [params.model, params.train, params.augment, params.runtime],
            [training_split, validation_split],
            inputs,
            fingerprint,
        )
        progress = Checkpoint(location(checkpoint, this_training), this_training)
        # An edit stops the training in that epoch, not after its last one
        unchanged = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: inputs.check())
        curves = training.fit(
            network, training_split, validation_split, params.train, params.augment, progress, [unchanged]
        )
        temperature = calibration.fit_temperature(network, validation_split) if params.train.calibrate else 1.0
        calibration.divide_logits(network, temperature)
    best = curves.sort_values("val_loss", kind="stable").iloc[0]

    model_file.write_model(model, normalization.fold(network))
    tables.write(history, curves, tables.HISTORY)
    tables.write(operations, pd.DataFrame(hashes.items(), columns=list(tables.OPERATIONS)), tables.OPERATIONS)
    artifacts.write_json(
        summary,
        {
            "parameters": network.count_params(),
            "multiply_adds": models.multiply_adds(network),
            "epochs": params.train.epochs,
            "images_seen": params.train.epochs * len(training_split.labels),
            "temperature": temperature,
            "best_epoch": int(best["epoch"]),
            "best_val_loss": float(best["val_loss"]),
            "best_val_accuracy": float(best["val_accuracy"]),
            "arithmetic": fingerprint,
        },
    )
    progress.remove()
