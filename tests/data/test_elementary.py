"""Values against torchvision's, image by image, over the magnitudes that the policies draw."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from cifarlab.data.elementary import FIXED, GEOMETRIC, GRADUAL, apply, apply_and_choose, apply_each
from tests.data.test_augment import photos

CHANGES = [*torch.linspace(-0.99, 0.99, 9).tolist(), 0.27, 0.6]


def pixels(batch: int, size: int = 32) -> Tensor:
    """Noise, but for one grey, one dark and one smooth image, laid out as the loader has them."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, generator=generator)
    images[0], images[1] = 77, images[1] // 8
    if size == 32:
        images[2] = photos(1)[0].permute(1, 2, 0)
    return images.permute(0, 3, 1, 2)


def shear(image: Tensor, x: float, y: float, mode: str) -> Tensor:
    """As torchvision's policies call it."""
    angles = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return reference.affine(
        image, 0.0, [0, 0], 1.0, angles, interpolation=InterpolationMode(mode), center=[0, 0]
    )


def translate(image: Tensor, x: float, y: float, mode: str) -> Tensor:
    shift = [int(x * 32), int(y * 32)]
    return reference.affine(
        image, 0.0, shift, 1.0, [0.0, 0.0], interpolation=InterpolationMode(mode)
    )


GEOMETRY = {
    "shear_x": (lambda i, m, mode: shear(i, m, 0, mode), 0.99),
    "shear_y": (lambda i, m, mode: shear(i, 0, m, mode), 0.99),
    "translate_x": (lambda i, m, mode: translate(i, m, 0, mode), 1.0),
    "translate_y": (lambda i, m, mode: translate(i, 0, m, mode), 1.0),
    "rotate": (lambda i, m, mode: reference.rotate(i, m, InterpolationMode(mode)), 135.0),
}


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_is_torchvisions(name: str, mode: str) -> None:
    """But for one value in a thousand: floats are summed in another order, so a mean of four pixels
    that lies near a half may be rounded the other way, and of two pixels equally near it may be the
    other one that is taken."""
    theirs, most = GEOMETRY[name]
    magnitudes = torch.linspace(-most, most, 62)  # 31 of either sign, none of them 0
    images = pixels(62)
    ours = apply(name, images, magnitudes, mode)
    expected = torch.stack(
        [theirs(i, m, mode) for i, m in zip(images, magnitudes.tolist(), strict=True)]
    )
    apart = (ours.int() - expected.int()).abs()
    assert (apart > 0).float().mean() <= 1e-3
    assert mode == "nearest" or apart.max() <= 1
    assert (ours != images).flatten(1).any(1).float().mean() > 0.9, "and something happens"


def test_shear_by_hand() -> None:
    image = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)
    sheared = apply("shear_x", image, torch.tensor([0.5]), "nearest")  # by 1/4, 3/4, 5/4, 7/4
    assert sheared[0, 0].tolist() == [[1, 2, 3, 4], [6, 7, 8, 0], [10, 11, 12, 0], [15, 16, 0, 0]]
    sheared = apply("shear_y", image, torch.tensor([-0.5]), "nearest")
    assert sheared[0, 0].tolist() == [[1, 0, 0, 0], [5, 2, 3, 0], [9, 6, 7, 4], [13, 10, 11, 8]]
    moved = apply("translate_x", image, torch.tensor([0.25]), "nearest")
    assert moved[0, 0].tolist() == [[0, 1, 2, 3], [0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15]]
    moved = apply("translate_y", image, torch.tensor([-0.49]), "nearest")  # -1.96 pixels: -1
    assert moved[0, 0].tolist() == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("brightness", reference.adjust_brightness),
        ("color", reference.adjust_saturation),
        ("contrast", reference.adjust_contrast),
        ("sharpness", reference.adjust_sharpness),
    ],
)
@pytest.mark.parametrize("change", CHANGES)
def test_colours_are_torchvisions(name: str, theirs, change: float) -> None:
    """To one level, and only where the exact value is whole: torchvision weighs the two images,
    we move one by a share of the distance, and the fraction that is cut off may be 0.99999."""
    images = pixels(8)
    ours = apply(name, images, torch.full((8,), change), "nearest")
    factor = 1 + torch.tensor(change).item()  # as our float32 has it
    apart = (ours.int() - theirs(images, factor).int()).abs()
    assert apart.max() <= 1 and apart.float().mean() < 0.13
    assert torch.equal(ours, images) == (change == 0)


def test_magnitudes_belong_to_their_images() -> None:
    images = pixels(3)[1:2].expand(len(CHANGES), -1, -1, -1)
    for name in GRADUAL.keys() - {"posterize", "solarize"}:
        together = apply(name, images, torch.tensor(CHANGES), "nearest")
        for image, change, ours in zip(images, CHANGES, together, strict=True):
            alone = apply(name, image[None], torch.tensor([change]), "nearest")[0]
            assert torch.equal(ours, alone), name


def test_posterize_and_solarize_are_torchvisions_to_the_bit() -> None:
    images, bits = pixels(9), torch.arange(9.0)
    for image, bit, ours in zip(images, bits, apply("posterize", images, bits, ""), strict=True):
        assert torch.equal(ours, reference.posterize(image, int(bit)))
    images, thresholds = pixels(31), torch.linspace(1.0, 0.0, 31)
    solarized = apply("solarize", images, thresholds, "")
    for image, threshold, ours in zip(images, thresholds.tolist(), solarized, strict=True):
        assert torch.equal(ours, reference.solarize(image, 255 * threshold))


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "identity"])
def test_fixed_operations_treat_images_apart(name: str) -> None:
    images = pixels(8)
    theirs = getattr(reference, name, lambda image: image)
    for image, ours in zip(images, apply(name, images, torch.zeros(8), ""), strict=True):
        assert torch.equal(ours, theirs(image))


def test_equalize_and_autocontrast_by_hand() -> None:
    image = torch.tensor([[10, 20], [20, 30]], dtype=torch.uint8).repeat(1, 3, 1, 1)
    stretched = apply("autocontrast", image, torch.zeros(1), "")
    assert stretched[0, 0].tolist() in ([[0, 127], [127, 255]], [[0, 127], [127, 254]])
    steps = torch.tensor([0, 50, 100, 150], dtype=torch.uint8).repeat_interleave(256)
    equal = apply("equalize", steps.view(1, 1, 32, 32).expand(1, 3, -1, -1), torch.zeros(1), "")
    # a step of (1024 - 256) // 255 = 3 pixels a level, counted over the levels below
    assert equal[0, 0].unique().tolist() == [0, (256 + 1) // 3, (512 + 1) // 3, 255]


def test_each_image_gets_its_own_operation() -> None:
    names = [*GEOMETRIC, *GRADUAL, *FIXED]
    images, which = pixels(60), torch.randint(len(names), (60,))
    which[which == 2] = 3  # one operation that no image has
    magnitudes = torch.linspace(0.1, 0.9, 60)
    ours = apply_each(names, which, images, magnitudes, "nearest")
    assert torch.equal(ours, apply_and_choose(names, which, images, magnitudes, "nearest"))
    for number, image in enumerate(ours):
        one = slice(number, number + 1)
        alone = apply(names[which[number]], images[one], magnitudes[one], "nearest")
        assert torch.equal(image, alone[0])
    last = torch.full((60,), len(names) - 1)
    assert torch.equal(apply_each(names, last, images, magnitudes, ""), FIXED["equalize"](images))
