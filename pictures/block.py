"""The block `dataset` of params.yaml, rewritten for another dataset."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from classifier.errors import UserError
from classifier.params import PARAMS, validated

KEY = "dataset"


def rewrite(text: str, dataset: dict[str, Any], origin: str) -> str:
    """The text of params.yaml with other values in the block `dataset`. All other lines stay as they are.

    text: that of a valid params.yaml. dataset: all values of the block. origin: a comment beside the first source.

    Raises:
        UserError: a value is not valid, or the block is written in a way in which it cannot be replaced.
    """
    expected = _parse(text) | {KEY: dataset}
    validated(expected, f"the new {PARAMS}")
    try:
        before, block, after = _split(text)
        written = before + _with_values(block, dataset, origin) + after
        same = _parse(written) == expected
    except YAMLError:
        same = False
    if not same:
        raise UserError(f"{PARAMS}: the block {KEY} cannot be replaced; write it as a block of lines, with plain names")
    return written


def _split(text: str) -> tuple[str, str, str]:
    """The text before, of and after the block. Comments and empty lines above the next block belong to that one."""
    lines = text.splitlines(keepends=True)
    blocks = YAML().load(text)
    starts = [blocks.lc.key(key)[0] for key in blocks]
    start = blocks.lc.key(KEY)[0]
    end = min((line for line in starts if line > start), default=len(lines))
    while not lines[end - 1].partition("#")[0].strip():
        end -= 1
    return "".join(lines[:start]), "".join(lines[start:end]), "".join(lines[end:])


def _with_values(block: str, dataset: dict[str, Any], origin: str) -> str:
    """The text of the block with other values, and with the comments beside its keys."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 10_000  # no line breaks in long names
    content = yaml.load(block)
    sources = CommentedSeq(dataset["sources"])
    sources.yaml_add_eol_comment(origin, 0)
    content[KEY].update(dataset | {"sources": sources})
    written = io.StringIO()
    yaml.dump(content, written)
    return written.getvalue()


def _parse(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)
