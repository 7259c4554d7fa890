"""Tables in CSV files, which people open in spreadsheets."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cifarlab.store.files import write_atomic

_FORMULA = tuple("=+-@\t\n＝＋－＠")  # as OWASP lists them


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows in one step, with the keys of the first row as columns.

    Text that a spreadsheet would run as a formula gets a ``'`` in front, as OWASP recommends;
    numbers stay as they are. Bytes in a file's name that are not text are written as escapes.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(map(_cell, rows[0]))
    table.writerows([_cell(row.get(key)) for key in rows[0]] for row in rows)
    write_atomic(path, text.getvalue().encode(errors="backslashreplace").decode())


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = value.replace("\r", r"\r")  # csv would leave it unquoted: a row of its own
    if len(text) < 2 or not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
