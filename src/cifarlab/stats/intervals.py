"""Statistics over seeds: intervals, tests, sizes of an effect, correction for many tests.

Distributions and tests are those of scipy and statsmodels. An interval over seeds leaves out that
the images are a sample, too: see ``images.py``. How many seeds are needed is in ``power.py``.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special, stats

LEVEL = 0.95  # of all intervals
LEAST = 3  # seeds, below which no interval is shown and no verdict given: of two, t is 12.7
NAN = float("nan")
# Wilcoxon's p of fewer pairs cannot fall below 5 %: all six with one sign have p = 2 / 2^6 = 0.03
WILCOXON_PAIRS = 6
_LARGE = 1000  # t, from where on the noncentral t is a chi; at 300,000 SciPy does not come back
Values = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and the p of the hypothesis that it is 0.

    low, high, p: NaN where they cannot be known.
    df: the degrees of freedom of Student's t, from which interval and p follow.
    n: how many repetitions there are, for a difference on the smaller side; 0 where that does not
        apply.
    how: ``mean``, or how a difference was made, see ``cifarlab.stats.pairing``.
    """

    value: float
    low: float = NAN
    high: float = NAN
    p: float = NAN
    df: float = NAN
    n: int = 0
    how: str = "mean"

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low)

    @property
    def half(self) -> float:
        """Half the width of the interval, if it is symmetric."""
        return self.value - self.low

    @property
    def decided(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Values, level: float = LEVEL) -> tuple[float, float, float]:
    """The mean, the sample standard deviation, and half the width of Student's t interval.

    With a single value the last two are NaN: one run says nothing about the spread.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, NAN, NAN
    std = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf((1 + level) / 2, df=len(values) - 1))
    return mean, std, quantile * std / len(values) ** 0.5


def estimate(values: Values) -> Estimate | None:
    """The mean and its interval of the values that are finite; ``None`` if none of them is."""
    there = [value for value in values if math.isfinite(value)]
    if not there:
        return None
    mean, _, half = mean_interval(there)
    return Estimate(mean, mean - half, mean + half, n=len(there))


def paired(a: Values, b: Values) -> Estimate:
    """The mean of ``a - b`` over pairs that share a seed, by the paired t test.

    There is no interval from fewer than two pairs, nor where all differences are equal: from that
    one cannot conclude that they do not vary.
    """
    differences = np.subtract(a, b)
    mean = float(differences.mean())
    if len(differences) < 2 or no_spread(differences):
        return Estimate(mean)
    return _student(mean, _test(stats.ttest_rel, a, b))


def welch(a: Values, b: Values) -> Estimate:
    """The difference of the means of two independent samples, by Welch's t test."""
    mean = float(np.mean(a) - np.mean(b))
    if min(len(a), len(b)) < 2 or (no_spread(a) and no_spread(b)):
        return Estimate(mean)
    return _student(mean, _test(stats.ttest_ind, a, b, equal_var=False))


def fieller(a: Values, b: Values, *, pairs: bool) -> Estimate:
    """The mean of ``a`` over that of ``b``, positive numbers, by Fieller's theorem (1954): a ratio
    is within the interval if the t test does not tell the mean of ``a`` from it times that of
    ``b``.

    pairs: whether the values at one position belong together; else the samples are independent,
        with Welch's degrees of freedom at the ratio of the means.

    There is no interval from fewer than two values, without spread, nor where the mean of ``b``
    is not told from 0, and no value where it is 0.
    """
    mean_a, mean_b = float(np.mean(a)), float(np.mean(b))
    if mean_b == 0:
        return Estimate(NAN)
    value = mean_a / mean_b
    if min(len(a), len(b)) < 2 or (no_spread(a) and no_spread(b)):
        return Estimate(value)
    var_a, var_b = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    shared = float(np.cov(a, b)[0, 1]) / len(a) if pairs else 0.0
    df = len(a) - 1.0
    if not pairs:
        parts = np.array([var_a, value**2 * var_b])
        df = float(parts.sum() ** 2 / np.sum(parts**2 / (np.array([len(a), len(b)]) - 1)))
    t2 = float(stats.t.ppf((1 + LEVEL) / 2, df)) ** 2
    square, half, rest = mean_b**2 - t2 * var_b, mean_a * mean_b - t2 * shared, mean_a**2
    root = half**2 - square * (rest - t2 * var_a)
    if square <= 0 or root < 0:
        return Estimate(value)
    low, high = ((half + sign * math.sqrt(root)) / square for sign in (-1, 1))
    return Estimate(value, float(low), float(high), df=df)


