"""Statistics over images: by hand, against scipy, and by simulation."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from cifarlab.stats.images import bootstrap, crossed, mcnemar, single, wilson


def answers(both: int, only_a: int, only_b: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, only_a, only_b, neither]
    pairs = np.repeat([[True, True], [True, False], [False, True], [False, False]], counts, axis=0)
    return pairs[:, 0], pairs[:, 1]


def test_mcnemar_of_few_is_a_coin() -> None:
    found = mcnemar(*answers(50, 9, 2, 39))
    assert (found.both, found.only_a, found.only_b, found.neither) == (50, 9, 2, 39)
    assert found.exact and found.p == pytest.approx(stats.binomtest(9, 11).pvalue)
    assert mcnemar(*answers(5, 0, 0, 5)).p == 1


def test_mcnemar_of_many_by_hand() -> None:
    """(|121 - 59| - 1)^2 / (121 + 59) = 20.67, chi-squared of one degree of freedom."""
    found = mcnemar(*answers(101, 121, 59, 33))
    assert not found.exact and found.p == pytest.approx(stats.chi2.sf(61**2 / 180, 1))


def test_from_25_images_that_tell_nets_apart_on_it_is_chi_squared() -> None:
    assert mcnemar(*answers(5, 12, 12, 5)).exact
    found = mcnemar(*answers(5, 5, 20, 5))
    assert not found.exact and found.p == pytest.approx(stats.chi2.sf(14**2 / 25, 1))


def test_the_bootstrap_of_a_mean_is_what_theory_says() -> None:
    a, b = answers(3000, 300, 200, 500)
    found, difference = bootstrap(a.astype(float) - b), a.astype(float) - b
    error = difference.std() / len(difference) ** 0.5
    assert found.value == pytest.approx(0.025)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert bootstrap(difference) == found, "seeded"
    assert math.isnan(bootstrap(difference[:1]).low)


def test_percentiles_of_a_skewed_mean_are_those_of_the_binomial() -> None:
    """Three of 400: 0 in 5 % of resamples, 7 or fewer in 98.8 %, 6 or fewer in 96.6 %."""
    found = bootstrap(np.repeat([1.0, 0.0], [3, 397]))
    assert (found.low, found.high) == tuple(stats.binom.ppf([0.025, 0.975], 400, 3 / 400) / 400)
    two = bootstrap(np.array([0.0, 1.0]))  # the mean is 0 or 1 in a quarter of resamples each
    assert (two.low, two.high) == (0, 1)


def test_nets_that_never_differ_have_no_interval() -> None:
    """0 to 0 would be sure of all other images; of a net that is always the better one, too."""
    for a, b in (answers(90, 0, 0, 10), answers(0, 5, 0, 0)):
        found = single(a, b)
        assert math.isnan(found.low) and math.isnan(found.high) and found.p > 0.05
    assert found.value == 1 and bootstrap(np.array([0.1] * 3)).value == pytest.approx(0.1)


@pytest.mark.parametrize("right", [0, 1, 30, 100])
def test_wilsons_interval_by_its_formula(right: int) -> None:
    """Which all 100 right, or none, do not make 0 wide, or go beyond 0 and 1."""
    p, n, z = right / 100, 100, stats.norm.ppf(0.975)
    middle, half = p + z**2 / 2 / n, z * (p * (1 - p) / n + (z / 2 / n) ** 2) ** 0.5
    low, high = wilson(right, 100)
    assert (low, high) == pytest.approx([(middle + s * half) / (1 + z**2 / n) for s in (-1, 1)])
    assert 0 <= low < high <= 1


def test_pairing_images_narrows() -> None:
    """Two nets that err on nearly the same images differ by less than their accuracies suggest."""
    a, b = answers(3000, 60, 40, 900)
    found = bootstrap(a.astype(float) - b)
    unpaired = 1.96 * (a.var() / len(a) + b.var() / len(b)) ** 0.5
    assert (found.high - found.low) / 2 < unpaired / 3


def test_one_net_each() -> None:
    found = single(*answers(50, 9, 2, 39))
    assert found.value == pytest.approx(0.07) and found.low < 0.07 < found.high
    assert found.p == pytest.approx(stats.binomtest(9, 11).pvalue)


def table(random: np.random.Generator, seeds: float, images: float, rest: float) -> np.ndarray:
    """Scores of 4 seeds on 60 images with these standard deviations, mean 0."""
    parts = (seeds, (4, 1)), (images, (1, 60)), (rest, (4, 60))
    return sum(random.normal(0, std, shape) for std, shape in parts)


@pytest.mark.parametrize(
    "seeds, images, rest", [(1, 5, 1), (0.1, 1, 3), (0.05, 3, 0.5), (1, 0.1, 0.5)]
)
@pytest.mark.parametrize("paired", [True, False])
def test_both_sources_are_covered(seeds: float, images: float, rest: float, paired: bool) -> None:
    """At least 95 %, whichever source is the larger; over one source alone it would be less."""
    random, draws, inside = np.random.default_rng(2), 150, 0
    for _ in range(draws):
        a = table(random, seeds, images, rest)
        b = np.zeros_like(a) if paired else table(random, seeds, 0, rest)
        found = crossed(a, b, paired=paired)
        inside += found.low <= 0 <= found.high
        assert (found.p < 0.05) == found.decided
    assert inside / draws >= 0.95 - 3 * (0.95 * 0.05 / draws) ** 0.5


def test_neither_source_alone_covers() -> None:
    random, inside = np.random.default_rng(3), {"seeds": 0, "images": 0}
    for _ in range(200):
        scores = table(random, 1, 5, 1)
        seeds = stats.ttest_1samp(scores.mean(axis=1), 0).confidence_interval()
        images = stats.ttest_1samp(scores.mean(axis=0), 0).confidence_interval()
        inside["seeds"] += seeds.low <= 0 <= seeds.high
        inside["images"] += images.low <= 0 <= images.high
    assert inside["seeds"] < 184 and inside["images"] < 184, "92 %"


def test_the_variance_of_two_ways_by_hand() -> None:
    """Four seeds of 0 and four of 2, 20 images each of -3, 0 and 3, and no interaction.

    Variances of the mean: over seeds 8 / 7 / 8 = 1 / 7, over images 360 / 59 / 60 = 6 / 59.
    """
    scores = np.tile([[-3.0, 0, 3], [-1, 2, 5]], (4, 20))
    found = crossed(scores, np.zeros_like(scores), paired=True)
    variance = 1 / 7 + 6 / 59
    assert found.value == 1
    assert found.df == pytest.approx(variance**2 / ((1 / 7) ** 2 / 7 + (6 / 59) ** 2 / 59))
    assert found.high == pytest.approx(1 + stats.t.ppf(0.975, found.df) * variance**0.5)


def interaction(side: np.ndarray) -> float:
    """Mean square of what least squares leave of seeds plus images, of the mean of all scores."""
    seeds, images = side.shape
    effects = np.hstack([
        np.repeat(np.eye(seeds), images, axis=0), np.tile(np.eye(images), (seeds, 1)),
    ])  # fmt: skip
    fitted = effects @ np.linalg.lstsq(effects, side.ravel())[0]
    return ((side.ravel() - fitted) ** 2).sum() / ((seeds - 1) * (images - 1)) / side.size


@pytest.mark.parametrize("paired", [True, False])
def test_the_variance_is_that_of_seeds_and_images_less_what_is_in_both(paired: bool) -> None:
    """Standard errors and degrees of freedom of each source from scipy's t tests."""
    random = np.random.default_rng(4)
    images = random.normal(0, 2, 60)  # of both nets, so that it cancels
    a = 1 + images + table(random, 0.2, 4, 1)
    b = images + table(random, 0.2, 0.5, 1)[: 4 if paired else 3]
    rows = a.mean(axis=1), b.mean(axis=1)
    over_seeds = stats.ttest_rel(*rows) if paired else stats.ttest_ind(*rows, equal_var=False)
    tests = over_seeds, stats.ttest_rel(a.mean(axis=0), b.mean(axis=0))
    value = a.mean() - b.mean()
    parts = [((value / test.statistic) ** 2, test.df) for test in tests]
    variance = sum(part for part, _ in parts) - sum(map(interaction, [a - b] if paired else [a, b]))
    df = variance**2 / sum(part**2 / freedom for part, freedom in parts)
    half = stats.t.ppf(0.975, df) * variance**0.5
    found = crossed(a, b, paired=paired)
    assert (found.value, found.df) == pytest.approx((value, df))
    assert (found.low, found.high) == pytest.approx((value - half, value + half))
    assert found.p == pytest.approx(2 * stats.t.sf(value / variance**0.5, df))


