"""What a run's net answered to validation and test images: ``predictions.npz``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from cifarlab.base.arrays import DAMAGE, read_arrays
from cifarlab.base.errors import UserError
from cifarlab.stats.answers import Predictions
from cifarlab.store.files import open_checked
from cifarlab.store.record import PREDICTIONS


@dataclass(frozen=True)
class RunPredictions:
    """What ``predictions.npz`` holds: logits and labels of the validation and the test images.

    val_indices: the positions of the validation images among the training images of the source.
    classes: their names; numbers if the file has no names.
    train_counts: how many images of each class have trained; ``None`` in folders of earlier
        versions.
    """

    val: Predictions
    test: Predictions
    val_indices: Int[np.ndarray, " val"]
    classes: tuple[str, ...]
    train_counts: Int[np.ndarray, " classes"] | None = None


def load(folder: Path) -> RunPredictions:
    """Read the predictions of a run. Raises ``UserError`` if they are missing or damaged."""
    path = folder / PREDICTIONS
    try:
        arrays = read_arrays(path, open_checked)
        val, test = (
            Predictions(arrays[f"{s}_logits"].astype(np.float64), arrays[f"{s}_labels"])
            for s in ("val", "test")
        )
        names = arrays.get("classes", np.arange(val.logits.shape[1]))
        return RunPredictions(
            val, test, arrays["val_indices"], tuple(map(str, names)), arrays.get("train_counts")
        )
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a finished run has it") from None
    except (UserError, PermissionError):
        raise
    except DAMAGE as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error
