"""Tables as text."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.store.files import write_atomic

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


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """All rows under the keys of the first, in one step."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue())


def listed(names: Sequence[str], most: int = 10) -> str:
    """``a, b, c``; of a long list the first ``most`` and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f", … and {more} more" if more > 0 else "")
