"""A model is released with a tag and downloaded elsewhere; the model card is that of the committed results."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.params import load_params
from project import model_card, paths
from project.text import escape
from tests.conftest import ROOT, Project


def test_the_model_card_is_that_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = model_card.model_card()
    assert paths.MODEL_CARD.read_text(encoding="utf-8") == text, "python -m project.model_card writes it"
    for name in load_params(ROOT / "params.yaml").dataset.classes:
        assert f"| {escape(name)} | " in text


@pytest.mark.slow
def test_a_release_is_downloaded_in_another_folder(new_finished_project: Callable[[], Project], tmp_path: Path) -> None:
    project = new_finished_project()
    gto = str(Path(sys.executable).with_name("gto"))
    project.run("make", "remote", f"URL={tmp_path / 'remote'}")
    project.git("commit", "-qam", "storage")
    project.dvc("push")
    project.run(gto, "register", "classifier", "--version", "v1.0.0")
    project.run(gto, "assign", "classifier", "--version", "v1.0.0", "--stage", "prod")
    model = (project.folder / paths.MODEL).read_bytes()

    project.set_params(train__seed=2)  # a later version
    project.dvc("repro", "train")
    project.git("commit", "-qam", "another seed")
    project.dvc("push")
    project.run(gto, "register", "classifier", "--version", "v1.1.0")
    assert "v1.1.0" in project.run(gto, "show").stdout

    elsewhere = Project(tmp_path / "elsewhere")
    elsewhere.folder.mkdir()
    for selected in (("--rev", "v1.0.0"), ("--stage", "prod"), ()):  # without one: the latest version
        elsewhere.dvc("artifacts", "get", project.folder.as_uri(), "classifier", *selected, "--force")
        (file,) = elsewhere.folder.iterdir()
        same = hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(model).digest()
        assert same == bool(selected)
