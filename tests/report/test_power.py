"""How many more seeds: against statsmodels, by hand, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from cifarlab.stats.power import seeds_for_width, seeds_to_show

A, B = [1.0, 3.0, 2.0, 4.0], [0.0, 2.5, 2.0, 2.5]


def test_as_statsmodels_solves_it() -> None:
    d = np.subtract(A, B)
    pairs = TTestPower().solve_power(d.mean() / d.std(ddof=1), alpha=0.05, power=0.8)
    assert seeds_to_show(A, B, paired=True) == math.ceil(pairs)
    pooled = ((np.var(A, ddof=1) + np.var(B, ddof=1)) / 2) ** 0.5
    each = TTestIndPower().solve_power((np.mean(A) - np.mean(B)) / pooled, alpha=0.05, power=0.8)
    assert seeds_to_show(A, B, paired=False) == math.ceil(each)
    assert seeds_to_show(B, A, paired=False) == math.ceil(each), "whichever is ahead"


@pytest.mark.parametrize("paired", [True, False])
def test_a_larger_difference_never_needs_more_seeds(paired: bool) -> None:
    """Of two seeds a side; pairs up to 9 standard deviations apart are not settled. By a power
    that is NaN here and there, up to 62 seeds would be asked for."""
    spread = np.array([-(2**-0.5), 2**-0.5])
    other = np.zeros(2) if paired else spread
    found = [seeds_to_show(d + spread, other, paired=paired) for d in np.arange(3, 20, 0.05)]
    assert found[0] == 4 and found[-1] == 2
    assert found == sorted(found, reverse=True)


def test_too_many_is_told() -> None:
    assert seeds_to_show([0.0, 1.0], [1.0, 0.001], paired=True) is None
    assert seeds_for_width([0.0, 1.0], [1.0, 0.0], 1e-3, paired=True) is None
    assert seeds_to_show([5.0, 5.1], [0.0, 0.0], paired=True) == 2
    widths = [stats.t.ppf(0.975, n - 1) * 2.0000001 / n**0.5 for n in (1000, 1001)]
    spread = [0.0, 2**1.5], [0.0, 0.0]  # a standard deviation of 2
    assert [seeds_for_width(*spread, width, paired=True) for width in widths] == [1000, None]


@pytest.mark.parametrize("paired", [True, False])
def test_the_width_by_hand(paired: bool) -> None:
    """It is narrow enough with that many and not with one fewer."""
    std = (
        np.std(np.subtract(A, B), ddof=1)
        if paired
        else (np.var(A, ddof=1) + np.var(B, ddof=1)) ** 0.5
    )
    n = seeds_for_width(A, B, 0.5, paired=paired)
    halves = [stats.t.ppf(0.975, (m - 1) * (1 if paired else 2)) * std / m**0.5 for m in (n, n - 1)]
    assert halves[0] <= 0.5 < halves[1]


def test_two_or_three_seeds_by_table() -> None:
    """Of two samples with a standard deviation of 1: t(0.975, 2) = 4.303 at two seeds, at three
    t(0.975, 4) = 2.776 times (2 / 3) ** 0.5 = 2.267. Of pairs t(0.975, 1) = 12.706 at two."""
    spread = [0.0, 2**0.5]
    found = [seeds_for_width(spread, spread, half, paired=False) for half in (4.31, 4.29, 2.28)]
    assert found == [2, 3, 3] and seeds_for_width(spread, spread, 2.26, paired=False) > 3
    pairs = [seeds_for_width(spread, [0.0, 0.0], half, paired=True) for half in (9.0, 8.9)]
    exactly = stats.t.ppf(0.975, 3) / 2  # of four differences of standard deviation 1
    assert seeds_for_width([-1.0, 0.0, 1.0], [0.0] * 3, exactly, paired=True) == 4
    assert pairs == [2, 3], "12.706 / 2 ** 0.5 = 8.985"


def test_that_many_seeds_show_it() -> None:
    """Of experiments with the number of seeds asked for, 80 % find the difference."""
    n = seeds_to_show(A, B, paired=True)
    d = np.subtract(A, B)
    draws = np.random.default_rng(0).normal(d.mean(), d.std(ddof=1), size=(2000, n))
    found = np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05)
    assert 0.77 < found < 0.95
