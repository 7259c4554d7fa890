"""Tables and other text as Markdown."""

import re
from collections.abc import Sequence

from cifarlab.base.errors import printable

Table = Sequence[Sequence[str]]  # the first row is the header
_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_MEANT = re.compile(  # what begins code, HTML, a link, an entity or a block of its own
    r"\\(?=[!-/:-@\[-`{-~])|`|<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=#?\w+;)|^(?=#{1,6} |[-+*] |>|~~~)"
)
_MEANT_IN_LABEL = re.compile(rf"{_MEANT.pattern}|[\[\]]")


class Markup(str):
    """Text that is Markdown already, and is not escaped again."""


def as_markdown(text: str, *, is_label: bool = False) -> str:
    """One line of Markdown that shows the text as it is, whatever characters are in it.

    is_label: whether it stands between the brackets of a link or a picture.
    """
    if isinstance(text, Markup):
        return text
    return (_MEANT_IN_LABEL if is_label else _MEANT).sub(
        r"\\\g<0>", printable(_BREAK.sub(" ", text))
    )


def markdown_table(table: Table) -> str:
    """A Markdown table with its columns aligned."""
    cells = [[as_markdown(cell).replace("|", r"\|") for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def listed(names: Sequence[str], most: int = 10) -> str:
    """The names with commas between; of a long list the first ``most``, and how many more there
    are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", … and {more} more" if more > 0 else "")