def _test(test: Callable[..., Any], a: Values, b: Values, **options: Any) -> Any:
    """Run a test of SciPy without its warning about values that are nearly equal."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Precision loss occurred", RuntimeWarning)
        return test(a, b, **options)


def wilcoxon(a: Values, b: Values) -> float:
    """The p of Wilcoxon's signed-rank test of pairs; NaN if fewer than ``WILCOXON_PAIRS``
    differ."""
    if np.count_nonzero(np.subtract(a, b)) < WILCOXON_PAIRS:
        return NAN
    return float(stats.wilcoxon(a, b).pvalue)


def effect_paired(a: Values, b: Values) -> Estimate:
    """Hedges' g of pairs: the mean difference in standard deviations of the differences.

    It is Cohen's d_z times the correction for small samples. Its interval is that of the true
    difference in standard deviations, which follows from the noncentral t distribution: the
    correction is for the estimate alone, and intervals times it cover 76 % for three pairs. With
    fewer than three pairs all is NaN, since the correction for two pairs is 0.
    """
    differences = np.subtract(a, b)
    if len(differences) < 3 or no_spread(differences):
        return Estimate(NAN)
    d = float(differences.mean() / differences.std(ddof=1))
    return _hedges(d, len(differences) ** 0.5, len(differences) - 1)


def effect_independent(a: Values, b: Values) -> Estimate:
    """Hedges' g of two samples: the difference of the means in pooled standard deviations.

    The interval assumes that both samples have the same spread.
    """
    df = len(a) + len(b) - 2
    if min(len(a), len(b)) < 2 or (no_spread(a) and no_spread(b)):
        return Estimate(NAN)
    d = float(np.mean(a) - np.mean(b)) / pooled_std(a, b)
    return _hedges(d, (len(a) * len(b) / (len(a) + len(b))) ** 0.5, df)


def pooled_std(a: Values, b: Values) -> float:
    """The common standard deviation of two samples of two values or more each."""
    squares = (len(a) - 1) * np.var(a, ddof=1) + (len(b) - 1) * np.var(b, ddof=1)
    return float(np.sqrt(squares / (len(a) + len(b) - 2)))


def holm(p_values: Values) -> list[float]:
    """p values adjusted so that all tests together err no more often than one (Holm, 1979).

    NaN stays NaN and does not count as a test. The numbers are those of statsmodels'
    ``multipletests``, which collects garbage at each call: 0.06 s and more, for every claim.
    """
    there = sorted((p, at) for at, p in enumerate(p_values) if not math.isnan(p))
    adjusted, so_far = list(p_values), 0.0
    for rank, (p, at) in enumerate(there):
        so_far = max(so_far, min(1.0, (len(there) - rank) * p))
        adjusted[at] = so_far
    return adjusted


def _student(mean: float, test: Any) -> Estimate:
    low, high = test.confidence_interval(LEVEL)
    return Estimate(mean, float(low), float(high), float(test.pvalue), float(test.df))


def _hedges(d: float, root: float, df: int) -> Estimate:
    """Hedges' g with its interval, from Cohen's d; ``root * d`` is the t statistic."""
    correction = math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / (df / 2) ** 0.5
    tails = (1 + LEVEL) / 2, (1 - LEVEL) / 2
    if abs(root * d) > _LARGE:
        low, high = sorted(d * (float(stats.chi2.ppf(tail, df)) / df) ** 0.5 for tail in tails)
    else:
        low, high = (float(special.nctdtrinc(df, tail, root * d)) / root for tail in tails)
    return Estimate(correction * d, low, high, df=df)


def no_spread(values: Values) -> bool:
    """Whether all values are equal up to rounding."""
    return bool(np.ptp(values) <= 1e-12 * np.max(np.abs(values)))
