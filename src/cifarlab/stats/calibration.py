"""Whether confidence can be believed: reliability, expected calibration error, temperature."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar

from cifarlab.stats.answers import Predictions

BINS = 15  # of equal width, as in Guo et al. (2017)
_COLDEST, _HOTTEST = 1e-2, 1e2


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of equal width of their confidence.

    edges: of the bins, from 0 to 1; a bin has its lower edge, the last has both.
    confidence, accuracy: means of each bin, NaN where it is empty; count: answers in it.
    ece: expected calibration error.
    """

    edges: Float[np.ndarray, " edges"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]
    ece: float


def reliability(
    predictions: Predictions, temperature: float = 1.0, bins: int = BINS
) -> Reliability:
    """How often the answers are right, by their confidence at a temperature.

    The error is that of ``torchmetrics.classification.MulticlassCalibrationError(norm="l1")``: the
    mean over answers of their bin's distance between accuracy and confidence (Naeini et al., 2015),
    where a confidence of exactly 1 is in a bin of its own. The bins returned have it in the last.
    """
    sure = predictions.at(temperature).confidence
    right = predictions.is_right.astype(float)
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges, sure, side="right") - 1
    each = (sure, right, np.ones_like(sure))
    sums = [np.bincount(place, weights, minlength=bins + 1) for weights in each]
    ece = float(np.abs(sums[0] - sums[1]).sum() / len(sure))
    for values in sums:
        values[bins - 1] += values[bins]
    confidence, accuracy, count = (values[:bins] for values in sums)
    with np.errstate(invalid="ignore"):
        return Reliability(edges, confidence / count, accuracy / count, count.astype(int), ece)


def fit_temperature(predictions: Predictions) -> float:
    """The temperature that makes the cross-entropy lowest (Guo et al., arXiv:1706.04599), between
    0.01 and 100. Right answers alone would be best off at 0.

    To be fitted on validation images: on test images it would be chosen by what it is judged on.
    """

    def loss(log_temperature: float) -> float:
        return cross_entropy(predictions, float(np.exp(log_temperature)))

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def cross_entropy(predictions: Predictions, temperature: float = 1.0) -> float:
    """The mean over the images (nats)."""
    return float(predictions.at(temperature).loss.mean())
