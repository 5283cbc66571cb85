"""The speed of this pipeline's training, with the runtime settings of params.yaml or with the fastest ones.

Prints the training speed in its last epoch, in images per second.
"""

import sys
from pathlib import Path

from classifier import dataset, runtime
from classifier.params import Params, Runtime, load_params

EPOCHS = 2  # the first includes TensorFlow's tracing, the second counts


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


def images_per_second(params: Params, split: dataset.Split) -> float:
    """Train the model of the params for EPOCHS; returns the speed of the last epoch."""
    from benchmarks.timer import EpochTimer
    from classifier import models, training

    model = models.build(params.model, split.images.shape[1:], len(params.dataset.classes))
    few = dataset.Split(split.images[:100], split.labels[:100])  # the plain script has no validation
    timer = EpochTimer()
    settings = params.train.model_copy(update={"epochs": EPOCHS})
    training.fit(model, split, few, settings, params.augment, callbacks=[timer])
    return len(split.labels) / timer.seconds[-1]


def main(folder: Path, settings: str) -> None:
    params = load_params()
    split = dataset.load_split(folder, len(params.dataset.classes))
    runtime.start(fastest() if settings == "fastest" else params.runtime)
    print(images_per_second(params, split))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
