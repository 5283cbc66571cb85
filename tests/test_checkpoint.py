"""An interrupted training continues after its last epoch and gives the same bits as an uninterrupted one."""

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from classifier import models, params, training
from classifier.checkpoint import Checkpoint, identity
from classifier.dataset import Split
from classifier.params import load_params
from classifier.pieces import Pieces
from classifier.provenance import Inputs
from tests.conftest import ROOT

PARAMS = load_params(ROOT / "params.yaml")
RANDOM = np.random.default_rng(0)
SPLIT = Split(RANDOM.integers(0, 256, (60, 28, 28), np.uint8), (np.arange(60) % 10).astype(np.uint8))
AUGMENT = params.Augment(flip=True, shift=1, erase=0)


class StoppedError(Exception):
    pass


def settings(**values: Any) -> params.Train:
    return PARAMS.train.model_copy(update={"batch_size": 16, "epochs": 3, "weight_decay": 0.01, **values})


def fit(
    checkpoint: Checkpoint | None, architecture: str = "cnn", stop: int = 10**6, **values: Any
) -> tuple[pd.DataFrame | None, list[NDArray[Any]]]:
    """Train, and return the curves and the values of all variables.

    The training is interrupted after `stop` batches; then None is returned instead of the curves.
    """
    seen = 0

    def count(batch: int, logs: object) -> None:
        nonlocal seen
        seen += 1
        if seen > stop:
            raise StoppedError

    keras.utils.set_random_seed(1)
    model = models.build(PARAMS.model.model_copy(update={"architecture": architecture}), SPLIT.images, 10)
    counter = keras.callbacks.LambdaCallback(on_train_batch_end=count)
    try:
        curves = training.fit(model, SPLIT, SPLIT, settings(**values), AUGMENT, checkpoint, [counter])
    except StoppedError:
        curves = None
    trained = counter.model  # which applies the network in pieces
    return curves, [np.asarray(value) for value in (*trained.variables, *trained.optimizer.variables)]


def _npy_content() -> bytes:
    content = io.BytesIO()
    np.save(content, np.arange(3))
    return content.getvalue()


@pytest.fixture(autouse=True)
def one_step_per_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STEPS_PER_EXECUTION", 1)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("cnn", {}),
        pytest.param("cnn", {"optimizer": "sgd", "schedule": "cosine"}, marks=pytest.mark.slow),
        pytest.param("resnet", {"schedule": "cosine"}, marks=pytest.mark.slow),
    ],
)
def test_a_resumed_training_gives_the_same_bits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], architecture: str, changes: dict[str, Any]
) -> None:
    curves, expected = fit(None, architecture, **changes)
    assert curves is not None
    checkpoint = tmp_path / "checkpoint"
    for stop, done in ((2, 0), (6, 0), (4, 1), (3, 2)):  # an epoch has 4 batches
        assert fit(Checkpoint(checkpoint, "this"), architecture, stop, **changes)[0] is None
        assert (f"going on after epoch {done}," in capsys.readouterr().out) == (done > 0)
    resumed, found = fit(Checkpoint(checkpoint, "this"), architecture, **changes)
    assert resumed is not None
    pd.testing.assert_frame_equal(resumed, curves, check_exact=True)
    for value, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(value, other)
    _, once_more = fit(Checkpoint(checkpoint, "this"), architecture, **changes)  # after the last epoch
    for value, other in zip(once_more, expected, strict=True):
        np.testing.assert_array_equal(value, other)


def test_a_checkpoint_that_is_corrupt_or_of_another_training_is_reported_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "checkpoint"
    fit(Checkpoint(path, "this"), stop=4)
    model = Pieces(models.build(PARAMS.model, SPLIT.images, 10), 1)
    model.compile(optimizer="adam")
    model.optimizer.build(model.trainable_variables)
    before = [np.asarray(value) for value in model.variables]
    valid = path.read_bytes()
    capsys.readouterr()
    assert Checkpoint(path, "other").restore(model) == []
    assert capsys.readouterr().out == f"{path} belongs to other code, params or data, or to other hardware: not used\n"
    for content in (
        b"",
        b"PK",
        _npy_content(),
        valid[:-1],
        valid[: len(valid) // 2],
        valid[1:],
        valid.replace(b"variable3", b"variableX"),
    ):
        path.write_bytes(content)
        assert Checkpoint(path, "this").restore(model) == []
        assert capsys.readouterr().out.startswith(f"{path} is broken: not used (")
    for value, other in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(np.asarray(value), other)
    path.write_bytes(valid)
    assert len(Checkpoint(path, "this").restore(model)) == 1


def test_the_identity_depends_on_params_data_and_arithmetic() -> None:
    inputs = Inputs()
    base = identity([settings()], [SPLIT], inputs, "0a")
    assert identity([settings()], [SPLIT], inputs, "0a") == base
    changed = Split(SPLIT.images.copy(), SPLIT.labels)
    changed.images[-1, -1, -1] ^= 1
    others = [
        identity([settings(learning_rate=0.002)], [SPLIT], inputs, "0a"),
        identity([settings()], [changed], inputs, "0a"),
        identity([settings()], [SPLIT], inputs, "0b"),
    ]
    assert len({base, *others}) == 4
