"""Sizes along one axis, in pixels: of outputs, kernels and paddings.

The reports' formula, W2 = (W1 - F + 2P) / S + 1, with dilation D and rounding: a kernel of F spans
D(F - 1) + 1 pixels, and what does not divide is rounded down (pooling may round up).
"""

from cifarlab.base.errors import UserError


def span(kernel: int, dilation: int = 1) -> int:
    """How many pixels there are from the first to the last one that a kernel touches."""
    return dilation * (kernel - 1) + 1


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    ceil: bool = False,
) -> int:
    """The size of the output of a convolution or pooling.

    Raises ``UserError`` if the kernel does not fit.

    ceil: whether to round up, as pooling with ``ceil_mode`` does. A last window that would lie in
        the padding completely is left out.
    """
    room = size + 2 * padding - span(kernel, dilation)
    found = (-(-room // stride) if ceil else room // stride) + 1
    if found < 1:
        raise UserError(
            f"a kernel of {kernel} (dilation {dilation}) spans {span(kernel, dilation)} pixels; "
            f"an input of {size} with padding {padding} has only {size + 2 * padding}"
        )
    return found - (ceil and (found - 1) * stride >= size + padding)


def kernels(
    size: int, output: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> list[int]:
    """All kernels that turn ``size`` into ``output`` pixels, ascending.

    There can be several, since a stride rounds down, or none.
    """
    largest = (size + 2 * padding - 1) // dilation + 1
    return [
        kernel
        for kernel in range(1, largest + 1)
        if output_size(size, kernel, stride, padding, dilation) == output
    ]


def same_padding(kernel: int, dilation: int = 1) -> int:
    """The padding on each side with which stride 1 keeps the size: D(F - 1) / 2.

    Raises ``UserError`` where that is half a pixel.
    """
    if (span(kernel, dilation) - 1) % 2:
        raise UserError(
            f"kernel={kernel}: no padding keeps the size: {span(kernel, dilation) - 1} pixels "
            "would have to be shared out evenly over two sides; an odd kernel can"
        )
    return (span(kernel, dilation) - 1) // 2


def strided_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """The padding with which a stride keeps the size: ((S - 1) W - S + D(F - 1) + 1) / 2.

    If that is half a pixel, it is rounded up, since the division by the stride rounds down.
    """
    return -(-((stride - 1) * size - stride + span(kernel, dilation)) // 2)


def size_formula(
    size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False
) -> str:
    """The reports' formula with numbers; the brackets of rounding where it does not divide."""
    reach = str(kernel) if dilation == 1 else f"({dilation}*({kernel} - 1) + 1)"
    name = "F" if dilation == 1 else "(D(F - 1) + 1)"
    exact = (size + 2 * padding - span(kernel, dilation)) % stride == 0
    left, right = ("(", ")") if exact else ("ceil(", ")") if ceil else ("floor(", ")")
    return (
        f"W2 = (W1 - {name} + 2P) / S + 1 = "
        f"{'' if exact else left}({size} - {reach} + 2*{padding}) / {stride}"
        f"{'' if exact else right} + 1"
    )
