"""Statistics over seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean, sample standard deviation, and half width of Student's t interval of the mean.

    With a single value the last two are NaN: one run says nothing about the spread.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    std = float(np.std(values, ddof=1))
    quantile = float(stats.t.ppf((1 + level) / 2, df=len(values) - 1))
    return mean, std, quantile * std / len(values) ** 0.5
