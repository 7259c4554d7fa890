"""Rectangles by counting; values against torchvision's erase."""

import math

import pytest
import torch
from scipy import stats
from torchvision.transforms.v2 import functional as reference

from cifarlab.base.errors import UserError
from cifarlab.data.erasing import RandomErasing
from tests.data.test_augment import generator, photos


def rectangles(mask: torch.Tensor) -> torch.Tensor:
    """Top, left, height, width of what is true in each of the masks ``(n, height, width)``."""
    found = []
    for one in mask:
        places = one.nonzero()
        first, last = places.min(0).values, places.max(0).values
        found.append(torch.cat([first, last - first + 1]))
    return torch.stack(found)


def test_a_rectangle_inside_the_image_and_nothing_else() -> None:
    images = photos(500) // 2 + 20
    out = RandomErasing(p=1.0, value=7)(images, generator())
    places = rectangles((out == 7).all(1))
    for image, erased, (i, j, h, w) in zip(images, out, places.tolist(), strict=True):
        expected = reference.erase(image, i, j, h, w, torch.full((3, 1, 1), 7, dtype=torch.uint8))
        assert torch.equal(erased, expected)


def test_areas_ratios_and_places_are_spread_as_told() -> None:
    images = torch.full((4000, 3, 64, 64), 200, dtype=torch.uint8)
    out = RandomErasing(p=1.0, scale=(0.1, 0.2), ratio=(0.5, 2.0))(images, generator())
    top, left, height, width = rectangles((out == 0).all(1)).double().unbind(1)
    areas, ratios = height * width / 64**2, (height / width).log2()
    assert areas.min() > 0.09 and areas.max() < 0.21 and ratios.abs().max() < 1.1
    assert stats.kstest(areas.numpy(), "uniform", (0.1, 0.1)).statistic < 0.03
    assert stats.kstest(ratios.numpy(), "uniform", (-1.0, 2.0)).statistic < 0.03
    for first, size in ((top, height), (left, width)):
        places = first / (64 - size)
        assert places.min() == 0 and places.max() == 1, "up to the edges and not over them"
        assert places.mean().item() == pytest.approx(0.5, abs=4 * 0.3 / math.sqrt(4000))


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_rate(p: float) -> None:
    images = torch.full((4000, 3, 32, 32), 9, dtype=torch.uint8)
    changed = (RandomErasing(p)(images, generator()) == 0).flatten(1).any(1).float().mean()
    assert abs(changed - p) <= 4 * (p * (1 - p) / 4000) ** 0.5


def test_what_never_fits_is_left_alone() -> None:
    """All of the area: as high or as wide as the image at least."""
    images = photos(50)
    assert torch.equal(RandomErasing(1.0, scale=(1.0, 1.0))(images, generator()), images)


def test_another_attempt_is_made_where_one_does_not_fit() -> None:
    """Ratios from 1/9 to 9 at 40 % of the area: half of all rectangles are too long."""
    images = torch.full((4000, 3, 32, 32), 9, dtype=torch.uint8)
    operation = RandomErasing(1.0, scale=(0.4, 0.4), ratio=(1 / 9, 9.0))
    erased = (operation(images, generator()) == 0).flatten(1).any(1).float().mean()
    fits = -math.log(0.4) / math.log(9)
    assert 0.3 < fits < 0.5
    assert erased.item() == pytest.approx(1 - (1 - fits) ** 10, abs=0.01)


def test_random_levels() -> None:
    images = torch.zeros(300, 3, 32, 32, dtype=torch.uint8)
    out = RandomErasing(1.0, scale=(0.3, 0.3), value="random")(images, generator())
    share = (out > 0).float().mean().item()
    assert share == pytest.approx(0.3 * 255 / 256, rel=0.03)
    levels = torch.bincount(out.flatten().long(), minlength=256)[1:]
    assert stats.chisquare(levels.numpy()).pvalue > 1e-4


def test_impossible_parameters() -> None:
    with pytest.raises(UserError, match="RandomErasing.p=2: must be a probability"):
        RandomErasing(p=2)
    with pytest.raises(UserError, match=r"RandomErasing.scale=\[0.4,0.3\]: must be \[low"):
        RandomErasing(scale=(0.4, 0.3))
    with pytest.raises(UserError, match=r"scale=\[0.4,1.3\]: must be .* high <= 1"):
        RandomErasing(scale=(0.4, 1.3))
    with pytest.raises(UserError, match=r"RandomErasing.ratio=\[0,2\]: must be \[low, high\], 0"):
        RandomErasing(ratio=(0, 2))
    for value in (256, "noise"):
        with pytest.raises(
            UserError,
            match=f"RandomErasing.value={value}: must be a whole number from 0 to 255; or random",
        ):
            RandomErasing(value=value)
