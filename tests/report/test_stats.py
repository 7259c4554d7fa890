"""Against scipy and statsmodels, by hand, and by simulation."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from cifarlab.stats.intervals import (
    Estimate,
    effect_independent,
    effect_paired,
    estimate,
    holm,
    mean_interval,
    paired,
    pooled_std,
    welch,
    wilcoxon,
)

A, B = [0.72, 0.74, 0.70, 0.75], [0.71, 0.70, 0.69, 0.72]


def test_what_an_estimate_says() -> None:
    assert Estimate(0.5, 0.2, 0.8).half == pytest.approx(0.3)
    ends = [(0.2, 0.8), (-0.8, -0.2), (-0.2, 0.8), (0.0, 0.8), (-0.8, 0.0)]
    assert [Estimate(sum(both) / 2, *both).decided for both in ends] == [True, True] + [False] * 3
    alone = Estimate(0.5)
    assert not alone.has_interval and not alone.decided
    assert (alone.n, alone.how) == (0, "mean")


def test_student_by_table() -> None:
    """t(0.975, 2 degrees of freedom) = 4.302653."""
    mean, std, half = mean_interval([0.70, 0.72, 0.74])
    assert mean == pytest.approx(0.72) and std == pytest.approx(0.02)
    assert half == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)


def test_one_value_has_no_interval() -> None:
    mean, std, half = mean_interval([0.5])
    assert mean == 0.5 and math.isnan(std) and math.isnan(half)


def test_what_was_not_measured_is_left_out_of_a_mean() -> None:
    """t(0.975, 1) = 12.706205 times a standard error of 0.1."""
    found = estimate([0.5, math.nan, 0.7, math.inf])
    assert found is not None and found.n == 2
    assert (found.low, found.high) == pytest.approx((0.6 - 1.2706205, 0.6 + 1.2706205))
    assert estimate([math.nan]) is None and estimate([]) is None


def test_pairs_are_their_differences() -> None:
    found = paired(A, B)
    differences = np.subtract(A, B)
    mean, _, half = mean_interval(differences)
    assert (found.value, found.low, found.high) == pytest.approx((mean, mean - half, mean + half))
    assert found.p == pytest.approx(scipy_stats.ttest_1samp(differences, 0).pvalue)
    assert found.df == 3 and not found.decided and paired(B, A).high == pytest.approx(-found.low)


def test_welch_as_statsmodels_has_it() -> None:
    found = welch(A, B[:3])
    means = CompareMeans(DescrStatsW(A), DescrStatsW(B[:3]))
    t, p, df = means.ttest_ind(usevar="unequal")
    assert (found.p, found.df) == pytest.approx((p, df))
    assert (found.low, found.high) == pytest.approx(means.tconfint_diff(usevar="unequal"))


def test_no_spread_allows_no_interval() -> None:
    """0.3 - 0.2 and 0.2 - 0.1 are not the same number in binary."""
    for found in (paired([0.3, 0.2], [0.2, 0.1]), paired([0.5], [0.4]), welch([0.3, 0.3], [1, 1])):
        assert math.isnan(found.p) and math.isnan(found.low) and not found.decided
    assert paired([0.3, 0.2], [0.2, 0.1]).value == pytest.approx(0.1)
    assert math.isnan(paired([0.2, 0.1], [0.3, 0.2]).p), "whichever is ahead"
    none = paired([0.5, 0.7], [0.5, 0.7])
    assert not none.has_interval and math.isnan(none.df), "nor of no difference"
    large = [1000.0, np.nextafter(1000.0, 2000.0)]
    assert math.isnan(paired(large, [0.0, 0.0]).p), "rounding grows with the values"
    assert paired([1.0, 1 + 1e-10], [0.0, 0.0]).has_interval, "small is not none"
    assert math.isnan(welch([0.3], [1.0, 2.0]).df) and math.isnan(welch([1.0, 2.0], [0.3]).df)
    assert math.isnan(effect_paired([0.3, 0.2, 0.4], [0.2, 0.1, 0.3]).value)
    assert math.isnan(effect_independent([0.3], [1.0, 2.0]).value)
    assert math.isnan(effect_paired([0.3, 0.2], [0.2, 0.1]).value)
    assert math.isnan(effect_paired([0.3, 0.3], [0.2, 0.1]).value), "two pairs have no g"
    assert math.isnan(effect_independent([0.3, 0.3], [1, 1]).value)


def test_two_values_are_enough() -> None:
    """t(0.975, 1) = 12.706205 standard errors; one side may be without spread."""
    pairs = paired([3, 5], [1, 2])  # differences 2 and 3: a standard error of 1/2
    assert (pairs.low, pairs.high) == pytest.approx((2.5 - 6.3531024, 2.5 + 6.3531024))
    for found, value in ((welch([1, 3], [0, 0]), 2), (welch([0, 0], [1, 3]), -2)):
        assert (found.value, found.df) == pytest.approx((value, 1))
        assert (found.low, found.high) == pytest.approx((value - 12.706205, value + 12.706205))


def test_wilcoxon_from_six_pairs_on() -> None:
    """All of six differences above 0: 2 of 2^6 assignments of signs are as extreme."""
    better = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert wilcoxon(better, [0.0] * 6) == pytest.approx(2 / 64)
    assert math.isnan(wilcoxon(better[:5], [0.0] * 5))
    assert math.isnan(wilcoxon(better, [*[0.0] * 5, 6.0])), "a tie is no pair"


def test_holm_by_hand() -> None:
    """0.01 * 3; 0.03 * 2; 0.04 * 1, but no less than the one before."""
    adjusted = holm([0.04, float("nan"), 0.01, 0.03])
    assert math.isnan(adjusted[1])
    assert [adjusted[i] for i in (0, 2, 3)] == pytest.approx([0.06, 0.03, 0.06])
    assert [math.isnan(p) for p in holm([float("nan")])] == [True] and holm(()) == []


def test_holm_as_statsmodels_has_it() -> None:
    """Ties, ones and noughts among them."""
    random = np.random.default_rng(2)
    for size in range(1, 12):
        p = random.choice([0.0, 0.001, 0.01, 0.02, 0.04, 0.3, 1.0, *random.random(3)], size)
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist(), abs=1e-15)


def test_sizes_of_effects() -> None:
    """g as statsmodels has it, its correction by the usual approximation; by hand for pairs."""
    found = effect_independent(A, B)
    moments = [x for values in (A, B) for x in (np.mean(values), np.std(values, ddof=1), 4)]
    assert found.value == pytest.approx(effectsize_smd(*moments)[0], rel=0.01)
    pairs = effect_paired(A, B)  # differences 0.01, 0.04, 0.01, 0.03
    assert pairs.value == pytest.approx(0.0225 / 0.015 * (1 - 3 / (4 * 3 - 1)), rel=0.01)


def test_effects_of_the_fewest() -> None:
    """Two degrees of freedom: d = 2 times gamma(1) / gamma(1/2), which is 1 / sqrt(pi)."""
    g = 2 / math.pi**0.5
    assert effect_paired([2, 4, 6], [1, 2, 3]).value == pytest.approx(g)
    assert effect_independent([1, 3], [0, 0]).value == pytest.approx(g)
    assert effect_independent([0, 0], [1, 3]).value == pytest.approx(-g)


def test_numbers_are_pythons_own() -> None:
    """As JSON and YAML write them and as they print, not numpy's."""
    found = [paired(A, B), welch(A, B), effect_paired(A, B), effect_independent(A, B)]
    found += [paired([0.5], [0.4]), welch([0.5], [0.4])]
    numbers = [x for estimate in found for x in astuple(estimate)[:4]]
    numbers += [*mean_interval(A), wilcoxon(range(7), [0.5] * 7), pooled_std(A, B), *holm([0.1])]
    assert {type(x) for x in numbers} == {float}


