"""The scores that evaluate wrote, read with their types checked."""

from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter, ValidationError

from classifier.errors import UserError

SCORES = TypeAdapter(dict[str, dict[str, FiniteFloat]])


def read(path: Path) -> dict[str, dict[str, float]]:
    """The scores in metrics/evaluate.json, by split and name.

    Raises:
        UserError: the file does not have such scores, or lacks the accuracy of a split.
    """
    try:
        scores = SCORES.validate_json(path.read_bytes())
    except ValidationError:
        raise UserError(f"{path} is not what evaluate writes; dvc repro makes it again") from None
    for split in ("validation", "test"):
        if "accuracy" not in scores.get(split, {}):
            raise UserError(f"{path} lacks the accuracy of {split}; dvc repro makes it again")
    return scores
