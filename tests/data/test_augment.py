"""Values by hand and against torchvision, rates and places by counting."""

import itertools

import pytest
import torch
from hydra.utils import instantiate
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as reference

from cifarlab.base.errors import UserError
from cifarlab.data.augment import (
    Cutout,
    GaussianBlur,
    GaussianNoise,
    HFlip,
    ImageOp,
    RandomCrop,
    RandomShift,
    Rotation,
    blur,
    rotate,
    to_unit,
)
from tests.conftest import options, plain


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


@pytest.mark.parametrize("pixels", [0, 1, 3])
def test_shift_is_a_crop_of_the_reflected_image(pixels: int) -> None:
    images = numbered(300)
    moved = RandomShift(pixels)(images, generator())
    padded = reference.pad(images[:1], [pixels] * 4, padding_mode="reflect")
    places = {
        padded[0, :, top : top + 8, left : left + 8].numpy().tobytes(): (top, left)
        for top in range(2 * pixels + 1)
        for left in range(2 * pixels + 1)
    }
    seen = {places[image.numpy().tobytes()] for image in moved}
    assert len(seen) == (2 * pixels + 1) ** 2, "all places, and no other"


def test_shift_reaches_no_further_than_the_image() -> None:
    with pytest.raises(UserError, match=r"RandomShift.pixels=8: must be below the images' side"):
        RandomShift(8)(numbered(2), generator())


MIXING = ["mixup", "cutmix"]  # tests/data/test_mixing.py


def policies() -> list[str]:
    return [name for name in options("aug") if name not in ("none", *MIXING)]


def build(policy: str, *overrides: str) -> list[ImageOp]:
    config = plain(f"aug={policy}", *overrides)["aug"]
    return list(instantiate(config, _convert_="all").values())


def apply(operations: list[ImageOp], images: Tensor, seed: int) -> Tensor:
    drawn = generator(seed)
    for operation in operations:
        images = operation(images, drawn)
    return images


def photos(batch: int) -> Tensor:
    """Smooth colourful images, laid out in memory as the loader has them."""
    x = torch.linspace(0, 6, 32)
    waves = [x[None, :].sin() * x[:, None].cos(), (x[None, :] + x[:, None]).sin(), x[None] / 3 - 1]
    image = torch.stack([wave.expand(32, 32) for wave in waves], 2)
    pixels = (image * 100 + 128).clamp(0, 255).to(torch.uint8)
    return pixels.expand(batch, 32, 32, 3).contiguous().permute(0, 3, 1, 2)


@pytest.mark.parametrize("policy", policies())
def test_every_policy_is_a_function_of_the_generator(policy: str) -> None:
    operations, images = build(policy), photos(64)
    before = images.clone()
    torch.manual_seed(1)
    once = apply(operations, images, seed=5)
    torch.manual_seed(2)
    assert torch.equal(once, apply(operations, images, seed=5)), "global state plays no part"
    assert not torch.equal(once, apply(operations, images, seed=6))
    assert once.shape == images.shape and once.dtype == torch.uint8
    assert torch.equal(images, before), "the resident images are not written to"


@pytest.mark.parametrize("policy", policies())
def test_every_policy_draws_for_each_image_apart(policy: str) -> None:
    """Equal images come out in more than one way, and not all pairs of neighbours alike."""
    out = apply(build(policy), photos(64), seed=0)
    assert len({image.numpy().tobytes() for image in out}) > (1 if policy != "hflip" else 0)
    alike = [torch.equal(one, two) for one, two in itertools.pairwise(out)]
    assert not all(alike)


@pytest.mark.parametrize(
    ("policy", "also"),
    [
        ("hflip", []),
        ("grayscale", []),
        ("jitter", []),
        ("blur", ["aug.blur.sigma=[2.0,2.0]"]),  # so much that every image changes
        ("cutout", []),
        ("erasing", []),
    ],
)
@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_rates(policy: str, also: list[str], p: float) -> None:
    images = photos(3000)
    out = apply(build(policy, f"aug.{policy}.p={p}", *also), images, seed=1)
    changed = (out != images).flatten(1).any(1).float().mean().item()
    assert abs(changed - p) <= 4 * (p * (1 - p) / len(images)) ** 0.5 + 1e-3 * (p > 0)


def test_crop_flip_is_flip_after_crop() -> None:
    assert [type(op) for op in build("crop_flip")] == [RandomCrop, HFlip]
    named = build("crop_flip_gray_blur_jitter")
    names = ["RandomCrop", "HFlip", "Grayscale", "GaussianBlur", "ColorJitter"]
    assert [type(op).__name__ for op in named] == names


