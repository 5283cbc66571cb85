"""Markdown: tables, text from elsewhere without its markup, and the notation of means over seeds."""

import re
from collections.abc import Sequence

SIGNIFICANT = re.compile(r"[\\`*_~\[\]<>!|&$]")  # in Markdown, within a line


class Markdown(str):
    """Text whose markup is intended."""

    __slots__ = ()


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; None becomes a dash. The markup of cells other than Markdown is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(item) for item in line) + " |" for line in lines)


def escape(value: object) -> Markdown:
    """Text of one line without markup: no HTML, image or link, and no mention, reference or address on GitHub."""
    text = SIGNIFICANT.sub(r"\\\g<0>", _one_line(value))
    # GitHub makes links of @name, #1, GH-1, owner/name#1, www. and scheme://, escaped or not. A word joiner, which has
    # no width, makes them other words.
    return Markdown(re.sub(r"[@#]|(?i:www)(?=\.)|(?i:GH)(?=-\d)|:(?=/)", "\\g<0>\u2060", text))


def code(value: object) -> Markdown:
    """Text of one line as code, in which no markup works."""
    text = _one_line(value).replace("`", "ˋ").replace("|", "\\|")
    return Markdown(f"`{text}`" if text else "")


def mean_and_sd(mean: float, sd: float, seeds: int) -> str:
    """Mean and standard deviation over seeds of a share, in percent."""
    return f"{100 * mean:.2f} ± {100 * sd:.2f} % ({seeds} seeds)"


def _one_line(value: object) -> str:
    """A value's text in one line, without characters that terminals or browsers act on."""
    return "".join(character for character in " ".join(str(value).split()) if character.isprintable())


def _cell(item: object) -> str:
    if item is None:
        return "–"
    return item if isinstance(item, Markdown) else escape(item)
