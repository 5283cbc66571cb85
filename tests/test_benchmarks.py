"""The comparison with a plain script is one of the same network."""

import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import training
from classifier.errors import UserError
from tests.conftest import ROOT, Project


@pytest.mark.parametrize(
    ("param", "value", "message"),
    [
        ("augment__flip", True, "the plain script has augment.flip: False, and params.yaml True"),
        ("model__architecture", "resnet", "the plain script has model.architecture: cnn, and params.yaml resnet"),
        ("dataset__name", "the same recipe", "data/prepared/train is missing; dvc repro prepare makes it"),
    ],
)
def test_another_recipe_is_not_compared_with_the_plain_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, param: str, value: object, message: str
) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Project(tmp_path).set_params(**{param: value})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["training"])
    with pytest.raises(UserError, match=f"^{message}$"):
        training.main()
