"""How numbers are written in figures and texts."""


def percent(share: float, decimals: int = 2) -> str:
    """A share in percent, as in 90.73 %."""
    return f"{100 * share:.{decimals}f} %"
