"""Suspect labels by hand, and planted ones."""

import numpy as np
import pytest

from cifarlab.stats.labels import find_suspects


def test_by_hand() -> None:
    """Thresholds are (0.9 + 0.7 + 0.2) / 3 = 0.6 and (0.8 + 0.3 + 0.4) / 3 = 0.5. Image 2 is
    labelled 0 and has 0.8 of 1, image 4 the reverse; 5 has exactly the threshold of 0."""
    first = np.array([0.9, 0.7, 0.2, 0.2, 0.7, 0.6])
    found = find_suspects(np.stack([first, 1 - first], axis=1), np.array([0, 0, 0, 1, 1, 1]))
    assert found.thresholds == pytest.approx([0.6, 0.5])
    assert found.joint.tolist() == [[2, 1], [2, 1]]
    assert found.which.tolist() == [2, 4, 5], "the surest first"
    assert found.given.tolist() == [0, 1, 1] and found.found.tolist() == [1, 0, 0]
    assert found.margin == pytest.approx([0.6, 0.4, 0.2])
    assert found.noise == pytest.approx((3 * 1 / 3 + 3 * 2 / 3) / 6)


def test_it_is_what_cleanlab_says() -> None:
    from cleanlab.count import compute_confident_joint, get_confident_thresholds
    from cleanlab.filter import find_label_issues

    draw = np.random.RandomState(0)
    labels, likely = draw.randint(5, size=(2, 2000))
    likely = np.where(draw.rand(2000) < 0.8, labels, likely)
    probabilities = 0.6 * np.eye(5)[likely] + 0.4 * draw.dirichlet(np.full(5, 0.7), size=2000)
    found = find_suspects(probabilities, labels)
    joint, which = compute_confident_joint(
        labels, probabilities, calibrate=False, return_indices_of_off_diagonals=True
    )
    assert np.array_equal(found.joint, joint) and set(found.which) == set(which)
    assert found.thresholds == pytest.approx(get_confident_thresholds(labels, probabilities))
    issues = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    assert np.array_equal(np.flatnonzero(issues), np.sort(found.which)) and len(found.which) > 100


def test_the_likeliest_of_several_classes_and_none() -> None:
    """Thresholds 0.34 and 0.375. Image 0 is above both, and likelier of class 0; image 1 is above
    neither: it has no say."""
    probabilities = np.array([[0.4, 0.38, 0.22], [0.3, 0.37, 0.33], [0.34, 0.33, 0.33]])
    found = find_suspects(probabilities, np.array([1, 1, 0]))
    assert found.thresholds[:2] == pytest.approx([0.34, 0.375])
    assert np.isnan(found.thresholds[2]), "no image is labelled so"
    assert found.joint.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert found.which.tolist() == [0] and found.found.tolist() == [0]
    assert found.images.tolist() == [1, 2, 0]


def test_planted_mistakes_are_found() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(4, size=2000)
    probabilities = rng.dirichlet(np.ones(4), size=2000) * 0.1
    probabilities[np.arange(2000), truth] += 0.9
    labels = truth.copy()
    labels[:100] = (truth[:100] + 1) % 4
    found = find_suspects(probabilities, labels)
    assert sorted(found.which.tolist()) == list(range(100))
    assert np.array_equal(found.found, truth[found.which])
    assert found.noise == pytest.approx(0.05)
