"""This pipeline's training, in the settings of params.yaml or in its fastest ones.

Prints the training speed of its last epoch in images per second.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from classifier import dataset, runtime
from classifier.params import Params, Runtime, load_params

if TYPE_CHECKING:
    import keras

EPOCHS = 2  # the first holds TensorFlow's tracing, the second counts


def fastest() -> Runtime:
    """No determinism, all instructions and cores, and bfloat16 where the CPU has units for it."""
    cpuinfo = Path("/proc/cpuinfo")
    bfloat16 = cpuinfo.exists() and any(flag in cpuinfo.read_text() for flag in ("amx_bf16", "avx512_bf16"))
    return Runtime(
        op_determinism=False,
        onednn=True,
        cpu_isa="native",
        threads=0,
        precision="mixed_bfloat16" if bfloat16 else "float32",
        distributed=False,
    )


def train_briefly(params: Params, split: dataset.Split) -> tuple["keras.Model", float]:
    """Train the model of the params for EPOCHS; returns it, and the last epoch's speed in images per second."""
    from benchmarks.timer import EpochTimer
    from classifier import models, training

    model = models.build(params.model, split.images.shape[1:], len(params.dataset.classes))
    few = dataset.Split(split.images[:100], split.labels[:100])  # the plain script validates nothing
    timer = EpochTimer()
    training.fit(
        model, split, few, params.train.model_copy(update={"epochs": EPOCHS}), params.augment, callbacks=[timer]
    )
    return model, len(split.labels) / timer.seconds[-1]


def main(folder: Path, settings: str) -> None:
    params = load_params()
    split = dataset.load_split(folder, len(params.dataset.classes))
    runtime.start(fastest() if settings == "fastest" else params.runtime)
    _, images_per_second = train_briefly(params, split)
    print(images_per_second)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
