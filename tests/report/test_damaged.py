"""One damaged run is a row with a reason; the others are reported as if it had never been."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.report.compare.selection import read_side
from cifarlab.report.compare.write import write_comparison
from cifarlab.report.page import write_report
from cifarlab.store.files import SUMS
from cifarlab.store.predictions import load
from tests.report.folders import finished, plan, predicted
from tests.report.test_study import CELLS, CONTENT, write

N = 12
HEADER = "epoch,step,lr,train_loss,train_acc,val_loss,val_acc,epoch_s,images_per_s\n"
EPOCHS = HEADER + "".join(f"{e},4,0.05,2.4,0.06,2.3,0.{e},0.2,658.9\n" for e in (1, 2, 3))


def garbled(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def record(folder: Path) -> Path:
    return garbled(folder / "result.json", b"{")


def nan(folder: Path) -> Path:
    text = (folder / "result.json").read_text().replace('"acc": ', '"acc": NaN, "x": ', 1)
    (folder / SUMS).unlink()
    return garbled(folder / "result.json", text.encode())


def byte(folder: Path) -> Path:
    content = bytearray((folder / "result.json").read_bytes())
    content[content.index(b'"acc": 0.') + 9] ^= 1  # another digit: a record that could be
    return garbled(folder / "result.json", bytes(content))


def epochs(folder: Path) -> Path:
    return garbled(folder / "metrics.csv", EPOCHS.replace("2.4", "2.x").encode())


def lost_epoch(folder: Path) -> Path:
    lines = EPOCHS.splitlines(keepends=True)
    return garbled(folder / "metrics.csv", "".join([*lines[:2], lines[3]]).encode())


DAMAGES = [record, nan, byte, epochs, lost_epoch]


def sweep(folder: Path) -> Path:
    plan(folder, {f"{d}_{s}": [f"dropout=0.{d}", f"seed={s}"] for d in (1, 2) for s in (0, 1, 2)})
    for d in (1, 2):
        for s in (0, 1, 2):
            typed = [f"dropout=0.{d}", f"seed={s}"]
            more = {"data": {"seed": s}}
            run = finished(folder / f"{d}_{s}", typed, 0.5 + 0.1 * d + 0.01 * s, more)
            predicted(run, val=np.arange(N) % (d + 2) > 0, test=np.arange(N) % (s + 2) > 0)
            (run / "metrics.csv").write_text(EPOCHS)
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_sweep(damage: Callable[[Path], Path], tmp_path: Path) -> None:
    folder = sweep(tmp_path / "s")
    path = damage(folder / "2_2")
    text = write_report(folder)
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cell"] for row in rows] == ["2_1", "2_0", "1_2", "1_1", "1_0", "2_2"]
    last = rows[-1]
    assert (last["status"], last["dropout"], last["seed"]) == ("damaged", "0.2", "2")
    assert last["reason"].startswith(f"{path}: ") and "\n" not in last["reason"]
    assert last["val_acc"] == last["best_epoch"] == ""
    assert "## Damaged: 1" in text and last["reason"] in text and "Delete its folder" in text
    with (folder / "summary.csv").open() as file:
        summary = list(csv.DictReader(file))
    assert [(row["dropout"], row["n"]) for row in summary] == [("0.2", "2"), ("0.1", "3")]
    assert float(summary[0]["val_acc_mean"]) == pytest.approx(0.705)
    path.unlink()
    if path.name == "metrics.csv":
        assert "## Damaged" not in write_report(folder), "lost epochs are no damage"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_study_and_an_index_of_studies(damage, tmp_path: Path) -> None:
    folder = write(tmp_path / "s", CONTENT, CELLS)
    whole = write_report(folder)
    assert "60.00 ± 2.48" in whole and "damaged" not in whole
    path = damage(folder / "a_2_0")
    for text in (write_report(folder), (folder / "report.html").read_text()):
        assert f"Left out, damaged: {path}: " in text
    assert "59.00, 60.00" in write_report(folder), "of two seeds the values"
    assert "[Made up](s/report.html)" in write_report(tmp_path)


def test_a_row_of_which_all_runs_are_damaged(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", CONTENT, CELLS)
    for seed in range(3):
        record(folder / f"a_{seed}_0")
    text = write_report(folder)
    assert "not measured: " in text and "a_0_0/result.json: not as it was written" in text


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_comparison(damage, tmp_path: Path) -> None:
    folder = sweep(tmp_path / "s")
    path = damage(folder / "2_2")
    a = read_side("a", [str(folder)], ["dropout:0.2"])
    b = read_side("b", [f"{folder}/1_*"], [])
    assert [side.asked.startswith(str(folder)) for side in (a, b)] == [True, True]
    text = write_comparison(a, b, tmp_path / "out", 0.005)
    assert f"Not used, damaged: {path}: " in text and "2 shared seeds" in text
    assert f"Not used, damaged: {path}: " in (tmp_path / "out" / "compare.md").read_text()
    pattern = read_side("a", [f"{folder}/2_*"], [])
    assert [cell.name for cell in pattern.runs.values()] == ["2_0", "2_1"]
    assert len(pattern.damaged) == 1
    with pytest.raises(UserError, match=f"a={folder / '2_2'}: {path}: ") as raised:
        read_side("a", [str(folder / "2_2")], [])
    assert "\n" not in str(raised.value)


def test_damaged_predictions(tmp_path: Path) -> None:
    """Of folders without checksums too, where it is found only when they are needed."""
    folder = sweep(tmp_path / "s")
    (folder / "1_0" / "predictions.npz").write_bytes(b"PK cut")
    (folder / "1_0" / "result.json").write_text(
        (folder / "1_0" / "result.json").read_text().replace('"00"', '"01"')
    )
    (folder / "1_0" / SUMS).unlink()
    with pytest.raises(UserError, match="predictions.npz: damaged"):
        load(folder / "1_0")
    assert "Rows validated on different images" in write_report(folder)
