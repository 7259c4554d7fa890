"""Values by hand and against torchvision, rates and places by counting."""

import pytest
import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as reference

from cifarlab.data.augment import HFlip, RandomCrop
from cifarlab.errors import UserError


def numbered(batch: int, size: int = 8) -> Tensor:
    """Images all of whose pixels differ within an image and which are all alike."""
    pixels = torch.arange(3 * size * size, dtype=torch.uint8).view(1, 3, size, size)
    return pixels.expand(batch, -1, -1, -1) + 1


def generator(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_flip_by_hand() -> None:
    image = torch.tensor([[[[1, 2, 3], [4, 5, 6]]]], dtype=torch.uint8)
    flipped = HFlip(p=1.0)(image, generator())
    assert flipped.tolist() == [[[[3, 2, 1], [6, 5, 4]]]]
    assert torch.equal(HFlip(p=0.0)(image, generator()), image)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_flip_rate_and_independence(p: float) -> None:
    images = numbered(20_000, size=2)
    flipped = HFlip(p)(images, generator())
    chosen = (flipped != images).flatten(1).any(1).float()
    assert torch.equal(flipped[chosen.bool()], reference.horizontal_flip(images[chosen.bool()]))
    deviation = (p * (1 - p) / len(images)) ** 0.5
    assert abs(chosen.mean() - p) < 4 * deviation
    neighbours = ((chosen[1:] - p) * (chosen[:-1] - p)).mean() / (p * (1 - p))
    assert abs(neighbours) < 4 / len(images) ** 0.5, "neighbouring images are drawn apart"


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_crop_is_torchvisions_at_the_same_place(padding: int) -> None:
    images = numbered(300)
    cropped = RandomCrop(padding)(images, generator())
    padded = reference.pad(images[:1], [padding] * 4, fill=0)
    places = [(top, left) for top in range(2 * padding + 1) for left in range(2 * padding + 1)]
    windows = torch.cat([reference.crop(padded, *place, 8, 8) for place in places])
    matches = (cropped[:, None] == windows[None]).flatten(2).all(2)
    assert (matches.sum(1) == 1).all(), "every crop is one window of the padded image"


def test_crop_places_are_uniform() -> None:
    images = numbered(20_000, size=4)
    cropped = RandomCrop(2)(images, generator())
    # the corner pixel tells the place: 25 places, a corner outside the image is black
    first = [tuple(image.flatten().tolist()) for image in cropped]
    counts = torch.tensor([first.count(place) for place in set(first)], dtype=torch.float)
    assert len(counts) == 25
    expected = len(images) / 25
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 52, "chi-squared with 24 degrees of freedom, p = 0.0008"


@pytest.mark.parametrize("operation", [HFlip(0.5), RandomCrop(4)])
def test_a_function_of_the_generator(operation: HFlip | RandomCrop) -> None:
    images = numbered(64)
    before = images.clone()
    torch.manual_seed(1)
    once = operation(images, generator(5))
    torch.manual_seed(2)
    assert torch.equal(once, operation(images, generator(5))), "global state plays no part"
    assert not torch.equal(once, operation(images, generator(6)))
    assert once.shape == images.shape and once.dtype == torch.uint8
    assert torch.equal(images, before), "the resident images are not written to"


def test_impossible_parameters() -> None:
    with pytest.raises(UserError, match=r"aug.hflip.p=1.2: must be a probability in \[0, 1\]"):
        HFlip(1.2)
    with pytest.raises(UserError, match="aug.crop.padding=-1: must be a whole number"):
        RandomCrop(-1)
