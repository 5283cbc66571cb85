"""params.yaml is validated completely, and every error in it is reported with its key."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from classifier.errors import UserError
from classifier.params import load_params
from tests.conftest import ROOT, of_the_published_recipe


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    return path


@of_the_published_recipe
def test_the_committed_params_are_those_of_the_original_scripts() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.train.epochs == 25
    assert params.train.batch_size == 128
    assert params.model.architecture == "cnn"
    assert params.dataset.classes[0] == "T-shirt/top"
    assert params.dataset.classes[9] == "Ankle boot"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("train.epochs", 0, "greater than or equal to 1, not 0"),
        ("train.epochs", "many", "valid integer, not 'many'"),
        ("train.epochs", True, "valid integer, not True"),
        ("train.learning_rate", float("nan"), "finite number, not nan"),
        ("train.learning_rate", -0.1, "greater than 0, not -0.1"),
        ("train.optimizer", "adamm", "'adam' or 'sgd', not 'adamm'"),
        ("model.dropout", 1.0, "less than 1, not 1.0"),
        ("model.architecture", "cnm", "'cnn' or 'resnet', not 'cnm'"),
        ("prepare.validation_fraction", 0, "greater than 0, not 0"),
        ("runtime.distributed", "yes", "valid boolean, not 'yes'"),
        ("dataset.files.test_labels.sha256", "abc", "should match pattern"),
        ("dataset.files.test_labels.name", "../passwd", "should match pattern"),
        ("dataset.classes", ["one"], "at least 2 items"),
        ("dataset.classes", ["one", "two", "one"], "dataset.classes: should be all different"),
        ("train.learning_rat", 0.1, "unknown key, did you mean learning_rate?"),
        ("dataset.files.test_label", {}, "unknown key, did you mean test_labels?"),
        ("trian", {}, "unknown key, did you mean train?"),
    ],
)
def test_an_invalid_value_is_reported_with_its_key_and_what_is_allowed(
    params_file: Path, key: str, value: object, message: str
) -> None:
    yaml = YAML()
    content = yaml.load(params_file)
    *sections, last = key.split(".")
    block = content
    for section in sections:
        block = block[section]
    block[last] = value
    yaml.dump(content, params_file)
    with pytest.raises(UserError) as caught:
        load_params(params_file)
    assert f"{key}: " in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_invalid_item_of_a_list_is_reported_with_its_index(params_file: Path) -> None:
    params_file.write_text(params_file.read_text().replace("- Trouser", "- 1"))
    with pytest.raises(UserError, match=r"dataset\.classes\.1: should be a valid string, not 1"):
        load_params(params_file)


def test_a_missing_key_is_reported(params_file: Path) -> None:
    params_file.write_text(params_file.read_text().replace("\n  epochs: ", "\n  # epochs: "))
    with pytest.raises(UserError, match=r"train\.epochs: missing"):
        load_params(params_file)


def test_all_invalid_values_are_reported_together(params_file: Path) -> None:
    params_file.write_text(re.sub("  (epochs|dropout): [^ ]+", r"  \1: -1", params_file.read_text()))
    with pytest.raises(UserError, match=r"model\.dropout: .*; train\.epochs: "):
        load_params(params_file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n  epochs: ", "\n  epochs: [", r"line \d+, column \d+: .*expected"),
        ("\n  epochs: ", "\n  epochs: 26\n  epochs: ", r"line \d+, column 3: .*duplicate key"),
        ("train:", "- train:", r"line \d+, column \d+: "),
    ],
)
def test_invalid_yaml_is_reported_with_line_and_column(params_file: Path, old: str, new: str, message: str) -> None:
    params_file.write_text(params_file.read_text().replace(old, new))
    with pytest.raises(UserError, match=message):
        load_params(params_file)


@pytest.mark.parametrize("content", [b"", b"just text", b"[1, 2]", b"\xff\xfe\x00", b"a: \x07"])
def test_a_file_without_params_is_refused(params_file: Path, content: bytes) -> None:
    params_file.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_params(params_file)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        load_params(tmp_path / "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(params_file: Path) -> None:
    params_file.write_text(re.sub("learning_rate: [^ ]+", "learning_rate: 1e-3", params_file.read_text()))
    assert load_params(params_file).train.learning_rate == 0.001
