"""Statistics over images: what two nets, or two sets of nets, do on the same images.

Scores are of one image and one net: 1 or 0 for right or wrong, or a loss. Two things vary: which
seed a net was trained with, and which images it is measured on. The interval over seeds holds the
images fixed, the one over images holds the nets fixed; ``crossed`` lets both vary.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from cifarlab.stats.intervals import LEVEL, Estimate

RESAMPLES = 5000
EXACT_BELOW = 25  # images that only one net gets right: below, McNemar's test is binomial


@dataclass(frozen=True)
class Disagreement:
    """How many images both, one or none of two nets gets right, and McNemar's p.

    p is of the hypothesis that each is as likely as the other to be the one that is right.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float
    exact: bool


def mcnemar(a: Bool[np.ndarray, " images"], b: Bool[np.ndarray, " images"]) -> Disagreement:
    """McNemar's test of two nets: exact where few images tell them apart, else chi-squared with
    continuity correction (Edwards, 1948)."""
    from statsmodels.stats import contingency_tables  # brings pandas: 0.15 s

    both, only_a = int(np.sum(a & b)), int(np.sum(a & ~b))
    only_b, neither = int(np.sum(~a & b)), int(np.sum(~a & ~b))
    exact = only_a + only_b < EXACT_BELOW
    test = contingency_tables.mcnemar([[both, only_a], [only_b, neither]], exact=exact)
    return Disagreement(both, only_a, only_b, neither, float(test.pvalue), exact)


def bootstrap(difference: Float[np.ndarray, " images"]) -> Estimate:
    """Mean over images and its bootstrap interval (percentiles); the nets are held fixed.

    difference: of the scores, image by image, so that images are resampled in pairs. The resampling
    is seeded: the same predictions give the same interval.
    """
    mean = float(difference.mean())
    if len(difference) < 2:
        return Estimate(mean)
    result = stats.bootstrap(
        (difference,), np.mean, n_resamples=RESAMPLES, batch=100, confidence_level=LEVEL,
        method="percentile", rng=0,
    )  # fmt: skip
    low, high = result.confidence_interval
    return Estimate(mean, float(low), float(high))


def crossed(
    a: Float[np.ndarray, "seeds_a images"], b: Float[np.ndarray, "seeds_b images"], *, paired: bool
) -> Estimate:
    """Mean difference of scores with the interval over seeds and images together.

    Seeds and images are crossed: each net sees all images. The variance of the mean is that over
    seeds, plus that over images, less the part of both that is the same (the interaction of seeds
    with images), by the mean squares of a two-way layout without repetitions; degrees of freedom by
    Satterthwaite (1946). Where that is narrower than the interval over seeds or images alone, which
    few seeds can bring about, it is the wider one of these: the interval errs on the wide side.

    paired: whether row k of ``a`` and of ``b`` have the seed in common. Without two seeds on each
    side there is no interval.
    """
    means = a.mean(axis=0) - b.mean(axis=0)
    value = float(means.mean())
    sides = [a - b] if paired else [a, b]
    if min(map(len, sides)) < 2 or a.shape[1] < 2:
        return Estimate(value)
    by_seed = [float(side.mean(axis=1).var(ddof=1)) / len(side) for side in sides]
    if not sum(by_seed):  # no spread: not known to be none
        return Estimate(value)
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
    """Degrees of freedom of a sum of variances, each with its own."""
    return sum(part for part, _ in parts) ** 2 / sum(part**2 / df for part, df in parts)


def single(a: Bool[np.ndarray, " images"], b: Bool[np.ndarray, " images"]) -> Estimate:
    """Of one net each: difference of the shares of right answers, its bootstrap interval over
    images, and McNemar's p. Says nothing about other seeds."""
    interval = bootstrap(a.astype(float) - b.astype(float))
    return Estimate(interval.value, interval.low, interval.high, mcnemar(a, b).p)


def _interaction(side: Float[np.ndarray, "seeds images"]) -> float:
    """Variance of the mean of all scores by what is peculiar to a seed on an image."""
    seeds, images = side.shape
    rest = side - side.mean(axis=1, keepdims=True) - side.mean(axis=0) + side.mean()
    return float((rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images))
