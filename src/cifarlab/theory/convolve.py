"""A convolution by hand, every product written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from cifarlab.base.errors import UserError
from cifarlab.theory.sizes import output_size, same_padding

Matrix = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Working:
    """One value of the output: its factors in the order of the kernel, row by row."""

    row: int
    column: int
    factors: tuple[tuple[int, int], ...]  # pixel, weight

    @property
    def value(self) -> int:
        return sum(pixel * weight for pixel, weight in self.factors)

    def __str__(self) -> str:
        terms = " + ".join(
            f"{pixel}·{f'({weight})' if weight < 0 else weight}" for pixel, weight in self.factors
        )
        return f"{terms} = {self.value}"


def correlate(
    image: Matrix, kernel: Matrix, padding: int | None = None, stride: int = 1
) -> list[list[Working]]:
    """Cross-correlation, which deep learning calls convolution: the kernel as it stands.

    padding: zeros on each side; ``None``: as many as keep the size. Raises ``UserError`` for what
    is no matrix and for a kernel that does not fit.
    """
    pads = same_paddings(kernel) if padding is None else (padding, padding)
    padded = pad(image, pads)
    height, width = (
        output_size(len(side), len(part), stride, amount)
        for side, part, amount in zip((image, image[0]), (kernel, kernel[0]), pads, strict=True)
    )
    return [
        [
            Working(
                row,
                column,
                tuple(
                    (padded[row * stride + i][column * stride + j], weight)
                    for i, weights in enumerate(kernel)
                    for j, weight in enumerate(weights)
                ),
            )
            for column in range(width)
        ]
        for row in range(height)
    ]


def turned(kernel: Matrix) -> list[list[int]]:
    """The kernel turned by 180 degrees: with it, cross-correlation is convolution in
    mathematics."""
    return [list(row)[::-1] for row in kernel][::-1]


def values(output: Sequence[Sequence[Working]]) -> list[list[int]]:
    return [[working.value for working in row] for row in output]


def same_paddings(kernel: Matrix) -> tuple[int, int]:
    """How many rows and columns of zeros on each side keep the size.

    Raises ``UserError`` if the kernel has an even number of rows or columns.
    """
    return same_padding(len(kernel)), same_padding(len(kernel[0]))


def pad(image: Matrix, amounts: tuple[int, int]) -> list[list[int]]:
    """The image with rows of zeros above and below, and columns of zeros left and right."""
    rows, columns = amounts
    empty = [[0] * (len(image[0]) + 2 * columns) for _ in range(rows)]
    inner = [[0] * columns + list(row) + [0] * columns for row in image]
    return [*empty, *inner, *[list(row) for row in empty]]


def matrix(name: str, value: object) -> list[list[int]]:
    """The value, if it is a matrix of whole numbers.

    Raises ``UserError`` if it is not. name: of the value, for the message.
    """
    rows = value if isinstance(value, list) else []
    lengths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise UserError(f"{name}={value}: must be rows of one length, {name}=[[1,0,2],[3,2,0]]")
    for row in rows:
        for number in row:
            if isinstance(number, bool) or not isinstance(number, int):
                raise UserError(f"{name}: {number} must be a whole number")
    return rows


def drawn(rows: Matrix, indent: str = "  ") -> list[str]:
    """The matrix as lines with aligned columns."""
    width = max(len(str(number)) for row in rows for number in row)
    return [indent + " ".join(f"{number:>{width}}" for number in row) for row in rows]
