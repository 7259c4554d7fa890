"""What corruptions of the test images do to a run's net: ``robustness.json`` (standard library
only)."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

from cifarlab.base.errors import UserError
from cifarlab.store.files import read_checked, write_atomic
from cifarlab.store.record import ROBUSTNESS

SCHEMA = 1  # of the file, and of the pixels that the corruptions make


@dataclass(frozen=True)
class Robustness:
    """Accuracies (fractions) of a net on corrupted test images.

    acc: by corruption, one for each severity, in order.
    severities: which these are, of 1 to 5.
    clean: on the same images as they are.
    images: how many these are.
    seed: of what is drawn in the corruptions.
    """

    acc: dict[str, list[float]]
    severities: list[int]
    clean: float
    images: int
    seed: int
    schema: int = SCHEMA

    @property
    def corrupt_acc(self) -> float:
        """The mean over the corruptions of the mean over the severities."""
        return math.fsum(map(self.mean, self.acc)) / len(self.acc)

    @property
    def mce(self) -> float:
        """The mean corruption error: that of 1 - accuracy, not divided by another net's."""
        return 1 - self.corrupt_acc

    def mean(self, corruption: str) -> float:
        """The mean accuracy over the severities."""
        return math.fsum(self.acc[corruption]) / len(self.severities)

    def save(self, folder: Path) -> None:
        """Write ``folder/robustness.json`` in one step."""
        text = json.dumps(dataclasses.asdict(self), indent=1) + "\n"
        write_atomic(folder / ROBUSTNESS, text, summed=True)


def load(folder: Path) -> Robustness | None:
    """Read ``folder/robustness.json``; ``None`` if there is none, or one of another schema.

    Raises ``UserError`` if it is damaged.
    """
    path = folder / ROBUSTNESS
    try:
        fields = json.loads(read_checked(path))
        if fields["schema"] != SCHEMA:
            return None
        found = Robustness(**fields)
        shares = [found.clean, *(share for accs in found.acc.values() for share in accs)]
        if not found.acc or not all(0 <= share <= 1 for share in shares):
            raise ValueError("no accuracies")
        if any(len(accs) != len(found.severities) for accs in found.acc.values()):
            raise ValueError("not one accuracy for each severity")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: damaged ({error}); delete it and measure again: scripts/robustness.py"
        ) from error
    return found
