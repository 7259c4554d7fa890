"""What the dashboard finds, whatever state the folders are in."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifarlab.base.checks import check_own
from cifarlab.base.errors import UserError
from cifarlab.dashboard.page import curves, first_folders, runs_page, runs_table, sweep_text
from cifarlab.dashboard.watching import Watch, names
from cifarlab.store.lock import RunLock
from cifarlab.store.run import Run
from tests.report.folders import failed, finished, plan

HEAD = "epoch,step,lr,train_loss,train_acc,val_loss,val_acc,epoch_s,images_per_s\n"


def epochs(folder: Path, *val_accs: float) -> None:
    """Epochs of 30 s each, with a validation loss of 1 - accuracy."""
    rows = (f"{i},{i},0.1,2,0.1,{1 - a},{a},30,9\n" for i, a in enumerate(val_accs, 1))
    (folder / "metrics.csv").write_text(HEAD + "".join(rows))


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[Path]:
    """A sweep with two finished cells, and a running, a failed, a damaged and a missing one."""
    folder = tmp_path / "outputs" / "sweeps" / "rates"
    rates = {"a": "0.1", "b": "0.2", "run": "0.3", "bad": "0.4", "cut": "0.5", "todo": "0.6"}
    plan(folder, {name: [f"optimizer.lr={rate}", "seed=0"] for name, rate in rates.items()})
    for name, acc in (("a", 0.6), ("b", 0.7)):
        epochs(finished(folder / name, [f"optimizer.lr={rates[name]}", "seed=0"], acc), 0.5, acc)
    failed(folder / "bad", "RuntimeError", "<script>alert(1)</script> is no number")
    for name in ("run", "cut"):
        (folder / name).mkdir()
        (folder / name / "config.yaml").write_text("max_epochs: 5\n")
    epochs(folder / "run", 0.3, 0.4)
    (folder / "cut" / "metrics.csv").write_text(f"{HEAD}1,2,x,,,,,,\n")
    with RunLock(folder / "run"):
        yield folder


def test_each_kind_of_cell_is_a_row(sweep: Path) -> None:
    watch = Watch(sweep.parents[1])
    assert list(watch.folders()) == ["sweeps/rates"]
    seen = watch.runs(["sweeps/rates", "gone"])
    assert [(each.run.name, each.run.status) for each in seen] == [
        ("run", "running"),
        ("b", "early_stopped"),
        ("a", "early_stopped"),
        ("bad", "failed"),
        ("cut", "damaged"),
        ("todo", "missing"),
    ]
    running, best = seen[:2]
    assert (len(running.epochs), running.max_epochs, running.time) == (2, 5, "2 min left")
    assert running.val_acc == 0.4 and best.val_acc == 0.7
    assert names(seen)[:2] == ["optimizer.lr=0.3", "optimizer.lr=0.2"]
    assert watch.standing(["sweeps/rates"]).startswith("sweeps/rates: 2/6 done, 1 failed, best 70")


@pytest.mark.parametrize("monitor, acc", [("val/loss", 0.3), ("val/acc", 0.4), ("what", 0.3)])
def test_a_running_one_shows_the_epoch_that_it_keeps(sweep: Path, monitor: str, acc: float) -> None:
    (sweep / "run" / "config.yaml").write_text(f"max_epochs: 5\nmonitor: {monitor}\n")
    rows = "1,1,0.1,2,0.1,1.0,0.3,30,9\n2,2,0.1,2,0.1,1.2,0.4,30,9\n"
    (sweep / "run" / "metrics.csv").write_text(HEAD + rows)
    running, *_ = Watch(sweep.parents[1]).runs(["sweeps/rates"])
    assert running.val_acc == acc


def test_values_have_the_digits_that_tell_them_apart(tmp_path: Path) -> None:
    rates = {"near": ("0.0818176426332", "0.0818176426339"), "far": ("0.0818176426332", "0.024")}
    for name, values in rates.items():
        cells = {f"c{i}": [f"optimizer.lr={rate}"] for i, rate in enumerate(values)}
        plan(tmp_path / name, cells)
        for cell, typed in cells.items():
            finished(tmp_path / name / cell, typed, 0.5)
        shown = set(names(Watch(tmp_path).runs([name]), values_only=True))
        assert shown == ({"0.08182", "0.024"} if name == "far" else set(values))


def test_the_table_shows_names_as_they_are(sweep: Path) -> None:
    seen = Watch(sweep.parents[1]).runs(["sweeps/rates"])
    shown = runs_table(seen, [seen[1].key], sweep)
    assert "<script>" not in shown and "&lt;script&gt;alert(1)" in shown
    assert shown.count("checked") == 1 and shown.count("disabled") == 3, "nothing to draw of three"
    assert "2/5" in shown and "70.00%" in shown and "69.00%" in shown
    assert "python train.py" in runs_table([], [], sweep)


def test_curves_are_those_of_the_ticked_runs(sweep: Path) -> None:
    seen = Watch(sweep.parents[1]).runs(["sweeps/rates"])
    assert {line[2] for line in curves(seen, [])["acc"]} == {"0.1", "0.2", "0.3"}
    one = curves(seen, [seen[0].key])
    assert one["acc"] == [
        (1, 0.3, "validation"),
        (2, 0.4, "validation"),
        (1, 0.1, "training"),
        (2, 0.1, "training"),
    ]
    assert one["loss"][:2] == [(1, 0.7, "validation"), (2, 0.6, "validation")]


def test_a_finished_run_is_read_once(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = Run.read, []

    def counted(folder: Path, *plan: list[str], planned: bool) -> Run:
        asked.append(folder.name)
        return read(folder, *plan, planned=planned)

    monkeypatch.setattr(Run, "read", counted)
    watch = Watch(sweep.parents[1])
    watch.runs(["sweeps/rates"])
    asked.clear()
    watch.runs(["sweeps/rates"])
    assert sorted(asked) == ["bad", "cut", "run", "todo"]
    os.utime(sweep / "a" / "result.json", (1, 1))  # written anew
    watch.runs(["sweeps/rates"])
    assert "a" in asked


def test_folders_that_come_and_go(sweep: Path, tmp_path: Path) -> None:
    watch = Watch(tmp_path / "outputs")
    assert Watch(tmp_path / "nowhere").folders() == {}
    for number in range(7):
        finished(
            tmp_path / "outputs" / "runs" / f"net{number}" / "2026-11-28_10-00-00-123456", [], 0.5
        )
    there = watch.folders()
    assert len(there) == 8
    (sweep / "run" / "metrics.csv").touch()
    assert first_folders({"s": sweep, **there}) == ["s"]
    single = [name for name in there if name != "sweeps/rates"]
    assert first_folders({name: there[name] for name in [*single, "sweeps/rates"]}) == single[:5]
    assert names(watch.runs(single[:1])) == ["2026-11-28 10:00:00"]
    (sweep / "cells.json").write_text(json.dumps(["no plan"]))
    with pytest.raises(UserError, match="not a plan of cells"):
        watch.runs(["sweeps/rates"])


def test_what_is_said_of_a_sweep_and_of_runs_that_cannot_be_shown(sweep: Path) -> None:
    said = sweep_text(sweep)
    assert "| optimizer.lr |" in said and "Ranked by validation" in said and "bad" not in said
    assert "predictions.npz" in runs_page([sweep / "a"])
    assert "no finished run here" in runs_page([sweep / "a", sweep / "run"])


def test_it_listens_on_this_machine_alone() -> None:
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        check_own(host)
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):
        with pytest.raises(UserError, match="listens on this machine alone"):
            check_own(host)
