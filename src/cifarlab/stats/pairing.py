"""Which repetitions of two sides are compared, and what the difference is.

Sweeps, studies and comparisons use the same rule. A repetition is known by its seed and fold. If
the two sides share two or more repetitions, or all that one of them has, these are compared in
pairs; else all repetitions are compared as independent samples.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from cifarlab.stats.intervals import Estimate, fieller, paired, welch

PAIRED, WELCH, SINGLE = "paired", "welch", "single"
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Pairing:
    """Which repetitions of the two sides are compared, and how.

    how: ``paired``: one by one; ``welch``: as independent samples; ``single``: one repetition of
        each side, from which nothing follows about others.
    a, b: the keys of the repetitions; unless ``how`` is ``welch``, position k of both is a pair.
    unused_a, unused_b: the keys that the comparison leaves out.
    """

    how: str
    a: tuple
    b: tuple
    unused_a: tuple = ()
    unused_b: tuple = ()


def match(a: Mapping[Key, object], b: Mapping[Key, object]) -> Pairing:
    """Choose the repetitions to compare, by the rule above.

    a, b: the repetitions of each side by key (seed and fold), at least one each.
    """
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
    """The mean of ``a`` minus the mean of ``b``, with its 95 % interval, by the rule above.

    ``None`` where a side is empty. With one repetition on each side there is no interval.
    """
    if not a or not b:
        return None
    pairing = match(a, b)
    left, right = [a[key] for key in pairing.a], [b[key] for key in pairing.b]
    found = (welch if pairing.how == WELCH else paired)(left, right)
    return replace(found, n=min(len(left), len(right)), how=pairing.how)


def ratio(a: Mapping[Key, float], b: Mapping[Key, float]) -> Estimate | None:
    """The mean of ``a`` over the mean of ``b``, with Fieller's interval, by the rule above.

    ``None`` where a side is empty. p is NaN: whether the ratio is r is asked of ``difference``,
    with ``b`` times r.
    """
    if not a or not b:
        return None
    pairing = match(a, b)
    left, right = [a[key] for key in pairing.a], [b[key] for key in pairing.b]
    found = fieller(left, right, pairs=pairing.how != WELCH)
    return replace(found, n=min(len(left), len(right)), how=pairing.how)
