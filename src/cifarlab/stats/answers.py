"""What a net answered to a set of images, and what follows from it by counting.

An answer is the class of the largest logit, its confidence the probability that softmax gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax, softmax


@dataclass(frozen=True)
class Predictions:
    """What a net answered to ``n`` images: the logits and the true labels, in the same order."""

    logits: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]

    @cached_property
    def answers(self) -> Int[np.ndarray, " n"]:
        """The class that the net chose for each image."""
        return self.logits.argmax(axis=1)

    @cached_property
    def confidence(self) -> Float[np.ndarray, " n"]:
        """The probability of each answer, in [0, 1]."""
        return softmax(self.logits, axis=1).max(axis=1)

    @cached_property
    def is_right(self) -> Bool[np.ndarray, " n"]:
        """Whether each answer is the true label."""
        return self.answers == self.labels

    @cached_property
    def loss(self) -> Float[np.ndarray, " n"]:
        """The cross-entropy of each image (nats)."""
        truth = np.arange(len(self.labels)), self.labels
        return -log_softmax(self.logits, axis=1)[truth]

    def at(self, temperature: float) -> "Predictions":
        """The same answers with the logits divided by a temperature: only the confidence of each
        changes."""
        return Predictions(self.logits / temperature, self.labels)

    def confidently_wrong(self, most: int) -> Int[np.ndarray, " k"]:
        """The positions of the ``most`` wrong answers with the highest confidence, highest
        first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:most]

    def caption(self, i: int | np.integer, classes: Sequence[str]) -> str:
        """The answer to image ``i`` with its confidence, and the truth where it is another."""
        answer = f"{classes[self.answers[i]]}\n{self.confidence[i]:.1%}"
        return answer if self.is_right[i] else f"{answer}\nis {classes[self.labels[i]]}"


def confusion(predictions: Predictions) -> Int[np.ndarray, "classes classes"]:
    """Count the images: row ``i``, column ``j`` has those of class ``i`` answered as class
    ``j``."""
    from torch import from_numpy  # slow to import
    from torchmetrics.functional.classification import multiclass_confusion_matrix

    answers, labels = (
        from_numpy(np.asarray(array)) for array in (predictions.answers, predictions.labels)
    )
    num_classes = predictions.logits.shape[1]
    return multiclass_confusion_matrix(answers, labels, num_classes=num_classes).numpy()


def precision(counts: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, " classes"]:
    """The share of the answers with each class that is right; NaN where nothing was answered so.

    counts: as ``confusion`` returns them.
    """
    return _share(np.diag(counts), counts.sum(axis=0))


def recall(counts: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, " classes"]:
    """The share of the images of each class that is answered right; NaN where there is no image.

    counts: as ``confusion`` returns them.
    """
    return _share(np.diag(counts), counts.sum(axis=1))


def balanced_accuracy(counts: Int[np.ndarray, "classes classes"]) -> float:
    """The mean of the classes' recalls, in [0, 1]: accuracy, if each class had as many images as
    the others. Classes without images do not count. counts: as ``confusion`` returns them."""
    return float(np.nanmean(recall(counts)))


def _share(
    part: Int[np.ndarray, " classes"], whole: Int[np.ndarray, " classes"]
) -> Float[np.ndarray, " classes"]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
