"""Train the model that params.yaml describes on the training split, watching the validation split.

Writes the model after its last epoch, the curves of loss and accuracy, and what the training cost. It never sees the
test split.
"""

from pathlib import Path

from classifier import artifacts, cli, dataset, runtime
from classifier.params import load_params


def train(prepared: Path, model: Path, history: Path, cost: Path) -> None:
    params = load_params()
    classes = len(params.dataset.classes)
    training_split, validation_split = dataset.load_splits(prepared, ("train", "validation"), classes).values()

    runtime.start(params.runtime)
    import keras  # only now: TensorFlow must not wake before the settings

    from classifier import checkpoint, models, training

    keras.utils.set_random_seed(params.train.seed)
    with runtime.strategy(params.runtime).scope() as strategy:
        network = models.build(params.model, training_split.images.shape[1:], classes)
        print(f"{network.name}: {network.count_params():,} parameters, {len(training_split.labels):,} images an epoch")
        if params.runtime.distributed:
            print(f"each batch is shared by {strategy.num_replicas_in_sync} devices")
        identity = checkpoint.identity(
            [params.model, params.train, params.augment, params.runtime], [training_split, validation_split]
        )
        progress = checkpoint.Checkpoint(model.with_name(f".{model.name}.checkpoint"), identity)
        curves = training.fit(network, training_split, validation_split, params.train, params.augment, progress)
    best = curves.sort_values("val_loss", kind="stable").iloc[0]

    artifacts.write_model(model, network)
    artifacts.write_csv(history, curves)
    artifacts.write_json(
        cost,
        {
            "parameters": network.count_params(),
            "multiply_adds": models.multiply_adds(network),
            "epochs": params.train.epochs,
            "images_seen": params.train.epochs * len(training_split.labels),
            "best_epoch": int(best["epoch"]),
            "best_val_loss": float(best["val_loss"]),
            "best_val_accuracy": float(best["val_accuracy"]),
            "arithmetic": runtime.arithmetic(),
        },
    )
    progress.remove()


if __name__ == "__main__":
    cli.run(train)
