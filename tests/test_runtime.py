"""The settings of params.yaml apply, whatever the user's environment variables and keras.json contain."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PROGRAM = """
import json, os
from classifier import runtime
from classifier.params import Runtime

runtime.start(Runtime(precision="mixed_bfloat16", distributed=False))
import keras, tensorflow as tf
from tensorflow.python.framework import config

print(json.dumps({
    "threads": tf.config.threading.get_intra_op_parallelism_threads(),
    "cores": tf.config.threading.get_inter_op_parallelism_threads(),
    "optimizer": tf.config.optimizer.get_experimental_options(),
    "op_determinism": config.is_op_determinism_enabled(),
    "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
    "cpu_isa": os.environ["ONEDNN_MAX_CPU_ISA"],
    "precision": keras.config.dtype_policy().name,
    "keras": [keras.config.backend(), keras.config.floatx(), keras.config.image_data_format(), keras.config.epsilon()],
}))
"""


def test_start_applies_every_setting_and_prints_nothing(tmp_path: Path) -> None:
    keras_config = {"backend": "jax", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 1e-3}
    (tmp_path / "keras.json").write_text(json.dumps(keras_config))
    conflicting = {
        "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "jax", "TF_ENABLE_ONEDNN_OPTS": "0",
        "ONEDNN_MAX_CPU_ISA": "SSE41", "TF_NUM_INTRAOP_THREADS": "1",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=os.environ | conflicting, capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    off = ("constant_folding", "arithmetic_optimization")
    assert [found["optimizer"][name] for name in off] == [False, False]
    del found["optimizer"]
    assert found == {
        "threads": 1,
        "cores": len(os.sched_getaffinity(0)),
        "op_determinism": True,
        "onednn": "1",
        "cpu_isa": "AVX2",
        "precision": "mixed_bfloat16",
        "keras": ["tensorflow", "float32", "channels_last", 1e-7],
    }
