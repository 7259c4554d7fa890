"""What the policies draw, by counting and against torchvision's tables."""

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from cifarlab.base.errors import UserError
from cifarlab.data import policies
from cifarlab.data.policies import AugMix, RandAugment, Space, TrivialAugment
from tests.data.test_augment import generator, photos

THEIRS = {
    "RandAugment": v2.RandAugment(),
    "TrivialAugment": v2.TrivialAugmentWide(),
    "AugMix": v2.AugMix(),
}


class Spy:
    """Stands in for ``apply_each``: keeps what was drawn and leaves the images as they are."""

    def __init__(self) -> None:
        self.steps: list[tuple[Tensor, Tensor]] = []

    def __call__(self, names, which: Tensor, images: Tensor, magnitudes: Tensor, mode) -> Tensor:
        self.steps.append((which, magnitudes))
        self.names, self.mode = names, mode
        return images


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    spy = Spy()
    monkeypatch.setattr(policies, "apply_each", spy)
    return spy


def evenly(counts: Tensor) -> bool:
    """Chi-squared of equal chances, refused once in ten thousand times."""
    return bool(stats.chisquare(counts.numpy()).pvalue > 1e-4)


@pytest.mark.parametrize("name", THEIRS)
def test_the_spaces_are_torchvisions(name: str) -> None:
    space: Space = getattr(policies, name).SPACE
    expected = {key.lower(): value for key, value in THEIRS[name]._AUGMENTATION_SPACE.items()}
    ours = set(space.names) - ({"identity"} if name == "AugMix" else set())
    assert {each.replace("_", "") for each in ours} == set(expected)
    for each, row, signed in zip(space.names, space.magnitudes, space.signed, strict=True):
        magnitudes, theirs_signed = expected.get(each.replace("_", ""), (lambda *_: None, False))
        theirs = magnitudes(space.bins, 32, 32)
        row = row * 32 if each.startswith("translate") else row
        row = row.round() if each == "posterize" else row
        theirs = torch.zeros(space.bins) if theirs is None else theirs.float()
        torch.testing.assert_close(row, theirs, rtol=1e-6, atol=1e-6)
        assert signed == theirs_signed, each


def test_whole_pixels_of_a_shift_are_torchvisions() -> None:
    """int() of a magnitude that is whole but for the last bit could be one pixel less."""
    for name, theirs in THEIRS.items():
        space = getattr(policies, name).SPACE
        ours = space.magnitudes[space.names.index("translate_x")] * 32
        expected = theirs._AUGMENTATION_SPACE["TranslateX"][0](space.bins, 32, 32)
        assert ours.int().tolist() == expected.int().tolist()


@pytest.mark.parametrize(
    ("policy", "steps"), [(RandAugment(num_ops=3, magnitude=9), 3), (TrivialAugment(), 1)]
)
def test_operations_are_drawn_evenly_and_apart(policy, steps: int, spy: Spy) -> None:
    images = torch.zeros(14_000, 3, 2, 2, dtype=torch.uint8)
    policy(images, generator())
    assert len(spy.steps) == steps and spy.mode == "nearest"
    for which, _ in spy.steps:
        assert evenly(torch.bincount(which, minlength=14))
        pairs = torch.bincount(14 * which[1:] + which[:-1], minlength=196)
        assert evenly(pairs), "neighbours have nothing to do with each other"
    for (one, _), (two, _) in zip(spy.steps, spy.steps[1:], strict=False):
        assert evenly(torch.bincount(14 * one + two, minlength=196)), "nor have the steps"


def test_randaugment_has_one_magnitude_of_either_sign(spy: Spy) -> None:
    RandAugment(num_ops=1, magnitude=20)(torch.zeros(9000, 3, 2, 2, dtype=torch.uint8), generator())
    ((which, magnitudes),) = spy.steps
    for number, name in enumerate(spy.names):
        drawn = magnitudes[which == number]
        expected = RandAugment.SPACE.magnitudes[number, 20]
        assert (drawn.abs() == expected).all()
        if RandAugment.SPACE.signed[number]:
            assert evenly(torch.bincount((drawn > 0).long(), minlength=2)), name
        else:
            assert (drawn >= 0).all()
    rotations = magnitudes[which == spy.names.index("rotate")]
    assert sorted(rotations.unique().tolist()) == pytest.approx([-20.0, 20.0])


def test_trivialaugment_draws_its_magnitudes_evenly(spy: Spy) -> None:
    TrivialAugment()(torch.zeros(90_000, 3, 2, 2, dtype=torch.uint8), generator())
    ((which, magnitudes),) = spy.steps
    angles = magnitudes[which == spy.names.index("rotate")]
    bins = (angles.abs() / 4.5).round().long()
    torch.testing.assert_close(4.5 * bins, angles.abs())
    assert evenly(torch.bincount(bins, minlength=31))
    assert evenly(torch.bincount((angles[bins > 0] > 0).long(), minlength=2))
    bits = magnitudes[which == spy.names.index("posterize")]
    assert bits.min() == 2 and bits.max() == 8


