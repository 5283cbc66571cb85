"""The typed content of params.yaml, read once and validated whole."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from classifier.errors import UserError

PARAMS = Path("params.yaml")
RESERVED_NAMES = ("actual", "predicted", "loss")  # columns of the table of predictions, beside those of the classes
MAX_CHARACTERS = 100_000  # of a YAML file: its parser takes two seconds for them
MAX_LEVELS = 20  # of nested blocks and lists in it

Count = Annotated[int, Field(ge=1, lt=2**31)]
Size = Annotated[int, Field(ge=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # NumPy's range


class Section(BaseModel):
    """A block of params.yaml: no unknown keys, no silent conversion, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class File(Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Files(Section):
    train_images: File
    train_labels: File
    test_images: File
    test_labels: File


def _distinct_and_not_reserved(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise PydanticCustomError("all_different", "should be all different")
    if reserved := set(RESERVED_NAMES) & set(names):
        raise PydanticCustomError("reserved", f"should not contain {reserved.pop()}, a column of the predictions")
    return names


Name = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$")]  # of one line, as titles and messages need


class Dataset(Section):
    name: Name
    # At most 256 classes: a label is a byte
    classes: Annotated[list[Name], Field(min_length=2, max_length=256), AfterValidator(_distinct_and_not_reserved)]
    files: Files
    sources: Annotated[list[str], Field(min_length=1)]


class Prepare(Section):
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    split: Literal["last", "stratified"]
    seed: Seed


class Model(Section):
    architecture: Literal["cnn", "resnet"]  # functions of classifier.models
    standardize: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]


class Train(Section):
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    warmup_epochs: Annotated[float, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    calibrate: bool
    batch_size: Count
    piece_size: Count
    epochs: Count
    seed: Seed


class Augment(Section):
    flip: bool
    shift: Size
    erase: Size


class Evaluate(Section):
    batch_size: Count
    flip_average: bool


class Plot(Section):
    mistakes: Annotated[int, Field(ge=1, le=100)]


class Runtime(Section):
    precision: Literal["float32", "mixed_bfloat16"]
    distributed: bool


class Params(Section):
    """The whole of params.yaml."""

    dataset: Dataset
    prepare: Prepare
    model: Model
    train: Train
    augment: Augment
    evaluate: Evaluate
    plot: Plot
    runtime: Runtime


def load_params(path: Path = PARAMS) -> Params:
    """Read and validate params.yaml.

    It is parsed by ruamel.yaml as YAML 1.2, because DVC does the same: 1e-3 is a number, and a repeated key an error.
    PyYAML reads YAML 1.1, so a stage would read other values than DVC records.

    Raises:
        UserError: the file is missing, is not YAML, or holds unknown, missing or invalid values; the message
            names each key and what is allowed.
    """
    return validated(load_yaml(path), str(path))


def validated(content: Any, source: str) -> Params:
    """Validate params. content: as parsed from YAML. source: how error messages name it.

    Raises:
        UserError: there are unknown, missing or invalid values; the message names each key and what is allowed.
    """
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{source}: " + "; ".join(map(_explain, error.errors()))) from None


def load_yaml(path: Path) -> Any:
    """Parse a YAML 1.2 file.

    Raises:
        UserError: the file is missing, is not YAML, or has aliases or too many levels; the message names the line.
    """
    try:
        if not path.is_file() and path.exists():  # reading a pipe would wait for ever
            raise UserError(f"{path} is not a file")
        text = path.read_text(encoding="utf-8")
        _refuse_expansion(text, str(path))
        return YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run from the project's top folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}{where}: {' '.join(str(error.problem).split())}") from None
    except UserError:
        raise
    except Exception as error:  # of any kind: ruamel.yaml lets through what dates and numbers with typos raise
        raise UserError(f"{path}: a value cannot be read: {' '.join(str(error).split()):.200}") from None


def _refuse_expansion(text: str, source: str) -> None:
    """Refuse what makes a parser run for minutes or recurse too deeply: a long text, aliases, many levels.

    Raises:
        UserError: the text has one of them; the message names the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"{source} has more than {MAX_CHARACTERS:,} characters")
    level = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise UserError(f"{source}, line {line}: aliases (*{event.anchor}) are not supported; write the value out")
        if level > MAX_LEVELS:
            raise UserError(f"{source}, line {line}: more than {MAX_LEVELS} levels")


def _explain(error: ErrorDetails) -> str:
    """One invalid value in words: its key, what is allowed and what was found."""
    key = ".".join(map(str, error["loc"])) or "the file"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{_nearest(error['loc'])}"
    if error["type"] == "missing":
        return f"{key}: missing"
    message = error["msg"].replace("Input should", "should")
    return f"{key}: {message}, not {error['input']!r:.60}"


def _nearest(location: tuple[int | str, ...]) -> str:
    """The most similar known key of the same section, as a question."""
    section: Any = Params
    for key in location[:-1]:
        section = section.model_fields[key].annotation
    nearest = difflib.get_close_matches(str(location[-1]), section.model_fields, n=1, cutoff=0)
    return f", did you mean {nearest[0]}?"
