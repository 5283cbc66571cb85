"""The verdict on a reproduction is identical, equivalent or different."""

import io
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, nullcontext, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from classifier import artifacts
from classifier.errors import UserError
from classifier.notation import percent
from pictures import likeness
from project import paths, sources, verify
from tests.conftest import RESULTS, ROOT, Project, is_untested_cpu, of_the_published_recipe
from tests.test_pictures import check_predictions, most_probable


@pytest.fixture(scope="module")
def clones(new_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two clones of a project that holds the committed results."""
    project, folder = new_project(), tmp_path_factory.mktemp("clones")
    for name in RESULTS:
        copy = shutil.copy if (ROOT / name).is_file() else shutil.copytree
        copy(ROOT / name, project.folder / name)
    project.git("add", ".")
    project.git("commit", "-qm", "results")
    for name in ("committed", "reproduced"):
        project.git("clone", "-q", str(project.folder), str(folder / name))
    return folder / "committed", folder / "reproduced"


@pytest.fixture
def checkouts(clones: tuple[Path, Path]) -> tuple[Path, Path]:
    """The clones in their initial state."""
    for folder in clones:
        Project(folder).git("checkout", "-q", ".")
    return clones


def change_model_hash(checkout: Path) -> None:
    """Replace the hash of the model in dvc.lock, as a training on another kind of CPU may do."""
    yaml = YAML()
    lock = yaml.load(checkout / "dvc.lock")
    lock["stages"]["train"]["outs"][-1]["md5"] = "0" * 32
    yaml.dump(lock, checkout / "dvc.lock")


def change_loss(checkout: Path, difference: float) -> None:
    """Add a difference to the test loss."""
    path = checkout / "metrics/evaluate.json"
    metrics = json.loads(path.read_text())
    metrics["test"]["loss"] += difference
    path.write_text(json.dumps(metrics))


def mispredict(checkout: Path, images: int) -> None:
    """Change the predicted class of some images."""
    path = checkout / "metrics/predictions.csv"
    table = pd.read_csv(path)
    table.loc[: images - 1, "predicted"] = "another class"
    table.to_csv(path, index=False)


def read_verdict(checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> tuple[str, int]:
    """The verdict on the two clones and the exit status of the command."""
    status = verify.report(*checkouts)
    return capsys.readouterr().out.splitlines()[-1].split(":")[0], status


def test_unchanged_results_are_identical(checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert read_verdict(checkouts, capsys) == ("identical", 0)


def test_changed_metrics_with_the_same_hashes_are_not_identical(
    checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change_loss(checkouts[1], 0.0001)
    assert read_verdict(checkouts, capsys) == ("equivalent", 0)


@pytest.mark.parametrize(
    ("difference", "images", "expected"),
    [
        (0.009, 299, ("equivalent", 0)),
        (0.011, 0, ("different", 1)),
        (-0.011, 0, ("different", 1)),
        (0, 301, ("different", 1)),
        (float("nan"), 0, ("different", 1)),
    ],
)
def test_another_model_is_equivalent_only_within_the_tolerance(
    checkouts: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    difference: float,
    images: int,
    expected: tuple[str, int],
) -> None:
    change_model_hash(checkouts[1])
    change_loss(checkouts[1], difference)
    if images:
        mispredict(checkouts[1], images)
    assert read_verdict(checkouts, capsys) == expected


def test_operations_with_other_results_are_listed(
    checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    change_model_hash(checkouts[1])
    verify.report(*checkouts)
    assert "operations with other results on this CPU: none\n" in capsys.readouterr().out
    path = checkouts[1] / paths.ARITHMETIC
    path.write_text(re.sub(r'^("softmax, 16 images"),\w+', r"\1,00000000", path.read_text(), flags=re.MULTILINE))
    verify.report(*checkouts)
    assert "operations with other results on this CPU: softmax, 16 images\n" in capsys.readouterr().out


def test_results_of_other_code_are_different(checkouts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    lock = checkouts[0] / "dvc.lock"
    lock.write_text(
        re.sub(r"(path: stages/train\.py\n\s+hash: md5\n\s+md5: )\w+", r"\g<1>" + "0" * 32, lock.read_text())
    )
    assert read_verdict(checkouts, capsys) == ("different", 1)


def test_a_folder_outside_of_git_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["verify"])
    with pytest.raises(UserError, match=r"^git rev-parse .* failed$"):
        verify.main()


def test_folders_of_the_dataset_are_found_from_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    Project(tmp_path).set_params(dataset__sources=["my own", "no folder", "https://example.org/data"])
    monkeypatch.chdir(tmp_path)
    Path("my own").mkdir()
    found = [str(tmp_path / "my own"), "no folder", "https://example.org/data"]
    assert shlex.split(sources.for_a_copy()) == found
    paths.RAW.mkdir(parents=True)
    assert shlex.split(sources.for_a_copy()) == [*found, str(tmp_path / paths.RAW)]
    monkeypatch.setenv("DATASET_SOURCES", "'my own'")
    assert shlex.split(sources.for_a_copy()) == [found[0], str(tmp_path / paths.RAW)]
    monkeypatch.setenv("DATASET_SOURCES", "o'brien")
    assert sources.for_a_copy() == "o'brien", "fetch reports it"


class Verification(NamedTuple):
    """A run of `make verify`: the fresh clone with the reproduced results, what is printed, and the exit status."""

    clone: Project
    printed: str
    status: object


@pytest.fixture(scope="module")
def verification(tmp_path_factory: pytest.TempPathFactory) -> Verification:
    folder = tmp_path_factory.mktemp("verify")
    with (
        chdir(ROOT),
        mock.patch.dict(os.environ),  # the command sets DATASET_SOURCES, which no other test may get
        mock.patch("tempfile.TemporaryDirectory", return_value=nullcontext(folder)),  # which the command would remove
        mock.patch.object(sys, "argv", ["project.verify"]),
        redirect_stdout(io.StringIO()) as printed,
        pytest.raises(SystemExit) as end,
    ):
        verify.main()
    return Verification(Project(folder / "clone"), printed.getvalue(), end.value.code)


@pytest.mark.slow
def test_the_committed_results_are_reproduced_bit_for_bit(verification: Verification) -> None:
    print(verification.printed)
    assert verification.status == 0
    verdict = verification.printed.splitlines()[-1]
    if not verdict.startswith("identical"):
        assert verdict.startswith("equivalent")
        assert is_untested_cpu()


@pytest.mark.slow
def test_the_test_images_saved_as_png_are_classified_as_by_evaluate(verification: Verification, tmp_path: Path) -> None:
    check_predictions(verification.clone, tmp_path)


@pytest.mark.slow
def test_the_page_shows_how_its_pictures_are_classified(verification: Verification, tmp_path: Path) -> None:
    clone = verification.clone
    clone.run(sys.executable, "-m", "pictures.predict", "docs/pictures", "--output", str(tmp_path / "predictions"))
    page = (clone.folder / "docs/pictures.md").read_text()
    for path, name in most_probable(tmp_path / "predictions").items():
        assert re.search(rf"^{path} +{name} [0-9.]+ %  ", page, re.MULTILINE)


@pytest.mark.slow
def test_few_test_images_and_all_negated_ones_are_unlike_the_training_images(verification: Verification) -> None:
    folder = verification.clone.folder
    images = artifacts.read_array(folder / paths.TEST_SPLIT / "images.npy")
    usual = likeness.usual_range(folder / paths.TRAINING_SPLIT, images.shape[1:], 10)
    share = float(np.mean([bool(text) for text in likeness.differences(images, usual)]))
    page = " ".join((folder / "docs/pictures.md").read_text().split())  # without line ends
    assert f"Of the test images, {percent(share, 1)} get" in page
    assert all(likeness.differences(255 - images, usual))


@of_the_published_recipe
def test_the_committed_results_are_those_of_the_original_scripts() -> None:
    metrics = json.loads((ROOT / "metrics/evaluate.json").read_text())
    assert metrics["test"]["accuracy"] == pytest.approx(0.9073, abs=0.006)
    assert metrics["test"]["loss"] <= 0.27
