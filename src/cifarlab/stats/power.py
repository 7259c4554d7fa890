"""How many more seeds would settle it.

Both answers take the difference and the spread that were measured for the true ones. From few seeds
they are not well known, so the answers say how large the effort is, not the exact number.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from cifarlab.stats.intervals import LEVEL, Values, pooled_std

POWER = 0.8  # probability that the test then finds a difference of this size
MOST = 1000  # seeds; beyond, nobody would


def seeds_to_show(a: Values, b: Values, *, paired: bool) -> int | None:
    """Seeds on each side, in all, with which a t test finds the measured difference at the level of
    5 % with probability ``POWER``; ``None`` if more than ``MOST``. Needs two values a side and some
    spread."""
    from statsmodels.stats.power import TTestIndPower, TTestPower  # brings pandas: 0.15 s

    if paired:
        differences = np.subtract(a, b)
        effect, test = differences.mean() / differences.std(ddof=1), TTestPower()
    else:
        effect, test = (np.mean(a) - np.mean(b)) / pooled_std(a, b), TTestIndPower()
    return _least(lambda n: test.power(abs(effect), n, 1 - LEVEL) >= POWER)


def seeds_for_width(a: Values, b: Values, half: float, *, paired: bool) -> int | None:
    """Seeds on each side, in all, until the 95 % interval of the difference is at most ``half`` to
    either side; ``None`` if more than ``MOST``."""
    if paired:
        std, samples = float(np.std(np.subtract(a, b), ddof=1)), 1
    else:
        std, samples = float(np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1))), 2

    def narrow(n: int) -> bool:
        quantile = stats.t.ppf((1 + LEVEL) / 2, df=samples * (n - 1))
        return bool(quantile * std / n**0.5 <= half)

    return _least(narrow)


def _least(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of seeds, 2 or more, that is enough; what is enough stays so."""
    low, high = 1, 2
    while not enough(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
