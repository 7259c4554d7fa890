"""What a net answered to a set of images, and what follows from it by counting.

Answers are kept as logits in ``predictions.npz`` of a run folder. An answer is the class of the
largest logit, its confidence the probability that softmax gives it.
"""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax

from cifarlab.errors import UserError

FILE = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """Logits and true labels of the same images, in the same order."""

    logits: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]

    @cached_property
    def answers(self) -> Int[np.ndarray, " n"]:
        return self.logits.argmax(axis=1)

    @cached_property
    def confidence(self) -> Float[np.ndarray, " n"]:
        """Probability of the answer."""
        return softmax(self.logits).max(axis=1)

    @cached_property
    def is_right(self) -> Bool[np.ndarray, " n"]:
        return self.answers == self.labels

    @cached_property
    def loss(self) -> Float[np.ndarray, " n"]:
        """Cross-entropy of each image (nats)."""
        truth = np.arange(len(self.labels)), self.labels
        return -log_softmax(self.logits, axis=1)[truth]

    def confidently_wrong(self, most: int) -> Int[np.ndarray, " k"]:
        """Positions of the wrong answers of highest confidence, at most ``most``, highest first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:most]

    def caption(self, i: int | np.integer, classes: Sequence[str]) -> str:
        """The answer to image ``i`` with its confidence, and the truth where it is another."""
        answer = f"{classes[self.answers[i]]}\n{self.confidence[i]:.1%}"
        return answer if self.is_right[i] else f"{answer}\nis {classes[self.labels[i]]}"


@dataclass(frozen=True)
class RunPredictions:
    """A ``predictions.npz``.

    val_indices: which of the source's training images ``val`` are. classes: names, numbers where
        the file has none.
    """

    val: Predictions
    test: Predictions
    val_indices: Int[np.ndarray, " val"]
    classes: tuple[str, ...]


def load(folder: Path) -> RunPredictions:
    """Read the predictions of a run. Raises ``UserError`` if they are missing or damaged."""
    path = folder / FILE
    try:
        with np.load(path, allow_pickle=False) as arrays:
            val, test = (
                Predictions(arrays[f"{s}_logits"].astype(np.float64), arrays[f"{s}_labels"])
                for s in ("val", "test")
            )
            names = arrays.get("classes", np.arange(val.logits.shape[1]))
            return RunPredictions(val, test, arrays["val_indices"], tuple(map(str, names)))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a finished run has it") from None
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, OSError) as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error


def find(folder: Path) -> RunPredictions | None:
    """``None`` if a run has none. Raises ``UserError`` if they are damaged."""
    return load(folder) if (folder / FILE).exists() else None


def softmax(
    logits: Float[np.ndarray, "n classes"], temperature: float = 1.0
) -> Float[np.ndarray, "n classes"]:
    """Probabilities; a temperature above 1 makes them less sure."""
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)


def confusion(predictions: Predictions) -> Int[np.ndarray, "classes classes"]:
    """How many images of class ``row`` were answered with class ``column``."""
    classes = predictions.logits.shape[1]
    pairs = predictions.labels * classes + predictions.answers
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def precision(counts: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, " classes"]:
    """Of the answers with each class, the share that is right; NaN where there is none."""
    return _share(np.diag(counts), counts.sum(axis=0))


def recall(counts: Int[np.ndarray, "classes classes"]) -> Float[np.ndarray, " classes"]:
    """Of the images of each class, the share that was found; NaN where there is none."""
    return _share(np.diag(counts), counts.sum(axis=1))


def _share(
    part: Int[np.ndarray, " classes"], whole: Int[np.ndarray, " classes"]
) -> Float[np.ndarray, " classes"]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
