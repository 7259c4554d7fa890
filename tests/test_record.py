import dataclasses
import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from cifarlab.base.errors import UserError
from cifarlab.store.files import SUMS, SUMS_LOCK, write_atomic
from cifarlab.store.record import RunRecord, best_row, config_hash, is_finished, now
from cifarlab.store.run import Run

RECORD = RunRecord(
    name="baseline",
    status="early_stopped",
    model="baseline",
    num_params=390_410,
    macs=28_803_712,
    seed=0,
    data={"name": "x", "num_train": 9, "num_val": 1, "num_test": 2, "split_hash": "00"},
    epochs_run=7,
    best_epoch=3,
    metrics={name: {"loss": 1.0, "acc": 0.5} for name in ("train", "val", "test")},
    test_reads=1,
    time={"fit_s": 1.0, "total_s": 2.0, "images_per_s": 3.0},
    hardware={},
    versions={},
    git={"sha": None, "dirty": None},
    overrides=["seed=0"],
    config_hash="0" * 16,
)


def test_there_and_back(tmp_path) -> None:
    assert not is_finished(tmp_path)
    RECORD.save(tmp_path)
    assert is_finished(tmp_path)
    assert RunRecord.load(tmp_path) == RECORD
    assert sorted(path.name for path in tmp_path.iterdir()) == [SUMS_LOCK, SUMS, "result.json"]


def test_the_schema_is_the_contract(tmp_path) -> None:
    """The names in design order; other programs read them."""
    RECORD.save(tmp_path)
    fields = json.loads((tmp_path / "result.json").read_text())
    assert list(fields) == [
        "schema", "name", "status", "model", "num_params", "macs", "seed", "data", "epochs_run",
        "best_epoch", "metrics", "test_reads", "time", "hardware", "versions", "git", "overrides",
        "config_hash", "tta", "target", "code", "energy", "teacher", "members",
        "finished",
    ]  # fmt: skip
    assert fields["schema"] == 1


def test_a_copy_is_as_old_as_its_run(tmp_path: Path) -> None:
    dataclasses.replace(RECORD, finished="2026-11-28T15:14:07+00:00").save(tmp_path)
    os.utime(tmp_path / "result.json", (1, 1))
    assert Run.read(tmp_path).written == 1795878847
    with pytest.raises(UserError, match="not a run record"):
        dataclasses.replace(RECORD, finished="yesterday").save(tmp_path)
    assert abs(datetime.fromisoformat(now()).timestamp() - time.time()) < 60


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a run record"),
        ("[]", "not a run record"),
        ('{"schema": 1}', "not a run record"),
        ('{"schema": 2}', "schema 2, this version reads 1"),
    ],
)
def test_no_record(tmp_path, text: str, message: str) -> None:
    with pytest.raises(UserError, match="no finished run here"):
        RunRecord.load(tmp_path)
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(UserError, match=message):
        RunRecord.load(tmp_path)


def test_writing_is_all_or_nothing(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def dies(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_hash_ignores_order_and_neutral_keys() -> None:
    config = {"a": 1, "data": {"root": "x", "cache_dir": "y"}, "name": "n"}
    other = {"name": "m", "data": {"cache_dir": "z", "root": "x"}, "a": 1}
    assert config_hash(config) == config_hash(other)
    assert config_hash(config) != config_hash(config | {"a": 2})
    assert len(config_hash(config)) == 16


def test_the_record_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECORD.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("monitor, best", [("val/loss", 2), ("val/acc", 1)])
def test_the_first_of_equal_epochs_is_the_best(monitor, best: int) -> None:
    rows = [
        {"epoch": 1, "val_loss": 1.5, "val_acc": 0.6},
        {"epoch": 2, "val_loss": 1.0, "val_acc": 0.5},
        {"epoch": 3, "val_loss": 1.0, "val_acc": 0.6},
    ]
    assert best_row(rows, monitor) is rows[best - 1]
    assert best_row([], monitor) is None
