"""Two groups of repetitions held against each other: which of them, and their difference.

The one rule, for sweeps, studies and comparisons alike: over what both sides share (the same seed
and fold) where that is two or more, or all that a side has; else as independent samples.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from cifarlab.stats.intervals import Estimate, paired, welch

PAIRED, WELCH, SINGLE = "paired", "welch", "single"
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Pairing:
    """Which repetitions of the two sides are compared, and how.

    how: ``paired``, one by one; ``welch``, as independent samples; ``single``, one of each, which
        allows no statement about repetitions.
    a, b: their keys; unless ``welch``, those at one position belong together.
    unused: keys of either side, that the comparison leaves out.
    """

    how: str
    a: tuple
    b: tuple
    unused_a: tuple = ()
    unused_b: tuple = ()


def match(a: Mapping[Key, object], b: Mapping[Key, object]) -> Pairing:
    """Of two sides, by key (seed and fold), each with one repetition or more."""
    shared = tuple(key for key in a if key in b)
    fewest = min(len(a), len(b))
    if len(shared) >= 2 or (len(shared) == 1 and fewest == 1):
        rest = [tuple(key for key in side if key not in shared) for side in (a, b)]
        return Pairing(PAIRED if len(shared) > 1 else SINGLE, shared, shared, *rest)
    if fewest > 1:
        return Pairing(WELCH, tuple(a), tuple(b))
    first, rest = ([tuple(side)[part] for side in (a, b)] for part in (slice(1), slice(1, None)))
    return Pairing(SINGLE, *first, *rest)


def difference(a: Mapping[Key, float], b: Mapping[Key, float]) -> Estimate | None:
    """Mean of ``a`` minus mean of ``b`` with its 95 % interval; ``None`` where a side is empty.

    One of each has no interval: one repetition says nothing of the spread.
    """
    if not a or not b:
        return None
    pairing = match(a, b)
    left, right = [a[key] for key in pairing.a], [b[key] for key in pairing.b]
    found = (welch if pairing.how == WELCH else paired)(left, right)
    return replace(found, n=min(len(left), len(right)), how=pairing.how)
