"""Tables as text."""

from collections.abc import Sequence

Table = Sequence[Sequence[str]]  # the first row is the header


def markdown_table(table: Table) -> str:
    """A Markdown table with its columns aligned."""
    escaped = [[cell.replace("|", r"\|") for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]
    lines = [
        "| " + " | ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in escaped
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def listed(names: Sequence[str], most: int = 10) -> str:
    """``a, b, c``; of a long list the first ``most`` and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", … and {more} more" if more > 0 else "")
