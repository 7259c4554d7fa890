"""Mixed images against mixed labels, shares against their distribution."""

import pytest
import torch
from scipy import stats
from torch import Tensor

from cifarlab.base.errors import UserError
from cifarlab.data.augment import HFlip, ImageOp, RandomCrop, dirichlet
from cifarlab.data.mixing import CutMix, MixOp, MixUp, partition
from tests.data.test_augment import MIXING, build, generator

POLICIES = [*MIXING, "[mixup,cutmix]", "[cutmix,mixup]"]


def flat(batch: int, side: int = 8) -> tuple[Tensor, Tensor]:
    """Image i, of class i, is 1 in channel i and 0 in all others: after mixing, the mean of channel
    k is the share of image k, whatever was done."""
    targets = torch.eye(batch)
    images = targets[:, :, None, None].expand(-1, -1, side, side)
    return images.to(memory_format=torch.channels_last), targets


def mix(policy: str, images: Tensor, targets: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    drawn = generator(seed)
    for operation in build(policy):
        images, targets = operation.mix(images, targets, drawn)
    return images, targets


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("side", [8, 32, 7])
def test_labels_are_the_shares_of_the_pixels(policy: str, side: int) -> None:
    images, targets = flat(64, side)
    mixed, shares = mix(policy, images, targets)
    torch.testing.assert_close(shares.sum(1), torch.ones(64))
    assert shares.min() >= 0
    if policy in MIXING:  # a second box or share falls on a first unevenly
        torch.testing.assert_close(mixed.mean((2, 3)), shares, rtol=0, atol=1e-5)
    assert (shares.diagonal() < 1).float().mean() > 0.8, "and there is something to see"
    assert mixed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_function_of_the_generator(policy: str) -> None:
    images, targets = flat(16)
    before = images.clone(), targets.clone()
    torch.manual_seed(1)
    once = mix(policy, images, targets, seed=5)
    torch.manual_seed(2)
    again, other = mix(policy, images, targets, seed=5), mix(policy, images, targets, seed=6)
    for one, two, three in zip(once, again, other, strict=True):
        assert torch.equal(one, two) and not torch.equal(one, three)
    assert torch.equal(images, before[0]) and torch.equal(targets, before[1]), "not written to"


def test_the_partner_is_the_image_before() -> None:
    for policy in MIXING:
        _, shares = mix(policy, *flat(32))
        kept = shares.diagonal()
        expected = torch.diag(kept) + torch.diag(1 - kept).roll(-1, 1)
        torch.testing.assert_close(shares, expected)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 3.0])
def test_mixup_shares_are_of_the_beta_distribution_and_apart(alpha: float) -> None:
    images = torch.zeros(8000, 1, 1, 1)
    targets = torch.eye(2).repeat(4000, 1)
    _, shares = MixUp(alpha=alpha).mix(images, targets, generator())
    kept = (shares * targets).sum(1).double()
    if alpha >= 0.2:  # below, most shares are 0 or 1 in 32 bits
        assert stats.kstest(kept.numpy(), "beta", (alpha, alpha)).pvalue > 1e-4
    assert kept.mean().item() == pytest.approx(0.5, abs=4 * kept.std().item() / 8000**0.5)
    assert kept.var().item() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.05)
    neighbours = torch.corrcoef(torch.stack([kept[1:], kept[:-1]]))[0, 1]
    assert abs(neighbours) < 4 / 8000**0.5


def test_dirichlet_shares() -> None:
    for alpha in (0.3, 1.0, 5.0):
        shares = dirichlet(torch.zeros(5000, 1), 3, alpha, generator())
        torch.testing.assert_close(shares.sum(1), torch.ones(5000))
        for column in shares.T:
            assert stats.kstest(column.numpy(), "beta", (alpha, 2 * alpha)).pvalue > 1e-4


def test_mixup_by_hand() -> None:
    images, targets = torch.tensor([[2.0], [-4.0]])[..., None, None], torch.eye(2)
    mixed, shares = MixUp().mix(images, targets, generator())
    for number in range(2):
        kept = shares[number, number]
        expected = kept * images[number] + (1 - kept) * images[1 - number]
        torch.testing.assert_close(mixed[number], expected)


