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
    """Answers sorted into bins of equal width by their confidence.

    edges: of the bins, from 0 to 1. Each bin includes its lower edge, the last bin both edges.
    confidence: the mean in each bin; NaN where the bin is empty.
    accuracy: the share of right answers in each bin; NaN where the bin is empty.
    count: how many answers are in each bin.
    ece: the expected calibration error, in [0, 1].
    """

    edges: Float[np.ndarray, " edges"]
    confidence: Float[np.ndarray, " bins"]
    accuracy: Float[np.ndarray, " bins"]
    count: Int[np.ndarray, " bins"]
    ece: float


def reliability(
    predictions: Predictions, temperature: float = 1.0, bins: int = BINS
) -> Reliability:
    """How often answers of each confidence are right, with the logits divided by a temperature.

    The error is that of ``torchmetrics.classification.MulticlassCalibrationError(norm="l1")``: the
    distance between accuracy and confidence in each bin, averaged over the answers (Naeini et al.,
    2015). For the error, a confidence of exactly 1 has a bin of its own; among the bins that are
    returned, it is in the last one.
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
    """The temperature between 0.01 and 100 that makes the cross-entropy lowest (Guo et al.,
    arXiv:1706.04599). If all answers were right, the best one would be 0: hence the lower bound.

    Fit it on validation images: fitted on test images, it would be judged by what chose it.
    """

    def loss(log_temperature: float) -> float:
        return cross_entropy(predictions, float(np.exp(log_temperature)))

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def cross_entropy(predictions: Predictions, temperature: float = 1.0) -> float:
    """The mean cross-entropy of the images (nats), with the logits divided by a temperature."""
    return float(predictions.at(temperature).loss.mean())
