"""Sets by hand, by another formula, and what they promise, over many splits."""

import numpy as np
import pytest

from cifarlab.base.seeding import derive
from cifarlab.stats.answers import Predictions
from cifarlab.stats.conformal import aps, conformal_sets, lac

PROBABILITIES = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.4, 0.5], [0.8, 0.15, 0.05]])
LABELS = np.array([0, 1, 1, 0])


def answered(probabilities: np.ndarray, labels: np.ndarray) -> Predictions:
    return Predictions(np.log(probabilities), labels)


def test_lac_by_hand() -> None:
    """Scores of the true classes: 0.4, 0.3, 0.6, 0.2. Of four the ceil(5 * 0.6) = 3rd is 0.4: all
    classes of 0.6 or more."""
    sets = conformal_sets(
        answered(PROBABILITIES, LABELS), answered(PROBABILITIES, LABELS), "LAC", alpha=0.4
    )
    assert sets.threshold == pytest.approx(0.4)
    assert sets.inside.tolist() == [[True, False, False], [False, True, False]] + [
        [False, False, False],
        [True, False, False],
    ]
    assert sets.sizes.tolist() == [1, 1, 0, 1] and sets.covered.tolist() == [1, 1, 0, 1]


def test_aps_adds_up_the_likelier_classes() -> None:
    seed = derive("conformal", "images")
    draws = np.random.default_rng(seed).random(len(PROBABILITIES))
    scores = aps(PROBABILITIES, seed)
    for i, row in enumerate(PROBABILITIES):
        for label, own in enumerate(row):
            likelier = sum(other for other in row if other > own)
            assert scores[i, label] == pytest.approx(likelier + draws[i] * own)
    assert np.array_equal(lac(PROBABILITIES, 0), 1 - PROBABILITIES)


@pytest.mark.parametrize("alpha", [0.01, 0.19])
def test_too_few_images_promise_nothing_but_all_classes(alpha: float) -> None:
    sets = conformal_sets(
        answered(PROBABILITIES, LABELS), answered(PROBABILITIES, LABELS), "APS", alpha
    )
    assert sets.threshold == np.inf and sets.inside.all() and sets.expected == (1, 1)


@pytest.mark.parametrize("score", ["LAC", "APS"])
def test_the_promise_is_kept_by_a_net_that_knows_nothing(score: str) -> None:
    """Over 250 splits, 49 images to calibrate and 60 to evaluate: the mean is 0.9, and 95 % are
    in the interval, of which a binomial of the 60 alone would be too narrow."""
    rng = np.random.default_rng(0)
    coverage, inside = [], []
    for _ in range(250):
        logits, labels = rng.normal(size=(109, 5)), rng.integers(5, size=109)
        of, on = Predictions(logits[:49], labels[:49]), Predictions(logits[49:], labels[49:])
        sets = conformal_sets(of, on, score, alpha=0.1)
        coverage.append(sets.covered.mean())
        inside.append(sets.expected[0] <= coverage[-1] <= sets.expected[1])
    assert np.mean(coverage) == pytest.approx(0.9, abs=0.012)
    assert 0.92 < np.mean(inside) < 0.99