@pytest.mark.parametrize(
    "found, root",
    [
        (effect_paired(A, B), 2),
        (effect_paired(A[:3], B[:3]), 3**0.5),
        (effect_independent(A, B), 2**0.5),
        (effect_independent(A, B[:2]), (4 / 3) ** 0.5),
    ],
)
def test_the_ends_of_an_effect_explain_the_data_just_so(found, root) -> None:
    """At either end of the interval what was measured has probability 2.5 %."""
    correction = math.gamma(found.df / 2) / math.gamma((found.df - 1) / 2) / (found.df / 2) ** 0.5
    t, low, high = root * found.value / correction, root * found.low, root * found.high
    assert scipy_stats.nct.cdf(t, found.df, low) == pytest.approx(0.975, abs=1e-6)
    assert scipy_stats.nct.cdf(t, found.df, high) == pytest.approx(0.025, abs=1e-6)


@pytest.mark.parametrize("n", [3, 6])
def test_intervals_of_effects_cover(n: int) -> None:
    """A true difference of one standard deviation: 95 % of 600 draws, +- 3.5 standard errors."""
    random, draws, inside = np.random.default_rng(3), 600, np.zeros(2)
    for _ in range(draws):
        a, b = 1 + random.normal(0, 1, n), random.normal(0, 1, n)
        both = effect_paired(a, np.zeros(n)), effect_independent(a, b)
        inside += [found.low <= 1 <= found.high for found in both]
    assert inside / draws == pytest.approx(0.95, abs=3.5 * (0.95 * 0.05 / draws) ** 0.5)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_effect_beyond_measure_is_told_at_once(sign: int) -> None:
    """Its ends go with it from a t of 1,000 on: chi(0.975) / sqrt(2) = 1.92 times for three."""
    far, spread = sign * 1e6, np.array([-1.0, 0.0, 1.0])
    found = effect_paired(far + spread, np.zeros(3))
    ends = sorted(abs(end / far) for end in (found.low, found.high))
    assert ends == pytest.approx([0.1591, 1.9207], rel=1e-3) and found.low < found.high
    near, beyond = (effect_paired(d + spread, np.zeros(3)) for d in (570.0, 580.0))
    assert (beyond.low / near.low, beyond.high / near.high) == pytest.approx(
        (58 / 57, 58 / 57), rel=1e-3
    )


