"""Each loss by hand, weights of classes, and what a run with another loss monitors and reports."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.lit.losses import CrossEntropy, Focal, SquaredError
from cifarlab.store.record import RunRecord, config_hash
from cifarlab.store.run import Run
from tests.conftest import plain

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, -1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 0.5]])
LABELS = torch.tensor([0, 1, 2, 2])
SHARES = torch.eye(3)[LABELS]


@pytest.mark.parametrize("loss", [CrossEntropy(0.2), Focal(1.5), SquaredError()])
@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5], "balanced"])
def test_shares_of_one_class_are_labels(loss, weights) -> None:
    made = type(loss)(**({"class_weights": weights}))
    made.prepare(torch.tensor([1, 1, 2]))
    torch.testing.assert_close(made(LOGITS, LABELS), made(LOGITS, SHARES))
    halves = (made(LOGITS[:2], LABELS[:2]) + made(LOGITS[2:], LABELS[2:])) / 2
    torch.testing.assert_close(made(LOGITS, LABELS), halves)


def test_focal_by_hand() -> None:
    p = LOGITS.softmax(1)[range(4), LABELS]
    torch.testing.assert_close(Focal(2.0)(LOGITS, LABELS), (-((1 - p) ** 2) * p.log()).mean())
    torch.testing.assert_close(Focal(0)(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS))


def test_focal_where_the_net_is_sure() -> None:
    """A probability of 1, in 32 bits, right or wrong, has a gradient."""
    for gamma in (0.5, 1.0, 2.0):
        logits = torch.tensor([[40.0, 0.0, 0.0], [0.0, 40.0, 0.0]], requires_grad=True)
        Focal(gamma)(logits, torch.tensor([0, 0])).backward()
        assert logits.grad is not None and logits.grad.isfinite().all()
        torch.testing.assert_close(logits.grad[1], torch.tensor([-0.5, 0.5, 0.0]))


def test_squared_error_by_hand() -> None:
    found = SquaredError()(torch.tensor([[0.5, 0.0]]), torch.tensor([0]))
    assert found.item() == pytest.approx((0.25 + 0) / 2)
    brier = SquaredError("probabilities")(torch.tensor([[math.log(3), 0.0]]), torch.tensor([0]))
    assert brier.item() == pytest.approx((0.25**2 + 0.25**2) / 2), "of 0.75 and 0.25"


def test_weights_by_hand() -> None:
    losses = F.cross_entropy(LOGITS, LABELS, reduction="none")
    weighted = CrossEntropy(class_weights=[1, 2, 0])
    weighted.prepare(torch.tensor([5, 5, 5]))
    torch.testing.assert_close(weighted(LOGITS, LABELS), (losses[0] + 2 * losses[1]) / 4)
    balanced = CrossEntropy(class_weights="balanced")
    balanced.prepare(torch.tensor([10, 20, 70]))
    np.testing.assert_allclose(balanced.weight, 100 / (3 * np.array([10, 20, 70])), rtol=1e-6)
    with pytest.raises(UserError, match="3 weights for 2 classes"):
        weighted.prepare(torch.tensor([1, 1]))


def test_the_same_words_mean_the_same_run() -> None:
    """One experiment has one name, however it was typed, and the name that it had before."""
    smoothed = config_hash(check_config(plain("label_smoothing=0.1")))
    assert smoothed == config_hash(check_config(plain("loss=label_smoothing")))
    config = plain()
    del config["loss"], config["metrics"]
    assert config_hash(config) == config_hash(check_config(plain()))
    others = ["loss=focal", "loss=squared_error", "loss.class_weights=balanced"]
    hashes = {config_hash(check_config(plain(other))) for other in others}
    assert len(hashes | {smoothed, config_hash(plain())}) == 5


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("loss=focal label_smoothing=0.1", "label_smoothing=0.1: is of loss=cross_entropy"),
        ("loss.label_smoothing=0.1", "loss.label_smoothing=0.1: follows label_smoothing=0.0"),
        ("loss=focal loss.gamma=-1", "loss.gamma=-1: must be a number in"),
        ("loss.class_weights=some", "loss.class_weights=some: must be a list, each a number"),
    ],
)
def test_refused(typed: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        check_config(plain(*typed.split()))
    assert message in str(raised.value)


def test_trained_by_one_and_reported_by_another(run_here, tmp_path) -> None:
    """``val_loss`` of the epochs is of the loss, that of the record is cross-entropy."""
    folder = run_here(tmp_path / "run", "loss=squared_error", "loss.class_weights=balanced")
    run, record = Run.finished(folder), RunRecord.load(folder)
    best = min(row["val_loss"] for row in run.epochs)
    assert record.best_epoch == 1 + [row["val_loss"] for row in run.epochs].index(best)
    assert best < 0.5, "squared error"
    answers = run.answers.val
    losses = F.cross_entropy(torch.tensor(answers.logits).float(), torch.tensor(answers.labels))
    assert record.metrics["val"]["loss"] == pytest.approx(losses.item(), abs=1e-3)
    assert record.metrics["val"]["loss"] > 1 and math.isfinite(record.metrics["val"]["loss"])