def test_augmix_draws_chains_of_one_to_three(spy: Spy) -> None:
    images = torch.zeros(20_000, 3, 2, 2, dtype=torch.uint8)
    AugMix(width=2, severity=4)(images, generator())
    which = torch.stack([drawn for drawn, _ in spy.steps])
    assert which.shape == (3, 40_000) and spy.mode == "bilinear"
    working = which != spy.names.index("identity")
    lengths = working.sum(0)
    assert evenly(torch.bincount(lengths - 1, minlength=3))
    assert (working == (torch.arange(3)[:, None] < lengths)).all()
    assert evenly(torch.bincount(which[working], minlength=13))
    angles = torch.cat([m[w == spy.names.index("rotate")] for w, m in spy.steps])
    levels = (angles.abs() / 30 * 9).round().long()
    assert evenly(torch.bincount(levels)) and levels.max() == 3, "the weakest four of ten"


def test_augmix_of_a_given_depth(spy: Spy) -> None:
    AugMix(depth=5)(torch.zeros(100, 3, 2, 2, dtype=torch.uint8), generator())
    assert len(spy.steps) == 5
    assert all((which != spy.names.index("identity")).all() for which, _ in spy.steps)


def test_augmix_of_unchanged_chains_is_the_image(spy: Spy) -> None:
    """All weights of an image sum to one, and no level is lost."""
    images = photos(64)
    assert torch.equal(AugMix()(images, generator()), images)


def test_augmix_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains turned white on black images show their common share, Beta(alpha, alpha)."""
    monkeypatch.setattr(
        policies, "apply_each", lambda names, which, images, *rest: torch.full_like(images, 255)
    )
    images = torch.zeros(5000, 3, 2, 2, dtype=torch.uint8)
    for alpha in (0.5, 1.0, 4.0):
        out = AugMix(alpha=alpha)(images, generator())[:, 0, 0, 0] / 255
        drawn = out + (torch.rand(5000, generator=generator(1)) - 0.5) / 255  # undo the rounding
        assert stats.kstest(drawn.clamp(0, 1).numpy(), "beta", (alpha, alpha)).pvalue > 1e-4


def test_randaugment_is_torchvisions_for_the_same_draws() -> None:
    """Two steps on a few images, with what was drawn told to torchvision."""
    images, policy, theirs = photos(40), RandAugment(2, 9), THEIRS["RandAugment"]
    ours = policy(images, generator(3))
    drawn, keys = generator(3), {k.lower(): k for k in theirs._AUGMENTATION_SPACE}
    expected = list(images)
    for _ in range(2):
        which = torch.randint(14, (40,), generator=drawn)
        minus = torch.rand(40, 1, 1, 1, generator=drawn).flatten() < 0.5
        for number, kind in enumerate(which):
            name = keys[policy.SPACE.names[kind].replace("_", "")]
            table, signed = theirs._AUGMENTATION_SPACE[name]
            magnitude = 0.0 if table(31, 32, 32) is None else float(table(31, 32, 32)[9])
            magnitude *= -1 if signed and minus[number] else 1
            expected[number] = theirs._apply_image_or_video_transform(
                expected[number], name, magnitude, theirs.interpolation, theirs._fill
            )
    apart = (ours.int() - torch.stack(expected).int()).abs()
    assert (apart > 2).float().mean() < 1e-2, "a level more or less may grow in the second step"


def test_no_operations_no_change() -> None:
    assert torch.equal(RandAugment(num_ops=0)(photos(3), generator()), photos(3))


def test_impossible_parameters() -> None:
    with pytest.raises(UserError, match="RandAugment.num_ops=-1: must be a whole number, 0 or"):
        RandAugment(num_ops=-1)
    with pytest.raises(UserError, match="RandAugment.magnitude=31: .* number from 0 to 30"):
        RandAugment(magnitude=31)
    with pytest.raises(UserError, match="AugMix.severity=0: must be a whole .* from 1 to 10"):
        AugMix(severity=0)
    with pytest.raises(UserError, match="AugMix.width=0: must be a whole number, 1 or more"):
        AugMix(width=0)
    with pytest.raises(UserError, match="AugMix.depth=0: must be a whole .* 1 or more; or -1"):
        AugMix(depth=0)
    with pytest.raises(UserError, match=r"AugMix.alpha=0: must be a number in \(0, 1e\+30\]"):
        AugMix(alpha=0)