def test_where_all_is_interaction_it_is_the_interval_over_seeds() -> None:
    """Means 0 and 0.1 over seeds, and over images: a standard error of 0.05; t(0.975, 1)."""
    scores = np.array([[1.0, -1.0], [-1.0, 1.2]])
    found = crossed(scores, np.zeros_like(scores), paired=True)
    assert (found.low, found.high) == pytest.approx((0.05 - 0.6353102, 0.05 + 0.6353102))
    assert found.p == pytest.approx(0.5), "one standard error of one degree of freedom"


def test_numbers_are_pythons_own() -> None:
    """As JSON and YAML write them and as they print, not numpy's."""
    scores = table(np.random.default_rng(5), 1, 1, 1)
    a, b = answers(50, 9, 2, 39)
    found = [crossed(scores, 0 * scores, paired=True), crossed(scores, 0 * scores, paired=False)]
    found += [single(a, b), bootstrap(np.array([1.0]))]
    numbers = [x for estimate in found for x in astuple(estimate)[:5]]
    assert {type(x) for x in [*numbers, mcnemar(a, b).p]} == {float}


def test_never_narrower_than_over_one_source() -> None:
    """Seeds 0 and 2, images -3, 0, 3: 1 +- 12.71 over two seeds, +- 4.30 * 1.73 over images."""
    scores = np.array([[-3.0, 0, 3], [-1, 2, 5]])
    found = crossed(scores, np.zeros_like(scores), paired=True)
    assert found.high == pytest.approx(1 + 12.7062, rel=1e-4)


@pytest.mark.parametrize("paired", [True, False])
def test_seeds_that_come_to_the_same_have_no_interval(paired: bool) -> None:
    """Each right on as many of 100 images, though on others; their mean may be off by rounding."""
    for count in range(1, 100):
        a = np.zeros((3, 100))
        for seed in range(3):
            a[seed, np.random.default_rng(seed).permutation(100)[:count]] = 1
        found = crossed(a, np.zeros_like(a), paired=paired)
        assert found.value == pytest.approx(count / 100)
        assert math.isnan(found.low) and math.isnan(found.p), count


def test_without_two_seeds_there_is_no_interval() -> None:
    one = np.array([[1.0, 0, 1]])
    assert math.isnan(crossed(one, 1 - one, paired=True).low)
    assert math.isnan(crossed(one.T, 1 - one.T, paired=True).low), "nor without two images"
    alike = np.array([[1.0, 0, 1], [1.0, 0, 1]])
    assert math.isnan(crossed(alike, 1 - alike, paired=True).p)
    assert math.isnan(crossed(alike, one, paired=False).p)
