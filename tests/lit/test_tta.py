import numpy as np
import pytest
import torch
from torch import nn

from cifarlab.base.options import TTA_VIEWS
from cifarlab.lit import VIEWS, evaluate

IMAGE = torch.arange(27.0).view(1, 3, 3, 3)


def test_the_sets_are_those_of_the_configuration() -> None:
    assert tuple(VIEWS) == TTA_VIEWS


@pytest.mark.parametrize("name", VIEWS)
def test_weights_sum_to_one_and_the_image_comes_first(name: str) -> None:
    views = VIEWS[name](IMAGE)
    assert sum(weight for weight, _ in views) == 1.0
    assert torch.equal(views[0][1], IMAGE)
    assert all(view.shape == IMAGE.shape for _, view in views)


def test_flip_by_hand() -> None:
    (half, _), (other, mirror) = VIEWS["flip"](IMAGE)
    assert half == other == 0.5
    assert mirror[0, 0].tolist() == [[2, 1, 0], [5, 4, 3], [8, 7, 6]]


def test_flip_shift_by_hand() -> None:
    views = VIEWS["flip_shift"](IMAGE)
    assert [weight for weight, _ in views] == [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    # one pixel down and right: the row above the first is the second's reflection
    assert views[2][1][0, 0].tolist() == [[4, 3, 4], [1, 0, 1], [4, 3, 4]]
    assert views[4][1][0, 0].tolist() == [[4, 5, 4], [7, 8, 7], [4, 5, 4]]
    for straight, mirrored in zip(views[::2], views[1::2], strict=True):
        assert torch.equal(straight[1].flip(3), mirrored[1])


class FirstPixel(nn.Module):
    """Logits: the red value of the upper left pixel, and 0."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images[:, 0, 0, 0], torch.zeros(len(images))], dim=1)


def test_evaluate_averages_logits_in_the_same_pass() -> None:
    batches = [(IMAGE - 1.5, torch.tensor([1])), (IMAGE + 1, torch.tensor([0]))]
    seen = iter(batches)  # can be read only once
    autocast = torch.autocast("cpu", enabled=False)
    result = evaluate(FirstPixel(), seen, autocast, VIEWS["flip"])
    plain = evaluate(FirstPixel(), batches, autocast)
    assert np.array_equal(result.logits, plain.logits) and result.metrics == plain.metrics
    assert plain.tta is None and result.tta is not None
    assert plain.logits[:, 0].tolist() == [-1.5, 1.0] and plain.metrics["acc"] == 1.0
    assert result.tta.logits[:, 0].tolist() == [-0.5, 2.0] and result.tta.metrics["acc"] == 1.0
    far = evaluate(FirstPixel(), batches, autocast, VIEWS["flip_shift"])
    # means of pixels 0 and 2; 4 and 4; 4 and 4, in parts 2, 1, 1
    assert far.tta is not None
    assert far.tta.logits[:, 0].tolist() == [pytest.approx(2.5 - 1.5), pytest.approx(2.5 + 1)]
    assert far.tta.metrics["acc"] == 0.5 and far.tta.metrics["loss"] != far.metrics["loss"]
