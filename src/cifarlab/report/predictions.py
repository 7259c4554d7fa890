"""What a run's nets said of each image: ``predictions.npz``."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import log_softmax

from cifarlab.errors import UserError

PREDICTIONS = "predictions.npz"


@dataclass(frozen=True)
class Predictions:
    """Of one set of images: ``labels``, and by image whether the class of the largest logit is
    ``right`` and the cross-entropy ``loss`` (nats)."""

    labels: Int[np.ndarray, " images"]
    right: Bool[np.ndarray, " images"]
    loss: Float[np.ndarray, " images"]


def read(folder: Path, split: str) -> Predictions | None:
    """Of ``val`` or ``test``; ``None`` if the run has no file. ``UserError`` if it is damaged."""
    arrays = _read(folder, f"{split}_logits", f"{split}_labels")
    if arrays is None:
        return None
    logits, labels = arrays[0].astype(np.float64), arrays[1]
    loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return Predictions(labels, logits.argmax(axis=1) == labels, loss)


def validation_indices(folder: Path) -> Int[np.ndarray, " images"] | None:
    """Which training images validated; ``None`` if the run has no file."""
    arrays = _read(folder, "val_indices")
    return arrays and arrays[0]


def class_names(folder: Path) -> list[str] | None:
    """``None`` if the run has no file, or one without names."""
    arrays = _read(folder, "classes")
    return arrays and arrays[0].tolist()


def _read(folder: Path, *names: str) -> list[np.ndarray] | None:
    path = folder / PREDICTIONS
    try:
        with np.load(path) as file:
            return [file[name] for name in names] if set(names) <= set(file.files) else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