@pytest.mark.parametrize("angle", [0.0, 3.0, -37.5, 90.0, 180.0])
def test_rotate_is_torchvisions(angle: float) -> None:
    images = to_unit(photos(2))
    expected = reference.rotate(images, angle, interpolation=reference.InterpolationMode.BILINEAR)
    torch.testing.assert_close(rotate(images, torch.full((2,), angle)), expected, rtol=0, atol=1e-5)


def test_rotation_angles_are_uniform() -> None:
    """A bright pixel far from the centre tells the angle."""
    images = torch.zeros(4000, 3, 33, 33, dtype=torch.uint8)
    images[:, :, 16, 32] = 255
    out = Rotation(40.0)(images, generator()).float().sum(1)
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    weights = out / out.sum((1, 2), keepdim=True)
    angles = torch.rad2deg(torch.atan2(-(weights * y).sum((1, 2)), (weights * x).sum((1, 2))))
    assert angles.min() < -38 and angles.max() > 38 and angles.abs().max() < 42
    assert abs(angles.mean()) < 4 * 40 / 3**0.5 / 4000**0.5
    assert angles.std().item() == pytest.approx(40 / 3**0.5, rel=0.05)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_blur_is_torchvisions_for_each_image(kernel: int) -> None:
    images, sigmas = to_unit(photos(3)), torch.tensor([0.1, 0.8, 2.0])
    for image, sigma, blurred in zip(images, sigmas, blur(images, sigmas, kernel), strict=True):
        expected = reference.gaussian_blur(image, [kernel] * 2, [sigma.item()] * 2)
        torch.testing.assert_close(blurred, expected, rtol=0, atol=1e-5)


def test_noise_has_its_spread() -> None:
    images = torch.full((50, 3, 32, 32), 128, dtype=torch.uint8)
    out = GaussianNoise(0.05)(images, generator()).float()
    assert out.mean().item() == pytest.approx(128, abs=0.2)
    assert out.std().item() == pytest.approx(0.05 * 255, rel=0.02)


def test_cutout_blackens_one_square_anywhere() -> None:
    images = torch.full((4000, 3, 16, 16), 200, dtype=torch.uint8)
    black = (Cutout(size=4)(images, generator()) == 0).all(1)
    sizes = black.flatten(1).sum(1)
    assert sizes.max() == 16 and sizes.min() == 4, "whole inside, a quarter in a corner"
    one = black[sizes == 16][0].nonzero()
    assert (one.max(0).values - one.min(0).values).tolist() == [3, 3]
    share = black.float().mean(0)[4:12, 4:12]
    assert (share - 16 / 256).abs().max() < 4 * (16 / 256 / 4000) ** 0.5, "everywhere as likely"


def test_impossible_parameters() -> None:
    with pytest.raises(UserError, match=r"HFlip.p=1.2: must be a probability in \[0, 1\]"):
        HFlip(1.2)
    with pytest.raises(UserError, match="RandomCrop.padding=-1: must be a whole number"):
        RandomCrop(-1)
    with pytest.raises(UserError, match=r"Rotation.degrees=-1: must be a number in \[0"):
        Rotation(-1)
    with pytest.raises(UserError, match=r"GaussianNoise.sigma=-1: must be a number in \[0"):
        GaussianNoise(-1)
    with pytest.raises(UserError, match="GaussianBlur.kernel=4: must be an odd number"):
        GaussianBlur(kernel=4)
    with pytest.raises(UserError, match=r"GaussianBlur.sigma=\[2,1\]: must be \[low, high\]"):
        GaussianBlur(sigma=(2, 1))
    with pytest.raises(UserError, match="Cutout.size=-2: must be a whole number"):
        Cutout(size=-2)


def test_a_blur_that_reaches_over_the_mirrored_image() -> None:
    images = torch.full((4, 3, 8, 8), 255, dtype=torch.uint8)
    GaussianBlur(kernel=15)(images, torch.Generator())
    with pytest.raises(UserError, match="GaussianBlur.kernel=17: must be below twice the images'"):
        GaussianBlur(kernel=17)(images, torch.Generator())


def test_a_crop_that_may_lie_beside_the_image() -> None:
    images = torch.full((4, 3, 8, 8), 255, dtype=torch.uint8)
    RandomCrop(padding=7)(images, torch.Generator())
    with pytest.raises(
        UserError, match="RandomCrop.padding=8: must be below the images' side of 8"
    ):
        RandomCrop(padding=8)(images, torch.Generator())
