"""This pipeline's training, in the settings of params.yaml or in its fastest ones.

Prints the training speed of its last epoch in images per second.
"""

import sys
from pathlib import Path

from classifier import dataset, runtime
from classifier.params import Runtime, load_params


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
    )


def main(folder: Path, epochs: int, settings: str) -> None:
    params = load_params()
    runtime.start(fastest() if settings == "fastest" else params.runtime)
    from benchmarks.timer import EpochTimer
    from classifier import models, training

    classes = len(params.dataset.classes)
    split = dataset.load_split(folder, classes)
    few = dataset.Split(split.images[:100], split.labels[:100])  # the plain script validates nothing
    timer = EpochTimer()
    model = models.build(params.model, split.images.shape[1:], classes)
    training.fit(model, split, few, params.train.model_copy(update={"epochs": epochs}), [timer])
    print(len(split.labels) / timer.seconds[-1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
