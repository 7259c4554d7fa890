"""``experiment=speedrun``, ``target=`` and what the recipe is made of."""

from pathlib import Path

import pytest

from cifarlab.run.session import time_to
from cifarlab.store.record import RunRecord, config_hash
from tests.conftest import plain

ROWS = [
    {"epoch": 1, "val_acc": 0.5, "epoch_s": 10.0},
    {"epoch": 2, "val_acc": 0.7, "epoch_s": 11.0},
    {"epoch": 3, "val_acc": 0.6, "epoch_s": 12.0},
]


@pytest.mark.parametrize(
    ("accuracy", "expected"),
    [
        (0.5, {"val_acc": 0.5, "epoch": 1, "fit_s": 10.0}),
        (0.55, {"val_acc": 0.55, "epoch": 2, "fit_s": 21.0}),
        (0.71, {"val_acc": 0.71, "epoch": None, "fit_s": None}),
        (None, None),
    ],
)
def test_time_to_a_target(accuracy: float | None, expected: dict | None) -> None:
    assert time_to(accuracy, ROWS) == expected


def test_a_target_is_in_the_record_and_in_what_is_said(run_here, tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO", "cifarlab"):
        run_here(tmp_path / "run", "model=mlp", "max_epochs=2", "target=0.01")
    target = RunRecord.load(tmp_path / "run").target
    assert target is not None and target["epoch"] == 1 and 0 < target["fit_s"] < 60
    assert "target 1.00% on validation: after epoch 1, " in caplog.text


def test_no_target_is_the_run_of_before() -> None:
    old = plain()
    del old["target"]
    assert config_hash(plain()) == config_hash(old) != config_hash(plain("target=0.9"))


def test_speedrun(run_here, tmp_path: Path) -> None:
    """All parts of the recipe, on drawn images and a narrow net."""
    small = ["model=speednet", "model.widths=[16,32,32]", "batch_size=25", "max_epochs=4"]
    small.append("data.num_train=1000")
    phases = ["callbacks.progressive.sizes=[20,32]", "callbacks.progressive.from_epochs=[1,3]"]
    run_here(tmp_path / "run", "experiment=speedrun", *small, *phases)
    record = RunRecord.load(tmp_path / "run")
    assert record.status == "completed" and record.tta is not None
    assert record.metrics["train"]["acc"] > 0.7, "it learns"
