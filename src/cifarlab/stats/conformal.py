"""Conformal sets: for each image the classes that cannot be ruled out, right with a chosen
probability whatever the net is.

Split conformal prediction: a score of how badly a class fits an image is computed for the true
class of each calibration image; a class is in the set of another image if its score is not above
the quantile of those. Where the images of both are exchangeable, the true class is in the set with
a probability of 1 - alpha at least, on average over images and calibrations: not of each class, and
not of each image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import softmax
from scipy.stats import betabinom

from cifarlab.base.seeding import derive
from cifarlab.stats.answers import Predictions

Scores = Float[np.ndarray, "n classes"]


def lac(probabilities: Scores, seed: int) -> Scores:
    """One minus the probability of the class: sets that are the smallest on average (Sadinle, Lei
    and Wasserman, arXiv:1609.00451). seed: nothing is drawn."""
    return 1 - probabilities


def aps(probabilities: Scores, seed: int) -> Scores:
    """The probability of all likelier classes and a share of the class's own, drawn evenly for each
    image: sets that grow with the difficulty of an image (Romano, Sesia and Candès,
    arXiv:2006.02544; without the penalty of RAPS, Angelopoulos et al., arXiv:2009.14193).

    A set may be empty where the net is surer than it is right.

    seed: of the draws, one an image, in their order.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = np.take_along_axis(probabilities, order, axis=1)
    draw = np.random.default_rng(seed).random((len(ranked), 1))
    scores = np.empty_like(ranked)
    np.put_along_axis(scores, order, ranked.cumsum(axis=1) - ranked + draw * ranked, axis=1)
    return scores


SCORES: dict[str, Callable[[Scores, int], Scores]] = {"LAC": lac, "APS": aps}


@dataclass(frozen=True)
class Sets:
    """Conformal sets of ``n`` images, and where their coverage may be.

    threshold: the highest score that a class in a set has; infinite where so few calibration
        images cannot promise the coverage, so that all classes are in all sets.
    inside: which classes are in the set of each image.
    labels: the true classes.
    expected: the middle 95 % of the coverage on so many images, over calibrations and images: a
        beta-binomial distribution where scores have no ties (Angelopoulos and Bates,
        arXiv:2107.07511, section 3.2).
    """

    threshold: float
    inside: Bool[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]
    expected: tuple[float, float]

    @property
    def covered(self) -> Bool[np.ndarray, " n"]:
        """Whether each set has the true class."""
        return self.inside[np.arange(len(self.labels)), self.labels]

    @property
    def sizes(self) -> Int[np.ndarray, " n"]:
        """How many classes are in each set."""
        return self.inside.sum(axis=1)


def conformal_sets(calibration: Predictions, images: Predictions, score: str, alpha: float) -> Sets:
    """The conformal sets of images, with a threshold from calibration images.

    score: one of ``SCORES``.
    alpha: the share of sets that may miss the true class, in (0, 1).
    """
    n, m = len(calibration.labels), len(images.labels)
    of, against = (
        SCORES[score](softmax(answers.logits, axis=1), derive("conformal", part))
        for part, answers in (("calibration", calibration), ("images", images))
    )
    true = np.sort(of[np.arange(n), calibration.labels])
    rank = ceil(round((n + 1) * (1 - alpha), 9))  # 0.9 * 10 is 9, not a little more
    if rank > n:
        return Sets(np.inf, np.ones_like(against, dtype=bool), images.labels, (1.0, 1.0))
    threshold = float(true[rank - 1])
    low, high = betabinom.interval(0.95, m, rank, n + 1 - rank)
    return Sets(threshold, against <= threshold, images.labels, (low / m, high / m))
