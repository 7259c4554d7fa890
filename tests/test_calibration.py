import numpy as np
import pytest
import torch
from scipy.special import softmax
from torchmetrics.functional.classification import multiclass_calibration_error

from cifarlab.stats.answers import Predictions
from cifarlab.stats.calibration import cross_entropy, fit_temperature, reliability


def drawn(images: int, scale: float = 1.0, seed: int = 0) -> Predictions:
    """Logits, and labels drawn from their probabilities; then the logits times ``scale``."""
    random = np.random.RandomState(seed)
    logits = 2.0 * random.randn(images, 5)
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    labels = (random.rand(images, 1) > cumulative).sum(axis=1)
    return Predictions(scale * logits, labels.clip(0, 4))


def test_a_diagram_of_known_probabilities() -> None:
    """Ten answers at 0.9, seven of them right, and ten at 0.55, of which six are."""
    sure, unsure = np.log([[0.9, 0.1]]), np.log([[0.55, 0.45]])
    logits = np.concatenate([sure.repeat(10, axis=0), unsure.repeat(10, axis=0)])
    labels = np.array([0] * 7 + [1] * 3 + [0] * 6 + [1] * 4)
    found = reliability(Predictions(logits, labels), bins=5)
    assert found.count.tolist() == [0, 0, 10, 0, 10]
    assert found.confidence[[2, 4]] == pytest.approx([0.55, 0.9])
    assert found.accuracy[[2, 4]] == pytest.approx([0.6, 0.7])
    assert np.isnan(found.accuracy[[0, 1, 3]]).all()
    assert found.ece == pytest.approx((10 * 0.05 + 10 * 0.2) / 20)


@pytest.mark.parametrize("bins", [10, 15])
def test_the_error_is_that_of_torchmetrics(bins: int) -> None:
    predictions = drawn(2000, scale=2.0)
    predictions.logits[:200] *= 1000  # confidence of exactly 1, a bin of its own there
    theirs = multiclass_calibration_error(
        torch.from_numpy(softmax(predictions.logits, axis=1)),
        torch.from_numpy(predictions.labels),
        num_classes=5,
        n_bins=bins,
        norm="l1",
    )
    found = reliability(predictions, bins=bins)
    assert found.ece == pytest.approx(float(theirs), abs=1e-6) and found.ece > 0.05
    assert found.count.sum() == 2000


def test_the_edges_of_bins() -> None:
    """A bin has its lower edge, the last has both; there are 15 unless told otherwise."""
    logits = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])  # sure of 1/2, 1 and 1
    found = reliability(Predictions(logits, np.array([0, 0, 1])), bins=4)
    assert found.count.tolist() == [0, 0, 1, 2]
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.confidence[2:].tolist() == [0.5, 1] and found.accuracy[2:].tolist() == [1, 1]
    assert found.ece == pytest.approx(0.5 / 3)
    assert len(reliability(drawn(100)).count) == 15


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_temperature_recovers_a_known_scale(scale: float) -> None:
    predictions = drawn(20_000, scale)
    assert fit_temperature(predictions) == pytest.approx(scale, rel=0.05)
    assert reliability(predictions, scale).ece < 0.02
    assert cross_entropy(predictions, scale) <= cross_entropy(predictions) + 1e-9


def test_cross_entropy_is_that_of_torch() -> None:
    predictions = drawn(100)
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(predictions.logits / 1.7), torch.from_numpy(predictions.labels)
    )
    assert cross_entropy(predictions, 1.7) == pytest.approx(float(theirs))
    by_hand = Predictions(np.log([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    assert cross_entropy(by_hand) == pytest.approx(-np.log(0.9 * 0.2) / 2)


def test_right_answers_alone_are_never_too_cold() -> None:
    """Nothing overflows where the best temperature is zero."""
    logits = np.array([[5.0, 0.0], [0.0, 8.0]])
    assert 0.01 <= fit_temperature(Predictions(logits, np.array([0, 1]))) < 1


@pytest.mark.parametrize(("label", "difference", "bound"), [(0, 1e-3, 0.01), (1, 1e3, 100)])
def test_the_temperature_stays_in_its_bounds(label: int, difference: float, bound: float) -> None:
    """Colder is better for a right answer, hotter for a wrong one, without end."""
    only = Predictions(np.array([[difference, 0.0]]), np.array([label]))
    assert fit_temperature(only) == pytest.approx(bound, rel=1e-3)


def test_numbers_are_pythons_own() -> None:
    """As JSON and YAML write them and as they print, not numpy's."""
    predictions = drawn(100)
    numbers = fit_temperature(predictions), cross_entropy(predictions), reliability(predictions).ece
    assert [type(number) for number in numbers] == [float] * 3
