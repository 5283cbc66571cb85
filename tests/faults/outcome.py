"""What a fault led to."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """fault: what was done. result: what happened. promised: whether that is what the README promises."""

    fault: str
    result: str
    promised: bool
