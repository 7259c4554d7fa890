"""What a run's net answered to validation and test images: ``predictions.npz``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cifarlab.base.arrays import DAMAGE, read_arrays
from cifarlab.base.errors import UserError
from cifarlab.stats.answers import Predictions
from cifarlab.store.files import open_checked, written_whole
from cifarlab.store.record import PREDICTIONS


@dataclass(frozen=True)
class RunPredictions:
    """What ``predictions.npz`` holds: logits and labels of the validation and the test images.

    train_indices, val_indices: the positions of the images that were trained on, and of the
        validation images, among the training images of the source.
    classes: their names; numbers if the file has no names.
    train_counts: how many images of each class have trained; ``None`` in folders of earlier
        versions.
    """

    val: Predictions
    test: Predictions
    train_indices: Int[np.ndarray, " train"]
    val_indices: Int[np.ndarray, " val"]
    classes: tuple[str, ...]
    train_counts: Int[np.ndarray, " classes"] | None = None

    def same_test(self, other: "RunPredictions") -> bool:
        """Whether both are of the same test images, as far as labels and classes tell."""
        named = [found.classes for found in (self, other) if found.has_names]
        return len(set(named)) < 2 and np.array_equal(self.test.labels, other.test.labels)

    @property
    def has_names(self) -> bool:
        """Whether the classes are more than their numbers."""
        return self.classes != tuple(map(str, range(len(self.classes))))


def save(folder: Path, answers: RunPredictions) -> None:
    """Write the predictions of a run, the logits in float16."""
    counts = answers.train_counts
    more: dict[str, Any] = {} if counts is None else {"train_counts": counts}
    with written_whole(folder / PREDICTIONS, summed=True) as file:
        np.savez_compressed(
            file,
            val_logits=half(answers.val.logits),
            val_labels=answers.val.labels,
            test_logits=half(answers.test.logits),
            test_labels=answers.test.labels,
            train_indices=answers.train_indices,
            val_indices=answers.val_indices,
            classes=np.array(answers.classes),
            **more,
        )


def half(logits: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    """Logits in float16; the few that are too large become its largest number."""
    limit = np.finfo(np.float16).max
    return logits.clip(-limit, limit).astype(np.float16)


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
        train = arrays.get("train_indices", np.zeros(0, np.int64))
        counts = arrays.get("train_counts")
        return RunPredictions(
            val, test, train, arrays["val_indices"], tuple(map(str, names)), counts
        )
    except FileNotFoundError:
        raise UserError(f"{path}: missing; a finished run has it") from None
    except (UserError, PermissionError):
        raise
    except DAMAGE as error:
        raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error
