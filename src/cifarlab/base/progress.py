"""A bar for what takes long, where there is a terminal to show it; logs stay free of bars."""

import os
import sys
from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def followed(
    items: Iterable[T], what: str, total: int | None = None, unit: str = "it"
) -> Iterable[T]:
    """The items, with a bar on standard error while they are gone through, if that is a terminal.

    The bar is removed at the end. A notebook, which takes the place of standard error, has none.

    what: is done with the items.
    total: how many there are, where ``items`` does not know.
    unit: of which each item is one.
    """
    shown = sys.stderr
    is_shown = (
        shown is sys.__stderr__
        and shown is not None
        and shown.isatty()
        and os.environ.get("TERM") != "dumb"
    )
    return tqdm(items, desc=what, total=total or None, disable=not is_shown, leave=False, unit=unit)
