"""Convolution by hand against torch's and against scipy's, which is the mathematicians'."""

import random

import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

from cifarlab.base.errors import UserError
from cifarlab.theory.convolve import correlate, matrix, same_paddings, turned, values
from cifarlab.theory.reports import IMAGE, SOBEL


def drawn(height: int, width: int) -> list[list[int]]:
    return [[random.randint(-9, 9) for _ in range(width)] for _ in range(height)]


def test_against_torch_and_scipy() -> None:
    random.seed(0)
    for _ in range(60):
        image = drawn(random.randint(5, 7), random.randint(5, 8))
        kernel = drawn(random.choice([1, 3, 5]), random.choice([1, 2, 3]))
        stride, padding = random.randint(1, 3), random.randint(0, 2)
        tensors = [torch.tensor([[rows]]) for rows in (image, kernel)]
        expected = F.conv2d(*tensors, stride=stride, padding=padding)[0, 0].tolist()
        assert values(correlate(image, kernel, padding, stride)) == expected
        if len(kernel[0]) % 2:
            true = values(correlate(image, turned(kernel)))
            assert true == convolve2d(image, kernel, mode="same").tolist()


def test_task_1a() -> None:
    output = values(correlate(IMAGE, SOBEL))
    assert output == [[2, -1, 11, -2, -13], [10, -4, 8, 2, -18], [14, -1, -5, 6, -9]]
    negated = [[-value for value in row] for row in output]
    assert values(correlate(IMAGE, turned(SOBEL))) == negated


def test_the_working_is_written_as_in_the_report() -> None:
    working = correlate(IMAGE, SOBEL)[0][0]
    assert str(working) == ("0·(-1) + 0·0 + 0·1 + 0·(-2) + 1·0 + 0·2 + 0·(-1) + 3·0 + 2·1 = 2")


@pytest.mark.parametrize("value", [3, [1, 2], [[1, 2], [3]], [[]], "[[1]]"])
def test_no_matrix(value: object) -> None:
    with pytest.raises(UserError, match="image=.*: must be rows of one length"):
        matrix("image", value)


def test_matrices_hold_whole_numbers() -> None:
    with pytest.raises(UserError, match=r"image: 0.5 must be a whole number"):
        matrix("image", [[1, 0.5]])
    with pytest.raises(UserError, match="no padding keeps the size"):
        same_paddings([[1, 2], [3, 4]])
