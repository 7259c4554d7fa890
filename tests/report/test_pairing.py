"""The one rule by which two groups of runs are held against each other."""

import math

import pytest

from cifarlab.stats.intervals import paired, welch
from cifarlab.stats.pairing import difference, match


@pytest.mark.parametrize(
    ("a", "b", "how", "keys", "unused"),
    [
        ("012", "123", "paired", ("12", "12"), ("0", "3")),
        ("45", "56", "welch", ("45", "56"), ("", "")),  # one shared is no pair where both have two
        ("4", "45", "single", ("4", "4"), ("", "5")),  # the only one of a side is
        ("7", "8", "single", ("7", "8"), ("", "")),
        ("789", "1", "single", ("7", "1"), ("89", "")),
        ("78", "12", "welch", ("78", "12"), ("", "")),
    ],
)
def test_which_and_how(a: str, b: str, how: str, keys: tuple, unused: tuple) -> None:
    found = match(dict.fromkeys(a), dict.fromkeys(b))
    assert (found.how, found.a, found.b) == (how, *map(tuple, keys))
    assert (found.unused_a, found.unused_b) == tuple(map(tuple, unused))


def test_differences() -> None:
    one, other = {0: 0.7, 1: 0.8, 2: 0.75}, {0: 0.6, 1: 0.65, 2: 0.66}
    found, direct = difference(one, other), paired(list(one.values()), list(other.values()))
    assert found is not None and (found.value, found.low) == (direct.value, direct.low)
    assert (found.n, found.how) == (3, "paired")
    apart = difference(one, {5: 0.6, 6: 0.65})
    assert apart is not None and (apart.n, apart.how) == (2, "welch")
    assert apart.low == welch(list(one.values()), [0.6, 0.65]).low
    alone = difference(one, {1: 0.6})
    assert alone is not None and alone.value == pytest.approx(0.2) and math.isnan(alone.low)
    assert not alone.has_interval and difference(one, {}) is None and difference({}, one) is None
