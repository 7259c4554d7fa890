"""Durations and counts as people say them."""


def duration(seconds: float) -> str:
    """``40 s``, ``4 min``, ``3.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(number: int | str, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    """``once``, ``2 times``."""
    return "once" if number == 1 else counted(number, "time")
