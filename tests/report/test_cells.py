"""What became of the cells of a sweep, told from their folders."""

import json

import pytest
import yaml

from cifarlab.base.errors import UserError
from cifarlab.store.lock import RunLock
from cifarlab.store.run import Run
from cifarlab.store.sweep import Sweep, is_sweep
from tests.report.folders import failed, finished, plan
from tests.test_record import RECORD


def test_every_state(tmp_path) -> None:
    names = ["b", "a", "out", "user", "run", "cut", "retried", "later"]
    plan(tmp_path, {name: [f"dropout=0.{i}"] for i, name in enumerate(names)})
    finished(tmp_path / "a", ["dropout=0.1"], 0.5, status="completed")
    finished(tmp_path / "b", ["dropout=0.0"], 0.5, status="early_stopped")
    failed(tmp_path / "out", "OutOfMemoryError", "no memory\nsecond line")
    failed(tmp_path / "user", "UserError", "data.root=x: not there")
    for name in ("run", "cut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("cut: [sh")
    failed(tmp_path / "retried", "X", "")
    with RunLock(tmp_path / "run"), RunLock(tmp_path / "retried"):
        cells = Sweep.read(tmp_path).runs
    assert [cell.name for cell in cells] == names, "in the order of the plan"
    assert [(cell.status, cell.reason) for cell in cells] == [
        ("early_stopped", ""),
        ("completed", ""),
        ("failed", "OutOfMemoryError: no memory"),
        ("failed", "data.root=x: not there"),
        ("running", ""),
        ("interrupted", ""),
        ("running", ""),
        ("missing", ""),
    ]
    assert [cell.value("dropout") for cell in cells] == [f"0.{i}" for i in range(8)]
    after = {cell.name: cell for cell in Sweep.read(tmp_path).runs}
    assert after["run"].status == "interrupted"
    assert (after["retried"].status, after["retried"].reason) == ("failed", "X")
    assert not (tmp_path / "later").exists(), "reading makes no folders"


def test_without_a_plan_the_cells_are_the_folders(tmp_path) -> None:
    finished(tmp_path / "b", ["seed=1"], 0.5)
    finished(tmp_path / "a", ["seed=0"], 0.5)
    (tmp_path / "figures").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "config.yaml").write_text("overrides: [seed=2, hydra.verbose=true]")
    cells = Sweep.read(tmp_path).runs
    assert [(c.name, c.status) for c in cells] == [
        ("a", "early_stopped"), ("b", "early_stopped"), ("c", "interrupted"),
    ]  # fmt: skip
    assert cells[2].typed == {"seed": "2"}
    assert all(cell.planned for cell in cells)


def test_cells_beside_the_plan_are_marked(tmp_path) -> None:
    plan(tmp_path, {"new": ["seed=0"]})
    finished(tmp_path / "old", ["seed=0"], 0.5)
    assert [(c.name, c.planned) for c in Sweep.read(tmp_path).runs] == [
        ("new", True),
        ("old", False),
    ]


def test_what_cannot_be_read_is_a_row_too(tmp_path) -> None:
    for name, text in (("a", '{"schema": 9}'), ("b", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    failed(tmp_path / "c", "X", "y")
    (tmp_path / "c" / "failure.json").write_text("[]")
    a, b, c = Sweep.read(tmp_path).runs
    assert (a.status, b.status, c.status) == ("damaged", "damaged", "failed")
    assert "schema 9" in a.reason and "not a run record" in b.reason
    assert c.reason == "failure.json cannot be read"
    (tmp_path / "cells.json").write_text("{")
    with pytest.raises(UserError, match=r"cells.json: not a plan of cells"):
        Sweep.read(tmp_path)


def test_a_sweep_has_a_plan_or_cells(tmp_path) -> None:
    assert not is_sweep(tmp_path) and not is_sweep(tmp_path / "nowhere")
    (tmp_path / "cell").mkdir()
    assert not is_sweep(tmp_path)
    (tmp_path / "cell" / "config.yaml").write_text("{}")
    assert is_sweep(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cells.json").write_text(json.dumps({"x": []}))
    assert is_sweep(tmp_path / "other")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dropout", "0.1"),  # as the configuration has it: typed was 0.10
        ("optimizer", "adam"),  # a group: as typed
        ("aug", "[crop,hflip]"),
        ("model", "mlp"),  # not typed: the option chosen
        ("batch_size", "64"),  # not typed: the value
        ("decay_all", "true"),
        ("weights", "null"),
        ("model.hidden", "[200,100]"),
        ("model.depth", "-"),
        ("tta", "-"),
    ],
)
def test_values(key: str, value: str, tmp_path) -> None:
    config = {
        "dropout": 0.1, "optimizer": {"lr": 1}, "aug": {"crop": {}, "hflip": {}}, "batch_size": 64,
        "decay_all": True, "weights": None, "model": {"hidden": [200, 100]},
        "choices": {"model": "mlp", "optimizer": "adam", "aug": None},
    }  # fmt: skip
    typed = {"dropout": "0.10", "optimizer": "adam", "aug": "[crop,hflip]"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = Run(folder=tmp_path, status="completed", typed=typed, record=RECORD)
    assert run.value(key) == value


def test_values_before_there_is_a_configuration(tmp_path) -> None:
    plan(tmp_path, {"x": ["optimizer.lr=1e-3", "seed=01", "+name='a b'", "~aug.hflip"]})
    (cell,) = Sweep.read(tmp_path).runs
    assert cell.typed == {"optimizer.lr": "0.001", "seed": "1", "name": "a b", "aug.hflip": "~"}