def test_cutmix_replaces_one_box_of_the_images_proportions() -> None:
    images, targets = flat(256, 32)
    mixed, _ = CutMix().mix(images, targets, generator())
    cut = mixed.diagonal().permute(2, 0, 1) == 0
    inside = 0
    for mask in cut[cut.flatten(1).any(1)]:
        places = mask.nonzero()
        first, last = places.min(0).values, places.max(0).values
        height, width = (last - first + 1).tolist()
        assert mask.sum() == height * width, "a full rectangle"
        if first.min() > 0 and last.max() < 31:
            inside += 1
            assert height == width and height % 2 == 0
    assert inside > 20, "of 256; most reach over an edge"


def test_cutmix_boxes_have_their_areas_and_centres() -> None:
    """Against torchvision's recipe, written out: half a side is floor(sqrt(1 - share) side / 2)."""
    images = torch.zeros(6000, 1, 64, 64)
    images[::2] = 1
    targets = torch.eye(2).repeat(3000, 1)
    mixed, shares = CutMix(alpha=1.0).mix(images, targets, generator())
    cut = (mixed != images)[:, 0].float()
    torch.testing.assert_close(cut.mean((1, 2)), (shares * (1 - targets)).sum(1))
    share = torch.rand(6000, generator=generator(1))
    row, column = torch.randint(64, (2, 6000), generator=generator(2)).unbind()
    half = ((1 - share).sqrt() * 32).floor()
    tall, wide = ((c + half).clamp(max=64) - (c - half).clamp(min=0) for c in (row, column))
    recipe = tall * wide / 64**2
    assert stats.ks_2samp(cut.mean((1, 2)).numpy(), recipe.numpy()).pvalue > 1e-4
    likely = cut.mean(0)
    torch.testing.assert_close(likely, likely.flip(0), rtol=0, atol=0.06)
    assert likely[32, 32] > likely[0, 32] > likely[0, 0] > 0.1


@pytest.mark.parametrize("policy", MIXING)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_rates(policy: str, p: float) -> None:
    images, targets = torch.zeros(4000, 2, 32, 32), torch.eye(2).repeat(2000, 1)
    (operation,) = build(policy, f"aug.{policy}.p={p}")
    _, shares = operation.mix(images, targets, generator())
    changed = (shares != targets).any(1).float().mean().item()
    empty = 0.01 if policy == "cutmix" else 0.0  # boxes of less than two pixels
    assert abs(changed - p) <= 4 * (p * (1 - p) / 4000) ** 0.5 + empty


def test_partition() -> None:
    crop, flip, mixup, cutmix = RandomCrop(), HFlip(), MixUp(), CutMix()
    assert partition([]) == ((), ())
    assert partition([crop, flip]) == ((crop, flip), ())
    assert partition([cutmix, mixup]) == ((), (cutmix, mixup))
    assert partition([flip, crop, mixup, cutmix]) == ((flip, crop), (mixup, cutmix))
    with pytest.raises(UserError, match="aug: HFlip comes after CutMix, .*; put it before"):
        partition([crop, mixup, cutmix, flip])


def test_the_two_kinds_are_told_apart() -> None:
    assert isinstance(MixUp(), MixOp) and not isinstance(MixUp(), ImageOp)
    assert isinstance(HFlip(), ImageOp) and not isinstance(HFlip(), MixOp)


def test_impossible_parameters() -> None:
    with pytest.raises(UserError, match=r"MixUp.alpha=0: must be a number in \(0, 1e\+30\]"):
        MixUp(alpha=0)
    with pytest.raises(UserError, match=r"CutMix.alpha=-1: must be a number in \(0, 1e\+30\]"):
        CutMix(alpha=-1)
    with pytest.raises(UserError, match="MixUp.p=2: must be a probability"):
        MixUp(p=2)
    with pytest.raises(UserError, match="CutMix.p=-1: must be a probability"):
        CutMix(p=-1)
