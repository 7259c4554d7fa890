"""What can be asked of a run: the vocabulary of records, tables, reported figures and claims.

A new metric is a line in ``METRICS`` and a property of ``cifarlab.stats.answers.Predictions`` with
its value for each image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifarlab.base.errors import UserError

if TYPE_CHECKING:
    from cifarlab.stats.intervals import Estimate


@dataclass(frozen=True)
class Quantity:
    """A number that can be asked of a run.

    unit: ``%`` (stored as a fraction, shown in per cent, differences in points), ``nats``,
        ``epochs``, ``images/s``, or empty.
    label: its name in tables and on axes.
    digits: how many digits after the point are shown.
    is_exact: whether it is the same for every seed, and one run says all.
    """

    name: str
    unit: str
    label: str
    digits: int = 2
    is_exact: bool = False

    def from_text(self, number: float) -> float:
        """The value of a number in a study's file, where accuracies are in per cent."""
        return number / 100 if self.unit == "%" else float(number)

    def shown(self, value: float, *, sign: bool = False) -> str:
        """The value as text, without its unit: ``81.30`` of 0.813, ``0.865``, ``11``; ``-`` of NaN.

        sign: whether a plus is shown, too, as in differences.
        """
        if math.isnan(value):
            return "-"
        if self.unit == "epochs" and value == int(value) and not sign:
            return f"{value:.0f}"
        number = 100 * value if self.unit == "%" else value
        number = round(number, self.digits) + 0.0  # no -0.00
        text = f"{number:{'+' if sign and number else ''},.{self.digits}f}"
        return text.replace("-", "−")

    def estimated(self, estimate: "Estimate", *, sign: bool = False) -> str:
        """A mean with its interval as text, ``81.30 ± 0.40``; without interval the mean alone.

        sign: whether a plus is shown, too, as in differences.
        """
        mean = self.shown(estimate.value, sign=sign)
        has_interval = estimate.has_interval and not self.is_exact
        return f"{mean} ± {self.shown(estimate.half)}" if has_interval else mean

    def short(self, value: float) -> str:
        """The value as text for narrow columns: ``81.30%``, ``0.8652``."""
        return self.shown(value) + ("%" if self.unit == "%" and not math.isnan(value) else "")

    @property
    def suffix(self) -> str:
        """The unit as text after a value: points where that is a difference of accuracies."""
        return self.suffix_of_difference if self.name in _DIFFERENCES else self._after(self.unit)

    @property
    def suffix_of_difference(self) -> str:
        """The unit as text after a difference of two values."""
        return self._after("points" if self.unit == "%" else self.unit)

    @staticmethod
    def _after(unit: str) -> str:
        return f" {unit}" if unit else ""


@dataclass(frozen=True)
class Metric(Quantity):
    """A quantity that is a mean over the images of a split.

    scores: the name of the property of ``Predictions`` that has the value for each image.
    """

    scores: str = ""


SPLITS = {"train": "training", "val": "validation", "test": "test"}
METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("acc", "%", "accuracy", scores="is_right"),
        Metric("loss", "nats", "loss", digits=4, scores="loss"),
    )
}


BALANCED = "balanced_acc"  # of runs with uneven classes alone: the mean of the classes' recalls
BALANCED_LABEL = "balanced accuracy"
UNEVEN = 1.5  # times the images of the smallest class in the largest one, from where on it is said


def unevenness(counts: Sequence[int]) -> float:
    """The images of the largest class over those of the smallest one, which counts as one at
    least. counts: of each class."""
    return float(max(counts) / max(min(counts), 1))


def extremes(counts: Sequence[int], classes: Sequence[str]) -> str:
    """In words, which class has the fewest and which the most training images. counts: of each
    class."""
    places = range(len(counts))
    few, many = min(places, key=counts.__getitem__), max(places, key=counts.__getitem__)
    return (
        f"uneven: {counts[few]:,} ({classes[few]}) to {counts[many]:,} ({classes[many]}) "
        "training images a class"
    )


def _of_splits(metric: Metric, digits: int) -> list[Quantity]:
    return [
        Quantity(f"{split}_{metric.name}", metric.unit, f"{words} {metric.label}", digits=digits)
        for split, words in SPLITS.items()
    ]


QUANTITIES: dict[str, Quantity] = {
    q.name: q
    for q in (
        # Of the record: the weights of the best epoch, see monitor
        # (means over seeds, hence fewer digits)
        *(q for metric in METRICS.values() for q in _of_splits(metric, min(metric.digits, 3))),
        Quantity("gap", "%", "gap: training minus test accuracy"),
        Quantity("val_gap", "%", "gap: training minus validation accuracy"),
        Quantity("val_minus_test", "%", "validation minus test accuracy"),
        Quantity("best_epoch", "epochs", "best epoch", digits=1),
        Quantity("epochs_run", "epochs", "epochs trained", digits=1),
        Quantity("images_per_s", "images/s", "training speed", digits=0),
        Quantity("params", "", "parameters", digits=0, is_exact=True),
        # On corrupted test images, of a run that scripts/robustness.py has measured
        Quantity("corrupt_acc", "%", "accuracy on corrupted images"),
        Quantity("mce", "%", "mean corruption error, unnormalised"),
        # Of the epochs. val_loss_rise: of the last above the lowest; val_acc_swing: mean of the
        # absolute changes over the second half of the run
        Quantity("peak_val_acc", "%", "highest validation accuracy"),
        Quantity("peak_val_loss", "nats", "validation loss at the highest accuracy", digits=3),
        Quantity("peak_epoch", "epochs", "epoch of highest validation accuracy", digits=1),
        Quantity("peak_val_minus_test", "%", "highest validation minus test accuracy"),
        Quantity("epochs_after_peak", "epochs", "epochs after the highest validation accuracy"),
        Quantity("first_val_acc", "%", "validation accuracy after the first epoch"),
        Quantity("last_val_acc", "%", "validation accuracy after the last epoch"),
        Quantity("last_train_acc", "%", "training accuracy in the last epoch"),
        Quantity("val_loss_rise", "nats", "rise of validation loss from its lowest", digits=3),
        Quantity("val_acc_swing", "%", "change of validation accuracy an epoch"),
    )
}  # fmt: skip
_DIFFERENCES = {"gap", "val_gap", "val_minus_test", "peak_val_minus_test", "val_acc_swing"}
_EPOCHS_TO = "epochs_to_"


def quantity(name: str) -> Quantity:
    """The quantity with that name.

    ``epochs_to_60`` is the first epoch with a validation accuracy of 60 % or more. Raises
    ``UserError`` for an unknown name.
    """
    if name in QUANTITIES:
        return QUANTITIES[name]
    level = threshold(name)
    if level is None:
        raise UserError(
            f"{name}: no such quantity; {', '.join(QUANTITIES)} or {_EPOCHS_TO}<per cent>"
        )
    label = f"epochs until {100 * level:g} % validation accuracy"
    return Quantity(name, "epochs", label, digits=1)


def threshold(name: str) -> float | None:
    """The accuracy that ``epochs_to_60`` asks for, 0.6; ``None`` for all other quantities."""
    text = name.removeprefix(_EPOCHS_TO)
    if text == name:
        return None
    try:
        return float(text) / 100
    except ValueError:
        return None
