"""The line that a sweep says after each cell."""

import dataclasses
from pathlib import Path

import pytest

from cifarlab.base.durations import counted, times
from cifarlab.store.record import write_failure
from cifarlab.sweep.standing import standing
from tests.report.folders import plan
from tests.test_record import RECORD


def finish(cell: Path, acc: float, seconds: float) -> None:
    cell.mkdir(exist_ok=True)
    metrics = RECORD.metrics | {"val": {"loss": 1.0, "acc": acc}}
    time = RECORD.time | {"total_s": seconds}
    dataclasses.replace(RECORD, metrics=metrics, time=time).save(cell)


def test_from_the_first_cell_to_the_last(tmp_path: Path) -> None:
    assert standing(tmp_path) == "", "no plan"
    plan(tmp_path, {name: [] for name in "abcde"})
    assert standing(tmp_path) == "0/5 done, 0 failed"
    finish(tmp_path / "a", 0.7, 50)
    assert standing(tmp_path) == "1/5 done, 0 failed, best 70.0 % (a), about 3 min left"
    finish(tmp_path / "b", 0.719, 70)
    assert standing(tmp_path) == "2/5 done, 0 failed, best 71.9 % (b), about 3 min left"
    assert standing(tmp_path, at_once=2).endswith("about 2 min left"), "three in two turns"
    (tmp_path / "c").mkdir()
    write_failure(tmp_path / "c", RuntimeError("x"), "")
    assert standing(tmp_path) == "2/5 done, 1 failed, best 71.9 % (b), about 2 min left"
    finish(tmp_path / "d", 0.5, 60)
    finish(tmp_path / "e", 0.5, 60)
    assert standing(tmp_path) == "4/5 done, 1 failed, best 71.9 % (b)"


def test_damage_is_no_reason_to_end(tmp_path: Path) -> None:
    plan(tmp_path, {"a": [], "b": []})
    finish(tmp_path / "a", 0.7, 5)
    (tmp_path / "a" / "result.json").write_text("{")
    assert standing(tmp_path) == "1/2 done, 0 failed"


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (240, "4 min"), (12_600, "3.5 h")])
def test_durations(seconds: float, said: str, tmp_path: Path) -> None:
    plan(tmp_path, {"a": [], "b": []})
    finish(tmp_path / "a", 0.7, seconds)
    assert standing(tmp_path).endswith(f"about {said} left")


def test_one_of_something_is_no_plural() -> None:
    assert (counted(1, "thread"), counted(2, "thread")) == ("1 thread", "2 threads")
    assert counted("?", "thread") == "? threads", "a record that does not say"
    assert (times(1), times(2)) == ("once", "2 times")
