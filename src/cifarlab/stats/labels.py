"""Which labels may be wrong: confident learning (Northcutt, Jiang and Chuang, arXiv:1911.00068)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Suspects:
    """Labels that probabilities contradict.

    thresholds: of each class, the mean probability that its own images are given; NaN for a class
        without images.
    joint: how many images of label ``i`` are confidently of class ``j``.
    which: the positions of the suspects, those outside the diagonal, the surest first.
    given, found: the label and the class of each.
    margin: how much likelier than the label its class is, in [-1, 1].
    images: how many there are of each label.
    """

    thresholds: Float[np.ndarray, " classes"]
    joint: Int[np.ndarray, "classes classes"]
    which: Int[np.ndarray, " suspects"]
    given: Int[np.ndarray, " suspects"]
    found: Int[np.ndarray, " suspects"]
    margin: Float[np.ndarray, " suspects"]
    images: Int[np.ndarray, " classes"]

    @property
    def noise(self) -> float:
        """The estimated share of wrong labels: of the joint counts, each row scaled to the images
        of its label, the part outside the diagonal."""
        confident = self.joint.sum(axis=1)
        wrong = confident - np.diag(self.joint)
        share = np.divide(wrong, confident, out=np.zeros(len(wrong)), where=confident > 0)
        return float(share @ self.images / self.images.sum())


def find_suspects(
    probabilities: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"]
) -> Suspects:
    """The labels that confident learning contradicts.

    An image is confidently of a class if its probability of it is not below the class's threshold,
    of several such classes of the likeliest.

    probabilities: of nets that were not trained on the image; else they have learnt its label.
    """
    classes = probabilities.shape[1]
    images = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(len(labels)), labels]
    with np.errstate(invalid="ignore"):
        thresholds = np.bincount(labels, own, minlength=classes) / images
    above = probabilities >= thresholds - 1e-12  # false for the NaN of a class without images
    found = np.where(above, probabilities, -1.0).argmax(axis=1)
    confident = above.any(axis=1)
    joint = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(joint, (labels[confident], found[confident]), 1)
    which = np.flatnonzero(confident & (found != labels))
    margin = probabilities[which, found[which]] - own[which]
    order = np.argsort(-margin, kind="stable")
    which = which[order]
    return Suspects(thresholds, joint, which, labels[which], found[which], margin[order], images)
