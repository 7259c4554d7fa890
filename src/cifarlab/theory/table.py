"""The layer table of a network: rows, totals, text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cifarlab.theory.layers import Shape, shown


@dataclass(frozen=True)
class Row:
    """One layer.

    formula: of its parameters, with numbers.
    weights, biases, macs: by formula; ``None`` where this kind of layer has none here.
    counted: parameters found in the real layer; ``None`` for one that is only written down.
    field: receptive field, pixels of the input along height and width; ``None``: unknown.
    memory: bytes of the output in 32 bits for one image; 0 where it lies in its input's place.
    """

    name: str
    kind: str
    output: Shape
    formula: str
    weights: int | None
    biases: int | None
    counted: int | None
    field: tuple[int, int] | None
    macs: int | None
    memory: int

    @property
    def parameters(self) -> int | None:
        """The number of parameters, by formula."""
        if self.weights is None or self.biases is None:
            return None
        return self.weights + self.biases

    @property
    def agrees(self) -> bool:
        """Whether formula and count are equal, or one of them is missing."""
        return None in (self.parameters, self.counted) or self.parameters == self.counted


HEADER = (
    "layer", "kind", "output", "weights", "biases", "parameters", "counted", "field", "MACs", "KiB",
)  # fmt: skip
_LEFT = 3  # columns of words and shapes


def table(rows: Sequence[Row], *, formulas: bool = False) -> list[list[str]]:
    """Header, rows and totals as words. ``-``: none; ``?``: no formula here, or unknown.

    formulas: of the parameters, in a last column.
    """
    lines = [list(HEADER)]
    for row in rows:
        numbers = (row.weights, row.biases, row.parameters, row.counted)
        lines.append([
            row.name, row.kind, shown(row.output) or "-", *map(_number, numbers),
            _field(row.field), _number(row.macs), f"{row.memory / 1024:,.1f}",
        ])  # fmt: skip
    sums = [total(rows, key) for key in ("weights", "biases", "parameters", "counted")]
    memory = sum(row.memory for row in rows) / 1024
    lines.append(
        ["total", "", "", *map(_number, sums), "", _number(total(rows, "macs")), f"{memory:,.1f}"]
    )
    if all(row.counted is None for row in rows):
        at = HEADER.index("counted")
        lines = [line[:at] + line[at + 1 :] for line in lines]
    if formulas:
        last = ["parameters by formula", *(row.formula for row in rows), ""]
        lines = [[*line, word] for line, word in zip(lines, last, strict=True)]
    return lines


def as_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows for a file, with plain numbers, which are empty if they are unknown."""
    return [
        {
            "layer": row.name,
            "kind": row.kind,
            "output": shown(row.output),
            "formula": row.formula,
            "weights": row.weights,
            "biases": row.biases,
            "parameters": row.parameters,
            "counted": row.counted,
            "field_height_px": row.field and row.field[0],
            "field_width_px": row.field and row.field[1],
            "macs": row.macs,
            "memory_bytes": row.memory,
        }
        for row in rows
    ]


def text(rows: Sequence[Row]) -> str:
    """The table with aligned columns."""
    return aligned(table(rows), _LEFT)


def aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """Words as a table with a rule below the header; the first ``left`` columns begin, the others
    end, where their headers do."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    drawn = [
        "  ".join(
            f"{word:<{width}}" if column < left else f"{word:>{width}}"
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([drawn[0], "-" * max(map(len, drawn)), *drawn[1:]])


def total(rows: Sequence[Row], key: str) -> int:
    """The sum of a column over the rows in which it is known."""
    return sum(getattr(row, key) or 0 for row in rows)


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}" if value else "-"


def _field(field: tuple[int, int] | None) -> str:
    if field is None:
        return "?"
    return str(field[0]) if field[0] == field[1] else f"{field[0]}x{field[1]}"
