"""The outcome of a fault."""

from typing import NamedTuple


class Outcome(NamedTuple):
    """fault: what was injected. result: what happened.

    promised: whether docs/fault-tolerance.md says so; None if the fault could not be injected.
    """

    fault: str
    result: str
    promised: bool | None
