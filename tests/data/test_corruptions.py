"""Corruptions against what their formulas give by other means: numpy, Pillow, scipy, by hand."""

import colorsys
import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats

from cifarlab.base.errors import UserError
from cifarlab.data.corruptions import (
    CORRUPTIONS,
    GROUP_OF,
    GROUPS,
    SEVERITIES,
    box_matrix,
    corrupt,
    disk,
    drawn_out,
    gaussian_matrix,
    haze,
    zoom_matrix,
)
from cifarlab.data.draws import Draws

DETERMINISTIC = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate"}
DETERMINISTIC |= {"jpeg_compression"}
INDICES = torch.arange(10, 14)


def photos() -> torch.Tensor:
    """Smooth colours with some noise: black and white are among the values."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, 32, mode="bilinear") * 1.4 - 0.2
    smooth += 0.05 * torch.randn(4, 3, 32, 32, generator=generator)
    return (smooth.clamp(0, 1) * 255).to(torch.uint8)


PHOTOS = photos()


def stored(images: torch.Tensor) -> list[np.ndarray]:
    return [*images.permute(0, 2, 3, 1).contiguous().numpy()]


def apart(name: str, severity: int, expected: list[np.ndarray]) -> int:
    """The largest difference."""
    found = np.stack(stored(corrupt(PHOTOS, name, severity, INDICES))).astype(int)
    return int(np.abs(found - np.stack(expected)).max())


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_by_itself(name: str) -> None:
    """The same alone as in a batch; the more severe, the further away; the seed counts, or not."""
    whole = [corrupt(PHOTOS, name, severity, INDICES) for severity in SEVERITIES]
    alone = corrupt(PHOTOS[2:3], name, 3, INDICES[2:3])
    assert torch.equal(alone, whole[2][2:3]) and alone.dtype == torch.uint8
    first, last = ((whole[i].float() - PHOTOS.float()).abs().mean() for i in (0, 4))
    assert 0 < first < last or name in {"elastic_transform", "glass_blur"}
    other = corrupt(PHOTOS, name, 3, INDICES, seed=1)
    assert torch.equal(other, whole[2]) == (name in DETERMINISTIC)
    moved = corrupt(PHOTOS, name, 3, INDICES + 1)
    assert torch.equal(moved, whole[2]) == (name in DETERMINISTIC)


def test_there_are_fifteen_in_four_groups() -> None:
    assert len(CORRUPTIONS) == 15 and set(GROUPS) == set(GROUP_OF.values())


def test_what_there_is_not() -> None:
    with pytest.raises(UserError, match="did you mean fog"):
        corrupt(PHOTOS, "fogg", 1, INDICES)
    with pytest.raises(UserError, match="severity 6: must be a whole number from 1 to 5"):
        corrupt(PHOTOS, "fog", 6, INDICES)


@pytest.mark.parametrize(("severity", "spread"), [(1, 0.04), (3, 0.08), (5, 0.10)])
def test_gaussian_noise_has_its_spread(severity: int, spread: float) -> None:
    grey = torch.full((8, 3, 32, 32), 128, dtype=torch.uint8)
    found = corrupt(grey, "gaussian_noise", severity, torch.arange(8)).double() + 0.5  # cut off
    assert float(found.mean()) == pytest.approx(128, abs=0.5)
    assert float(found.std()) == pytest.approx(255 * spread, rel=0.02)


def test_shot_noise_is_poisson() -> None:
    """The quantile of the number drawn, as scipy has it."""
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    drawn = Draws(torch.tensor([5]), "corruption", "shot_noise", 4, 0).uniform(3, 16, 16)
    counts = stats.poisson.ppf(drawn.numpy(), values.numpy() / 255 * 75)
    expected = (255 * np.clip(counts / 75, 0, 1)).astype(np.uint8)
    found = corrupt(values, "shot_noise", 4, torch.tensor([5])).numpy()
    assert np.abs(found.astype(int) - expected).max() <= 1  # 51.0 or 50.99...


def test_impulse_noise_has_its_share() -> None:
    grey = torch.full((20, 3, 32, 32), 128, dtype=torch.uint8)
    found = corrupt(grey, "impulse_noise", 5, torch.arange(20))
    black, white = ((found == value).double().mean() for value in (0, 255))
    assert float(black) == pytest.approx(0.035, abs=0.003)
    assert float(white) == pytest.approx(0.035, abs=0.003)
    assert float((found == 128).double().mean()) == pytest.approx(0.93, abs=0.004)


@pytest.mark.parametrize(("radius", "soft", "inside"), [(0.5, 0.6, 1), (1, 0.2, 5), (1.5, 0.1, 9)])
def test_the_disk(radius: float, soft: float, inside: int) -> None:
    kernel = disk(radius, soft).numpy()
    assert kernel.sum() == pytest.approx(1)
    side = 1 / (2 + np.exp(0.5 / soft**2))  # of the soft rim, to each side
    middle = 1 - 2 * side
    n = len(kernel) // 2
    if inside == 1:
        assert kernel[n, n] == pytest.approx(middle**2)
        assert kernel[n, n + 1] == pytest.approx(side * middle)
    else:
        assert kernel[n, n] == pytest.approx(1 / inside, rel=0.02)
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    assert (kernel[y**2 + x**2 <= radius**2] > 0.9 * middle**2 / inside).all()


@pytest.mark.parametrize("severity", [3, 5])
def test_defocus_blur_is_the_mean_over_the_disk(severity: int) -> None:
    kernel = disk(*((0.5, 0.6), (1.5, 0.1))[severity == 5]).numpy()
    expected = [
        np.stack(
            [ndimage.correlate(image[..., c] / 255, kernel, mode="mirror") for c in range(3)], 2
        )
        for image in stored(PHOTOS)
    ]
    assert apart("defocus_blur", severity, [(255 * e).astype(int) for e in expected]) <= 1


def test_glass_blur_takes_pixels_from_near_by() -> None:
    """At the lowest severity nothing is blurred: each pixel is one of four; two rows stay."""
    found = corrupt(PHOTOS, "glass_blur", 1, INDICES)
    assert torch.equal(found[:, :, :2], PHOTOS[:, :, :2])
    inner = found[:, :, 2:, 2:]
    near = [
        PHOTOS[:, :, 2 - up : 32 - up, 2 - left : 32 - left] for up in (0, 1) for left in (0, 1)
    ]
    shares = [(inner == each).all(1).double().mean() for each in near]
    assert torch.stack([(inner == each).all(1) for each in near]).any(0).all()
    assert all(0.2 < share < 0.35 for share in shares)


@pytest.mark.parametrize(
    ("degrees", "down", "right"), [(0.0, 0, 1), (90.0, 1, 0), (-45.0, -1, 1), (180.0, 0, -1)]
)
def test_a_line_is_half_a_gaussian(degrees: float, down: int, right: int) -> None:
    """A point ends up where its neighbours look for it: opposite to the direction."""
    image = torch.zeros(1, 1, 21, 21, dtype=torch.float64)
    image[0, 0, 10, 10] = 1
    found = drawn_out(image, 3, 2.0, torch.tensor([degrees], dtype=torch.float64))[0, 0]
    weights = np.exp(-(np.arange(7) ** 2) / 8)
    line = []
    for step in range(7):
        far = step if 0 in (down, right) else int(np.ceil(step * 0.5**0.5 - 0.5))
        line.append(found[10 - far * down, 10 - far * right])
    assert float(found.sum()) == pytest.approx(1)
    if degrees != -45:
        assert np.allclose(line, weights / weights.sum())
    else:
        assert float(sum(set(map(float, line)))) == pytest.approx(1)


@pytest.mark.parametrize("severity", [1, 5])
def test_zoom_blur_is_a_mean_of_enlargements(severity: int) -> None:
    end = (1.06, None, None, None, 1.26)[severity - 1]
    expected = []
    for image in stored(PHOTOS):
        x, factors = image / 255, np.arange(1, end, 0.01)
        total = x.copy()
        for factor in factors:
            crop = int(np.ceil(32 / factor))
            top = (32 - crop) // 2
            part = x[top : top + crop, top : top + crop]
            large = ndimage.zoom(part, (factor, factor, 1), order=1)
            trim = (len(large) - 32) // 2
            total += large[trim : trim + 32, trim : trim + 32]
        expected.append((255 * total / (len(factors) + 1)).astype(int))
    assert apart("zoom_blur", severity, expected) <= 1


def test_matrices_are_those_of_the_libraries() -> None:
    row = np.random.default_rng(0).random(32)
    for sigma, truncate, edge in ((0.4, 4, "nearest"), (6.4, 3, "reflect"), (1.0, 3, "reflect")):
        expected = ndimage.gaussian_filter1d(row, sigma, mode=edge, truncate=truncate)
        assert np.allclose(gaussian_matrix(32, sigma, truncate, edge).numpy() @ row, expected)
    assert torch.equal(zoom_matrix(32, 1), torch.eye(32, dtype=torch.float64))
    assert box_matrix(4, 2).tolist() == [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]
    assert box_matrix(2, 4).tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize(("severity", "added"), [(1, 0.05), (5, 0.3)])
def test_brightness_is_added_to_the_value(severity: int, added: float) -> None:
    def lighter(pixel: np.ndarray) -> list[int]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
        new = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
        return [int(255 * part) for part in new]

    expected = [np.apply_along_axis(lighter, 2, image) for image in stored(PHOTOS)]
    assert apart("brightness", severity, expected) <= 1


@pytest.mark.parametrize(("severity", "kept"), [(1, 0.75), (5, 0.15)])
def test_contrast_is_around_the_mean(severity: int, kept: float) -> None:
    means = [image.mean((0, 1), keepdims=True) for image in stored(PHOTOS)]
    both = zip(stored(PHOTOS), means, strict=True)
    expected = [np.clip((image - mean) * kept + mean, 0, 255).astype(int) for image, mean in both]
    assert apart("contrast", severity, expected) <= 1


@pytest.mark.parametrize(("severity", "share"), [(1, 0.95), (3, 0.85), (5, 0.65)])
def test_pixelate_is_pillows(severity: int, share: float) -> None:
    small = (int(32 * share),) * 2
    images = [Image.fromarray(image) for image in stored(PHOTOS)]
    box = Image.Resampling.BOX
    expected = [np.asarray(i.resize(small, box).resize((32, 32), box)) for i in images]
    assert apart("pixelate", severity, expected) == 0


def test_jpeg_is_pillows() -> None:
    expected = []
    for image in stored(PHOTOS):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=58)
        expected.append(np.asarray(Image.open(file)))
    assert apart("jpeg_compression", 3, expected) == 0


def test_fog_keeps_the_brightest() -> None:
    found = corrupt(PHOTOS, "fog", 5, INDICES)
    assert (found.amax((1, 2, 3)) <= PHOTOS.amax((1, 2, 3))).all()
    black = torch.zeros_like(PHOTOS)
    assert torch.equal(corrupt(black, "fog", 5, INDICES), black)
    for size in (32, 28):
        heights = haze(size, 2, Draws(torch.arange(3), "haze"))
        assert heights.shape == (3, size, size)
        assert heights.min() >= 0 and heights.max() <= 1
    rough, smooth = (haze(32, decay, Draws(torch.arange(20), "x")) for decay in (1.5, 3))
    assert rough.diff(dim=2).abs().mean() > 1.5 * smooth.diff(dim=2).abs().mean()


def test_elastic_keeps_what_is_flat_and_moves_the_rest() -> None:
    grey = torch.full_like(PHOTOS, 77)
    for severity in SEVERITIES:
        found = corrupt(grey, "elastic_transform", severity, INDICES)
        assert (found.int() - 77).abs().max() <= 1
    ramp = (6 * torch.arange(32) + 20).to(torch.uint8).expand(4, 3, 32, 32)
    found = corrupt(ramp, "elastic_transform", 1, INDICES)[:, :, 12:20, 12:20].double()
    assert found.diff(n=2, dim=3).abs().max() <= 2, "affine: a ramp stays one, but for cutting off"
    assert (found - ramp[:, :, 12:20, 12:20]).abs().max() > 3


def test_snow_and_frost_are_brighter() -> None:
    dark = torch.full_like(PHOTOS, 40)
    for name in ("snow", "frost"):
        found = [corrupt(dark, name, s, INDICES).double() for s in (1, 5)]
        assert 40 < found[0].mean() < found[1].mean()
        assert (found[1].mean(1).std((1, 2)) > 3).all()