def test_intervals_cover() -> None:
    """The true difference lies in 95 % of the intervals: 400 draws, +- 3.5 standard errors."""
    random, inside = np.random.default_rng(0), {"paired": 0, "welch": 0}
    for _ in range(400):
        seeds = random.normal(0, 1, 5)  # what seeds have in common
        a, b = 1 + seeds + random.normal(0, 0.5, 5), seeds + random.normal(0, 0.5, 5)
        found = paired(a, b)
        inside["paired"] += found.low <= 1 <= found.high
        found = welch(1 + random.normal(0, 2, 8), random.normal(0, 1, 5))
        inside["welch"] += found.low <= 1 <= found.high
    for name, count in inside.items():
        assert count / 400 == pytest.approx(0.95, abs=3.5 * (0.95 * 0.05 / 400) ** 0.5), name


def test_holm_keeps_the_error_of_a_whole_table() -> None:
    """Eight comparisons without any difference: 5 % of tables have a finding, not a third."""
    random, found, without = np.random.default_rng(1), 0, 0
    for _ in range(200):
        p = [paired(*random.normal(size=(2, 4))).p for _ in range(8)]
        found += min(holm(p)) < 0.05
        without += min(p) < 0.05
    assert found / 200 < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert without / 200 > 0.2, "the check can fail"


def test_values_that_are_nearly_the_same_are_compared_in_silence() -> None:
    """SciPy warns of few digits, which the tests here would make an error."""
    near = [0.1, float(np.nextafter(0.1, 1)), 0.1]
    assert welch(near, [0.1, 0.1, 0.1]).value == pytest.approx(0, abs=1e-15)
    assert paired(near, [0.1, 0.1, 0.1]).value == pytest.approx(0, abs=1e-15)
