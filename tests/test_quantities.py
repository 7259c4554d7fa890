"""What is asked of a run: its units, and how its values are written."""

import math

import pytest

from cifarlab.base.errors import UserError
from cifarlab.stats.intervals import Estimate
from cifarlab.stats.quantities import METRICS, QUANTITIES, Metric, Quantity, quantity, threshold

# A value of each, as tables write it, and whether a shortened run has it
WRITTEN = {
    "train_acc": (0.81296, "81.30 %"),
    "val_acc": (0.81296, "81.30 %"),
    "test_acc": (0.81296, "81.30 %"),
    "train_loss": (0.86525, "0.865 nats"),
    "val_loss": (0.86525, "0.865 nats"),
    "test_loss": (0.86525, "0.865 nats"),
    "gap": (0.0512, "5.12 points"),
    "val_gap": (0.0512, "5.12 points"),
    "val_minus_test": (-0.0012, "−0.12 points"),
    "best_epoch": (11.25, "11.2 epochs"),
    "epochs_run": (11.25, "11.2 epochs"),
    "images_per_s": (2345.6, "2,346 images/s"),
    "params": (616610.0, "616,610"),
    "corrupt_acc": (0.5523, "55.23 %"),
    "mce": (0.4477, "44.77 %"),
    "peak_val_acc": (0.81296, "81.30 %"),
    "peak_val_loss": (0.86525, "0.865 nats"),
    "peak_epoch": (11.25, "11.2 epochs"),
    "peak_val_minus_test": (0.0289, "2.89 points"),
    "epochs_after_peak": (55.0, "55 epochs"),
    "first_val_acc": (0.81296, "81.30 %"),
    "last_val_acc": (0.81296, "81.30 %"),
    "last_train_acc": (0.90, "90.00 %"),
    "val_loss_rise": (0.86525, "0.865 nats"),
    "val_acc_swing": (0.00333, "0.33 points"),
    "epochs_to_62.5": (11.25, "11.2 epochs"),
}


def test_every_quantity_is_written_in_its_unit() -> None:
    assert set(WRITTEN) == {*QUANTITIES, "epochs_to_62.5"}
    for name, (value, text) in WRITTEN.items():
        q = quantity(name)
        assert (q.name, q.shown(value) + q.suffix) == (name, text)


def test_metrics_of_one_run_have_more_digits() -> None:
    assert METRICS["loss"].short(0.86526) == "0.8653" and METRICS["acc"].short(0.81296) == "81.30%"
    assert METRICS["acc"].short(math.nan) == "-"
    assert {name: (m.name, m.scores) for name, m in METRICS.items()} == {
        "acc": ("acc", "is_right"),
        "loss": ("loss", "loss"),
    }


def test_labels_say_which_split_and_metric() -> None:
    assert quantity("train_acc").label == "training accuracy"
    assert quantity("val_loss").label == "validation loss"
    assert quantity("test_acc").label == "test accuracy"
    assert len({q.label for q in QUANTITIES.values()}) == len(QUANTITIES)


def test_signs() -> None:
    acc, epochs = quantity("val_acc"), quantity("best_epoch")
    assert [acc.shown(v, sign=True) for v in (0.02, -0.02, 0.0)] == ["+2.00", "−2.00", "0.00"]
    assert acc.shown(-0.02) == "−2.00" and acc.shown(0.02) == "2.00"
    assert acc.shown(math.nan, sign=True) == "-"
    assert epochs.shown(11.0) == "11" and epochs.shown(11.0, sign=True) == "+11.0"
    assert quantity("images_per_s").shown(-0.2) == "0", "no −0"


def test_estimates() -> None:
    acc = quantity("val_acc")
    assert acc.estimated(Estimate(0.813, 0.809, 0.817)) == "81.30 ± 0.40"
    assert acc.estimated(Estimate(0.013, 0.009, 0.017), sign=True) == "+1.30 ± 0.40"
    assert acc.estimated(Estimate(0.013)) == "1.30"


def test_numbers_of_a_file_are_in_per_cent() -> None:
    assert quantity("val_acc").from_text(81.5) == pytest.approx(0.815)
    loss = quantity("val_loss").from_text(2)
    assert loss == 2 and isinstance(loss, float)


def test_plain_numbers() -> None:
    plain = Quantity("n", "", "number")
    assert (plain.shown(1.005), plain.suffix) == ("1.00", "")
    assert Metric("n", "", "number").scores == ""
    assert plain.short(3.0) == "3.00"


def test_thresholds() -> None:
    assert threshold("epochs_to_60") == 0.6 and threshold("epochs_to_62.5") == 0.625
    assert threshold("60") is None and threshold("epochs_to_most") is None
    with pytest.raises(UserError) as error:
        quantity("acc")
    assert str(error.value) == (
        f"acc: no such quantity; {', '.join(QUANTITIES)} or epochs_to_<per cent>"
    )
