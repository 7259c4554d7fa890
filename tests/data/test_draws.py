"""Numbers that depend on the image alone."""

import torch

from cifarlab.base.seeding import derive
from cifarlab.data.draws import Draws

MASK = (1 << 64) - 1


def split_mix(state: int) -> int:
    """SplitMix64's output function, in Python's integers."""
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def test_they_are_those_of_split_mix() -> None:
    state = (1234567 + 0x9E3779B97F4A7C15) & MASK
    assert split_mix(state) == 6457827717110365317  # of the authors' program
    indices = torch.tensor([0, 7, 49_999])
    found = Draws(indices, "a", 3).uniform(2, 5)
    assert found.shape == (3, 2, 5) and found.dtype == torch.float64
    for row, index in zip(found.flatten(1).tolist(), indices.tolist(), strict=True):
        counters = [(index << 32) + position for position in range(10)]
        states = [(derive("a", 3, 0) + n * 0x9E3779B97F4A7C15) & MASK for n in counters]
        assert row == [(split_mix(state) >> 11) / 2**53 for state in states]


def test_an_image_has_its_own() -> None:
    both = Draws(torch.tensor([4, 9]), "a")
    first, second = both.normal(6), both.normal(6)
    alone = Draws(torch.tensor([9]), "a")
    assert torch.equal(alone.normal(6)[0], first[1]) and torch.equal(alone.normal(6)[0], second[1])
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])
    assert not torch.equal(Draws(torch.tensor([4, 9]), "b").normal(6), first)


def test_their_distributions() -> None:
    draws = Draws(torch.arange(50), "x")
    even, normal = draws.between(-1, 3, 2000), draws.normal(2000)
    assert even.min() >= -1 and even.max() < 3
    assert abs(even.mean() - 1) < 0.02 and abs(even.std() - 4 / 12**0.5) < 0.01
    assert abs(normal.mean()) < 0.02 and abs(normal.std() - 1) < 0.01
    assert abs((normal.abs() < 1.96).double().mean() - 0.95) < 0.005
    neighbours = torch.stack([even[:-1].flatten(), even[1:].flatten()])
    assert abs(torch.corrcoef(neighbours)[0, 1]) < 0.02
