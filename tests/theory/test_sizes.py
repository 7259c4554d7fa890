"""Sizes and receptive fields by formula against torch, over a whole grid of options."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from cifarlab.base.errors import UserError
from cifarlab.theory.fields import Field
from cifarlab.theory.sizes import (
    kernels,
    output_size,
    same_padding,
    size_formula,
    span,
    strided_padding,
)

GRID = list(itertools.product(range(1, 14), range(1, 6), range(1, 5), range(4), range(1, 4)))


def ours(*options: int | bool) -> int | None:
    try:
        return output_size(*options)
    except UserError:
        return None


def torchs(function, *options: object) -> int | None:
    try:
        return function(*options).shape[-1]
    except RuntimeError:
        return None


def test_convolutions() -> None:
    found = set()
    for size, kernel, stride, padding, dilation in GRID:
        image = torch.empty(1, 1, size, device="meta")
        weight = torch.empty(1, 1, kernel, device="meta")
        expected = torchs(F.conv1d, image, weight, None, stride, padding, dilation)
        assert ours(size, kernel, stride, padding, dilation) == expected
        found.add(expected)
    assert None in found and max(found - {None}) == 19


@pytest.mark.parametrize("ceil", [False, True])
def test_poolings(ceil: bool) -> None:
    for size, kernel, stride, padding, dilation in GRID:
        if 2 * padding > kernel:  # torch refuses
            continue
        image = torch.empty(1, 1, size, size, device="meta")
        options = (image, kernel, stride, padding, dilation, ceil)
        expected = torchs(F.max_pool2d, *options)
        assert ours(size, kernel, stride, padding, dilation, ceil) == expected, options[1:]


def test_the_kernels_are_all_that_do_it() -> None:
    for size, stride, padding, dilation in itertools.product((1, 6, 9), (1, 3), (0, 2), (1, 2)):
        by_trying: dict[int, list[int]] = {}
        for kernel in range(1, 25):
            by_trying.setdefault(ours(size, kernel, stride, padding, dilation) or 0, []).append(
                kernel
            )
        for output, expected in by_trying.items():
            if output:
                assert kernels(size, output, stride, padding, dilation) == expected
    assert kernels(512, 504) == [9]
    assert kernels(10, 20) == []


def test_paddings_keep_the_size() -> None:
    for size, kernel, stride, _, dilation in GRID:
        if stride > 1:
            padding = strided_padding(size, kernel, stride, dilation)
            assert output_size(size, kernel, stride, padding, dilation) == size
            if padding:
                assert ours(size, kernel, stride, padding - 1, dilation) != size
        elif (span(kernel, dilation) - 1) % 2 == 0:
            assert output_size(size, kernel, 1, same_padding(kernel, dilation), dilation) == size
    with pytest.raises(UserError, match="kernel=4: no padding keeps the size"):
        same_padding(4)


def test_a_kernel_must_fit() -> None:
    with pytest.raises(UserError, match=r"spans 9 pixels; an input of 5 with padding 1 has only 7"):
        output_size(5, 5, padding=1, dilation=2)


def test_the_formula_says_when_it_rounds() -> None:
    assert "= (512 - 9 + 2*0) / 1 + 1" in size_formula(512, 9, 1, 0)
    assert "= floor((32 - 5 + 2*2) / 2) + 1" in size_formula(32, 5, 2, 2)
    assert "= ceil((32 - 3 + 2*0) / 2) + 1" in size_formula(32, 3, 2, 0, ceil=True)


def test_fields_of_a_textbook_stack() -> None:
    """VGG's argument (arXiv:1409.1556): two 3x3 see what a 5x5 sees, three what a 7x7 does."""
    field = Field()
    sizes = [(field := field.slide(3, padding=1)).size for _ in range(3)]
    assert sizes == [3, 5, 7] and field.start == -3


def test_fields_of_branches() -> None:
    skip, long = Field(), Field().slide(3, padding=1).slide(3, padding=1)
    assert skip.join(long, 8, 8) == long
    assert Field(0, 3, 2).join(Field(0, 3, 1), 8, 8) is None
    squeezed = Field().gather(8)  # all eight units, beside each of them
    assert Field(-1, 3, 1).join(squeezed, 8, 1) == Field(-1, 10, 0)
    assert squeezed.join(Field(-1, 3, 1), 1, 8) == Field(-1, 10, 0)
