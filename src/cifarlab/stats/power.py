"""How many seeds would decide a comparison.

Both functions assume that the measured difference and spread are the true ones. Few seeds do not
tell these well, so the results say how large the effort would be, not the exact number.
"""

from collections.abc import Callable

import numpy as np
from scipy import stats

from cifarlab.stats.intervals import LEVEL, Values, pooled_std

POWER = 0.8  # probability that the test then finds a difference of this size
MOST = 1000  # seeds; beyond, nobody would
_SPREADS = 2000  # of samples, of the same probability each, over which power is a mean


def seeds_to_show(a: Values, b: Values, *, paired: bool) -> int | None:
    """The number of seeds on each side, in all, with which a t test at the 5 % level finds the
    measured difference with probability ``POWER``; ``None`` if it is more than ``MOST``.

    a, b: the measured values, at least two each, which must not all be equal.
    paired: whether the values at one position share a seed.
    """
    if paired:
        differences = np.subtract(a, b)
        effect, samples = abs(differences.mean() / differences.std(ddof=1)), 1
    else:
        effect, samples = abs((np.mean(a) - np.mean(b)) / pooled_std(a, b)), 2
    return _least(lambda n: _power(effect * (n / samples) ** 0.5, samples * (n - 1)) >= POWER)


def seeds_for_width(a: Values, b: Values, half: float, *, paired: bool) -> int | None:
    """The number of seeds on each side, in all, with which the 95 % interval of the difference
    reaches at most ``half`` to either side; ``None`` if it is more than ``MOST``.

    a, b, paired: as in ``seeds_to_show``.
    """
    if paired:
        std, samples = float(np.std(np.subtract(a, b), ddof=1)), 1
    else:
        std, samples = float(np.sqrt(np.var(a, ddof=1) + np.var(b, ddof=1))), 2

    def narrow(n: int) -> bool:
        quantile = stats.t.ppf((1 + LEVEL) / 2, df=samples * (n - 1))
        return bool(quantile * std / n**0.5 <= half)

    return _least(narrow)


def _power(t: float, df: int) -> float:
    """The probability that a t test at the 5 % level, two-sided, finds what is ``t`` standard
    errors from 0: the mean of a normal test's over the spreads that samples may show. SciPy's
    noncentral t, and with it the power of statsmodels, is NaN for many a large effect."""
    shares = (np.arange(_SPREADS) + 0.5) / _SPREADS
    spread = np.sqrt(stats.chi2.ppf(shares, df) / df)
    quantile = stats.t.ppf((1 + LEVEL) / 2, df) * spread
    return float(np.mean(stats.norm.sf(quantile - t) + stats.norm.cdf(-quantile - t)))


def _least(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of seeds, 2 or more, that is enough; all larger ones must be, too."""
    low, high = 1, 2
    while not enough(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
