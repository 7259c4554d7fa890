"""Two and more runs in one report, on predictions made by hand."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import yaml

from cifarlab.base.errors import UserError
from cifarlab.report.side_by_side import agreement, differences, disagreements, write_comparison
from cifarlab.store.run import Run
from tests.test_record import RECORD

LABELS = np.array([0, 1, 2, 0, 1, 2])
# answers of each run to six test images; image 5 is answered alike, wrongly
ANSWERS = {"a": [0, 1, 2, 1, 1, 0], "b": [0, 1, 0, 2, 0, 0], "c": [0, 0, 1, 1, 1, 0]}
SURE = {"a": [9, 9, 5, 1, 3, 9], "b": [9, 9, 5, 1, 4, 9], "c": [9, 1, 5, 1, 3, 9]}


CLASSES = ["cat", "dog", "cow"]


def make(folder: Path, run: str, val_indices=(3, 4), classes=CLASSES, **data) -> Path:
    """A finished run called ``run`` with the answers above."""
    folder.mkdir(parents=True)
    logits = np.zeros((6, 3), np.float16)
    logits[np.arange(6), ANSWERS[run]] = SURE[run]
    arrays = {"test_logits": logits, "test_labels": LABELS, "val_logits": logits[:2]}
    arrays |= {"val_labels": LABELS[:2], "val_indices": np.array(val_indices)}
    np.savez(folder / "predictions.npz", **arrays, classes=np.array(classes))
    gone = {"_target_": "cifarlab.data.sources.ImageFolder", "root": str(folder / "gone")}
    config = {"data": {"source": gone, "cache_dir": str(folder)}, "model": {"hidden": [len(run)]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "metrics.csv").write_text(
        "epoch,step,train_loss,val_loss,train_acc,val_acc\n1,5,2,2.1,0.1,0.2\n2,10,1,1.5,0.5,0.4\n"
    )
    dataclasses.replace(RECORD, name=run, data=RECORD.data | data).save(folder)
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [make(tmp_path / name, name) for name in ("a", "b", "c")]


def test_disagreements_by_hand_surest_first(runs: list[Path]) -> None:
    a, b, c = (Run.finished(run).predictions for run in runs)
    assert disagreements([a, b]).tolist() == [2, 4, 3], "logits 5 and 5, 3 and 4, 1 and 1"
    assert disagreements([a, c]).tolist() == [2, 1], "5 and 5; of 9 and 1 the mean is lower"
    assert disagreements([a, a]).tolist() == []


def test_agreement_by_hand(runs: list[Path]) -> None:
    a, b, c = (Run.finished(run) for run in runs)
    two = {name: int(n) for name, n, _ in agreement([a, b])[1:]}
    assert two == {"all right": 2, "none right": 2, "only A right": 2, "only B right": 0,
                   "not all the same answer": 3}  # fmt: skip
    three = {name: int(n) for name, n, _ in agreement([a, b, c])[1:]}
    assert three["all right"] == 1 and three["some right, some wrong"] == 2
    assert three["only A right"] == 1, "image 2" and three["not all the same answer"] == 4


def test_the_report_of_two(runs: list[Path], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = write_comparison(runs[:2], None)
    (out,) = Path("outputs/compare").iterdir()
    assert out.name == f"{tmp_path.name}-a__{tmp_path.name}-b"
    assert text.splitlines()[-1] == str(out / "report.html")
    assert "| test accuracy " in text and "| A a " in text
    assert "not here" in text and "disagreements.csv" in text, "no images, but their numbers"
    with (out / "disagreements.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["test_image"] for row in rows] == ["2", "4", "3"]
    assert (rows[0]["class"], rows[0]["A"], rows[0]["B"]) == ("cow", "cow", "cat")
    assert (out / "report.html").read_text().count("data:image/png;base64,") == 1
    assert write_comparison([runs[0], make(tmp_path / "x" / "a", "a")], out).count("alike.") == 1
    assert not (out / "disagreements.csv").exists(), "that of the call before is gone"


def test_differences_are_told_once() -> None:
    one = {"choices": {"model": "x"}, "seed": 1, "data": {"seed": 1, "root": "r"}, "name": "n"}
    two = {"choices": {"model": "y"}, "seed": 2, "data": {"seed": 2, "root": "r"}, "name": "m"}
    one |= {"model": {"_target_": "X", "width": 3, "depth": 1}}
    two |= {"model": {"_target_": "Y", "width": 4}}
    assert differences([one, two]) == [
        ("model", "x", "y"), ("seed", "1", "2"), ("model.width", "3", "4"),
    ]  # fmt: skip


def test_what_cannot_be_compared_is_refused(runs: list[Path], tmp_path: Path) -> None:
    first, out = runs[0], tmp_path / "out"
    other = make(tmp_path / "split", "b", val_indices=(0, 4), split_hash="11")
    with pytest.raises(UserError, match=r"split 00.*split 11.*validated on different images"):
        write_comparison([first, other], out)
    fewer = make(tmp_path / "fraction", "b", split_hash="22")
    assert write_comparison([first, fewer], out), "trained on fewer images, validated on the same"
    with pytest.raises(UserError, match=r"was tested on x, .* on y: only runs on one data set"):
        write_comparison([first, make(tmp_path / "y", "b", name="y")], out)
    others = make(tmp_path / "folder", "b", classes=["ant", "bee", "fly"])
    with pytest.raises(UserError, match=r"was tested on x, .* on other images of that name"):
        write_comparison([first, others], out)
    assert write_comparison([first, make(tmp_path / "old", "b", classes=["0", "1", "2"])], out)
    with pytest.raises(UserError, match="names a run twice"):
        write_comparison([first, first], out)
    (runs[1] / "result.json").unlink()
    with pytest.raises(UserError, match=r"no finished run here \(result.json is missing\)"):
        write_comparison(runs[:2], out)
