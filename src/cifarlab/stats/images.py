"""Statistics over images: what two nets, or two sets of nets, do on the same images.

A score belongs to one image and one net: 1 or 0 for a right or a wrong answer, or a loss. Two
things vary: the seed that a net was trained with, and the images that it is measured on. An
interval over seeds holds the images fixed; one over images holds the nets fixed; ``crossed`` lets
both vary.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from cifarlab.stats.intervals import LEVEL, Estimate, no_spread

RESAMPLES = 5000
EXACT_BELOW = 25  # images that only one net gets right: below, McNemar's test is binomial


@dataclass(frozen=True)
class Disagreement:
    """How many images both, one or none of two nets get right, and the p of McNemar's test.

    The test's hypothesis: where only one of the nets is right, each is as likely to be that one.
    exact: whether p is binomial, else it is from the chi-squared distribution.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    exact: bool


def mcnemar(a: Bool[np.ndarray, " images"], b: Bool[np.ndarray, " images"]) -> Disagreement:
    """McNemar's test of two nets, from whether each is right on each image.

    It is exact where only one net is right on fewer than ``EXACT_BELOW`` images, else chi-squared
    with continuity correction (Edwards, 1948).
    """
    from statsmodels.stats import contingency_tables  # brings pandas: 0.15 s

    both, only_a = int(np.sum(a & b)), int(np.sum(a & ~b))
    only_b, neither = int(np.sum(~a & b)), int(np.sum(~a & ~b))
    exact = only_a + only_b < EXACT_BELOW
    test = contingency_tables.mcnemar([[both, only_a], [only_b, neither]], exact=exact)
    return Disagreement(both, only_a, only_b, neither, float(test.pvalue), exact)


def bootstrap(difference: Float[np.ndarray, " images"]) -> Estimate:
    """The mean over images with its bootstrap interval (percentiles); the nets are held fixed.

    There is no interval where all differences are equal, as where both nets are right on the same
    images: resampling would have it that other images could not differ. From few images that tell
    the nets apart it is too narrow.

    The resampling has a fixed seed: the same predictions always give the same interval.

    difference: of the scores of two nets on each image, so that images are resampled in pairs.
    """
    mean = float(difference.mean())
    if len(difference) < 2 or no_spread(difference):
        return Estimate(mean)
    result = stats.bootstrap(
        (difference,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=LEVEL,
        method="percentile", rng=0,
    )  # fmt: skip
    low, high = result.confidence_interval
    return Estimate(mean, float(low), float(high))


def wilson(right: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a net's accuracy over images, from how many of them it has
    right: within 0 and 1, and not without width where it has all right or none."""
    found = stats.binomtest(right, of).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def crossed(
    a: Float[np.ndarray, "seeds_a images"], b: Float[np.ndarray, "seeds_b images"], *, paired: bool
) -> Estimate:
    """The mean difference of scores, ``a`` minus ``b``, with an interval over seeds and images.

    Seeds and images are crossed: each net sees all images. The variance of the mean is the variance
    over seeds plus the one over images, less what both contain (the interaction of seeds with
    images). They come from the mean squares of a two-way layout without repetitions; the degrees of
    freedom are Satterthwaite's (1946). With few seeds the result can be narrower than the interval
    over seeds or over images alone; then the wider one of these is returned instead.

    With fewer than two seeds on a side there is no interval, nor where those of each side come to
    the same.

    paired: whether row k of ``a`` and row k of ``b`` are of nets with the same seed.
    """
    means = a.mean(axis=0) - b.mean(axis=0)
    value = float(means.mean())
    sides = [a - b] if paired else [a, b]
    if min(map(len, sides)) < 2 or a.shape[1] < 2:
        return Estimate(value)
    if all(no_spread(side.mean(axis=1)) for side in sides):  # not known to be none
        return Estimate(value)
    by_seed = [float(side.mean(axis=1).var(ddof=1)) / len(side) for side in sides]
    freedom = [(part, len(side) - 1) for part, side in zip(by_seed, sides, strict=True)]
    sources = [
        (sum(by_seed), _satterthwaite(freedom)),
        (float(means.var(ddof=1)) / len(means), len(means) - 1.0),
    ]
    variance = sum(part for part, _ in sources) - sum(map(_interaction, sides))
    df = variance**2 / sum(part**2 / n for part, n in sources)
    candidates = [*sources, (variance, df)] if variance > 0 else sources

    def half(source: tuple[float, float]) -> float:
        return float(stats.t.ppf((1 + LEVEL) / 2, source[1])) * source[0] ** 0.5

    widest = max(candidates, key=half)
    p = 2 * float(stats.t.sf(abs(value) / widest[0] ** 0.5, widest[1]))
    return Estimate(value, value - half(widest), value + half(widest), p, widest[1])


def _satterthwaite(parts: list[tuple[float, int]]) -> float:
    """The degrees of freedom of a sum of variances, each given with its own."""
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / df for part, df in parts)


def single(a: Bool[np.ndarray, " images"], b: Bool[np.ndarray, " images"]) -> Estimate:
    """Compare one net with one other, by whether each is right on each image.

    Returns the difference of their accuracies with its bootstrap interval over images and the p of
    McNemar's test. It says nothing about nets of other seeds.
    """
    interval = bootstrap(a.astype(float) - b.astype(float))
    return Estimate(interval.value, interval.low, interval.high, mcnemar(a, b).p)


def _interaction(side: Float[np.ndarray, "seeds images"]) -> float:
    """The part of the variance of the mean of all scores that is due to the interaction of seeds
    and images."""
    seeds, images = side.shape
    rest = side - side.mean(axis=1, keepdims=True) - side.mean(axis=0) + side.mean()
    return float((rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images))
