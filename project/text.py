"""Markdown tables, and the notation of means over seeds: 90.80 ± 0.11 % (3 seeds)."""

import re
from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; None becomes a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(item) for item in line) + " |" for line in lines)


def mean_and_sd(mean: float, sd: float, seeds: int) -> str:
    """Mean and standard deviation over seeds of a share, in percent."""
    return f"{100 * mean:.2f} ± {100 * sd:.2f} % ({seeds} seeds)"


def _cell(item: object) -> str:
    """A cell's text. Text from params or class names must not end the cell or begin an HTML tag."""
    if item is None:
        return "–"
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(str(item).split()).replace("|", "\\|"))
