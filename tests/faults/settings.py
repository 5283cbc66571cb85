"""Settings of a user or a machine that reach the programs: `dvc repro` must give the same files under all of them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from tests.conftest import Project
from tests.faults.kills import copy_project
from tests.faults.outcome import Outcome

MATPLOTLIBRC = "font.size: 22\nsavefig.dpi: 40\naxes.facecolor: red\nbackend: svg\n"
KERAS = '{"backend": "jax", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 0.1}'
SETTINGS = {
    "the language and the time zone": {
        "LANG": "C", "LC_ALL": "POSIX", "TZ": "Asia/Kathmandu", "LANGUAGE": "tr", "PYTHONIOENCODING": "ascii",
    },
    "Python's own": {
        "PYTHONHASHSEED": "7", "PYTHONUTF8": "0", "PYTHONOPTIMIZE": "2", "PYTHONDEVMODE": "0",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONNOUSERSITE": "1",
    },
    "threads and kernels of the libraries": {
        "OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "5", "MKL_NUM_THREADS": "7", "OPENBLAS_CORETYPE": "Prescott",
        "NUMEXPR_NUM_THREADS": "3", "OMP_DYNAMIC": "TRUE", "MKL_CBWR": "COMPATIBLE",
    },
    "TensorFlow's own": {
        "TF_ENABLE_ONEDNN_OPTS": "0", "ONEDNN_MAX_CPU_ISA": "SSE41", "DNNL_MAX_CPU_ISA": "SSE41",
        "TF_NUM_INTRAOP_THREADS": "4", "TF_NUM_INTEROP_THREADS": "9", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "TF_DETERMINISTIC_OPS": "0", "TF_CPP_MIN_LOG_LEVEL": "0", "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
        "TF_SET_ONEDNN_FPMATH_MODE": "BF16", "KERAS_BACKEND": "jax",
    },
}  # fmt: skip


def inject(project: Project, folder: Path) -> Iterator[Outcome]:
    """Run the pipeline again in copies of a project, which has results, under hostile settings.

    folder: where each copy is made. If several kinds of settings together change the results, each is tried alone.
    """
    expected = project.snapshot()
    home = folder.with_name("home")
    for path, content in {".config/matplotlib/matplotlibrc": MATPLOTLIBRC, ".keras/keras.json": KERAS}.items():
        (home / path).parent.mkdir(parents=True)
        (home / path).write_text(content)
    kinds = SETTINGS | {"files of the user's home": {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}}
    together = _reproduce(project, folder, kinds, expected)
    yield together
    if not together.promised:
        for name, variables in kinds.items():
            yield _reproduce(project, folder, {name: variables}, expected)
    shutil.rmtree(home)


def _reproduce(
    project: Project, folder: Path, settings: dict[str, dict[str, str]], expected: dict[str, str]
) -> Outcome:
    """Run the pipeline again in a copy of a project. settings: environment variables, by the name of their kind."""
    copy = copy_project(project, folder)
    with mock.patch.dict(os.environ, {key: value for kind in settings.values() for key, value in kind.items()}):
        again = copy.run("dvc", "repro", "--force", check=False)
    changed = sorted({path for path, _ in expected.items() ^ copy.snapshot().items()})
    shutil.rmtree(folder)
    same = again.returncode == 0 and not changed
    result = "identical results" if same else f"other: {', '.join(changed)} {again.stderr[-300:]}"
    return Outcome(f"settings: {', '.join(settings)}", result, same)
