"""What a net thought of each training image after each epoch: ``data_map.npz``."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from cifarlab.base.arrays import DAMAGE, read_arrays
from cifarlab.base.errors import UserError
from cifarlab.store.files import open_checked, written_whole

DATA_MAP = "data_map.npz"


@dataclass(frozen=True)
class DataMap:
    """One row an epoch, one column a training image.

    indices: the positions of the images among the training images of the source.
    probability: of the image's label; in float16 in the file.
    right: whether the label was the likeliest class.
    """

    indices: Int[np.ndarray, " n"]
    probability: Float[np.ndarray, "epochs n"]
    right: Bool[np.ndarray, "epochs n"]

    @classmethod
    def empty(cls, indices: Int[np.ndarray, " n"]) -> "DataMap":
        none = np.zeros((0, len(indices)))
        return cls(indices, none.astype(np.float16), none.astype(bool))

    @classmethod
    def read(cls, path: Path) -> "DataMap":
        """Raises ``UserError`` if the file is missing or damaged."""
        try:
            arrays = read_arrays(path, open_checked)
            found = cls(arrays["indices"], arrays["probability"], arrays["right"])
            if not found.probability.shape == found.right.shape == (
                len(found.right), len(found.indices),
            ):  # fmt: skip
                raise ValueError("shapes that do not belong together")
            return found
        except FileNotFoundError:
            raise UserError(
                f"{path}: missing; a run has it that was trained with callbacks=[default,data_map]"
            ) from None
        except (UserError, PermissionError):
            raise
        except DAMAGE as error:
            raise UserError(f"{path}: damaged ({type(error).__name__}: {error})") from error

    def save(self, path: Path) -> None:
        with written_whole(path, summed=True) as file:
            np.savez_compressed(
                file, indices=self.indices, probability=self.probability, right=self.right
            )

    def until(self, epochs: int) -> "DataMap":
        """Without what came after so many epochs."""
        return DataMap(self.indices, self.probability[:epochs], self.right[:epochs])

    def with_epoch(
        self, probability: Float[np.ndarray, " n"], right: Bool[np.ndarray, " n"]
    ) -> "DataMap":
        """With one epoch more."""
        return DataMap(
            self.indices,
            np.vstack([self.probability, probability.astype(np.float16)[None]]),
            np.vstack([self.right, right[None]]),
        )

    @property
    def confidence(self) -> Float[np.ndarray, " n"]:
        """The mean over the epochs of the probability of the label."""
        return self.probability.astype(np.float64).mean(axis=0)

    @property
    def variability(self) -> Float[np.ndarray, " n"]:
        """Its standard deviation over the epochs."""
        return self.probability.astype(np.float64).std(axis=0)

    @property
    def correctness(self) -> Float[np.ndarray, " n"]:
        """The share of the epochs after which the answer was right."""
        return self.right.mean(axis=0)
