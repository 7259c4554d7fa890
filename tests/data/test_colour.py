"""Values against torchvision's for the same factors, factors by counting."""

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from cifarlab.base.errors import UserError
from cifarlab.data.augment import to_unit
from cifarlab.data.colour import ADJUST, ColorJitter, Grayscale, luma

torch.manual_seed(0)
PIXELS = torch.randint(0, 256, (16, 3, 8, 8), dtype=torch.uint8)
PIXELS[0] = 77  # grey: no hue, no saturation
PIXELS[1] = 0
PIXELS[2] = 255
IMAGES = to_unit(PIXELS)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_torchvisions_values(name: str) -> None:
    low, high = (-0.5, 0.5) if name == "hue" else (0.0, 2.0)
    amounts = torch.linspace(low, high, 16)
    changed = ADJUST[name](IMAGES, amounts)
    theirs = getattr(reference, f"adjust_{name}")
    for image, amount, ours in zip(IMAGES, amounts.tolist(), changed, strict=True):
        torch.testing.assert_close(ours, theirs(image, amount), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_the_neutral_amount_changes_nothing(name: str) -> None:
    neutral = torch.full((16,), 0.0 if name == "hue" else 1.0)
    torch.testing.assert_close(ADJUST[name](IMAGES, neutral), IMAGES, rtol=0, atol=1e-6)


def test_grayscale_is_torchvisions() -> None:
    grey = Grayscale(1.0)(PIXELS, torch.Generator().manual_seed(0))
    expected = reference.rgb_to_grayscale(IMAGES, num_output_channels=3) * 255
    assert (grey.float() - expected).abs().max() <= 0.5 + 1e-3
    assert torch.equal(grey[:, 0], grey[:, 2])
    torch.testing.assert_close(luma(IMAGES), reference.rgb_to_grayscale(IMAGES))


def test_brightness_factors_are_uniform() -> None:
    images = torch.full((5000, 3, 2, 2), 100, dtype=torch.uint8)
    out = ColorJitter(brightness=0.4)(images, torch.Generator().manual_seed(0))
    factors = out[:, 0, 0, 0].float() / 100
    assert factors.min() < 0.61 and factors.max() > 1.39
    assert factors.min() >= 0.6 and factors.max() <= 1.4
    assert factors.mean().item() == pytest.approx(1.0, abs=4 * 0.4 / 3**0.5 / 5000**0.5)
    assert factors.std().item() == pytest.approx(0.4 / 3**0.5, rel=0.03)


def test_a_strength_above_one_does_not_turn_the_image_negative() -> None:
    images = torch.full((500, 3, 2, 2), 100, dtype=torch.uint8)
    out = ColorJitter(brightness=2.0)(images, torch.Generator().manual_seed(0)).float() / 100
    assert out.min() < 0.05 and out.max() > 2.4


def test_the_order_is_drawn() -> None:
    """Brightness and saturation do not commute where values are cut off at 1."""
    images = PIXELS[3:4].expand(1, -1, -1, -1)
    jitter = ColorJitter(brightness=0.9, contrast=0.9, saturation=0.9, hue=0.3)
    orders = set()
    for seed in range(200):
        drawn = torch.Generator().manual_seed(seed)
        torch.rand(1, 1, 1, 1, generator=drawn)
        orders.add(tuple(torch.randperm(4, generator=drawn).tolist()))
        jitter(images, torch.Generator().manual_seed(seed))
    assert len(orders) == 24


def test_impossible_strengths() -> None:
    with pytest.raises(UserError, match=r"ColorJitter.contrast=-1: must be a number in \[0"):
        ColorJitter(contrast=-1)
    with pytest.raises(UserError, match=r"ColorJitter.hue=0.6: must be a number in \[0, 0.5\]"):
        ColorJitter(hue=0.6)
    with pytest.raises(UserError, match="ColorJitter.p=2: must be a probability"):
        ColorJitter(p=2)
