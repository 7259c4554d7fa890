"""The files and the text that a sweep leaves, from made-up cells."""

import csv
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cifarlab.report.sweep.page import write_results, write_sweep
from cifarlab.report.sweep.results import collect
from cifarlab.store.files import SUMS
from cifarlab.store.lock import RunLock
from tests.report.folders import aged, failed, finished, plan


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def grid(folder: Path, *overrides: list[str]) -> None:
    """A finished cell for each, the first the best, two hundredths apart."""
    for i, typed in enumerate(overrides):
        finished(folder / f"cell{i}", typed, 0.8 - 0.02 * i)


def test_finished_cells_are_ranked_and_the_others_below(tmp_path) -> None:
    cells = {f"{d}_{s}": [f"dropout={d}", f"seed={s}"] for d in (0.1, 0.3) for s in (0, 1, 2)}
    plan(tmp_path, cells)
    for name, acc in (("0.1_0", 0.5), ("0.3_0", 0.6), ("0.3_1", 0.7)):
        finished(tmp_path / name, cells[name], acc)
    failed(tmp_path / "0.1_1", "RuntimeError", "no | luck")
    with RunLock(tmp_path / "0.1_2"):
        text = write_results(tmp_path)
    assert [(row["cell"], row["status"]) for row in rows(tmp_path / "results.csv")] == [
        ("0.3_1", "early_stopped"), ("0.3_0", "early_stopped"), ("0.1_0", "early_stopped"),
        ("0.1_1", "failed"), ("0.1_2", "running"), ("0.3_2", "missing"),
    ]  # fmt: skip
    failure = rows(tmp_path / "results.csv")[3]
    assert failure["reason"] == "RuntimeError: no | luck"
    assert (failure["dropout"], failure["seed"], failure["val_acc"]) == ("0.1", "1", "")
    assert "planned" not in failure
    assert "## Failed: 1" in text and r"RuntimeError: no \| luck | 0.1_1" in text
    assert "## Running: 1\n\n0.1_2" in text and "## Missing: 1\n\n0.3_2" in text
    assert text.index("| 0.3 ") < text.index("## Failed")
    assert (tmp_path / "results.md").read_text().startswith(f"# {tmp_path.name}\n\n| dropout | n ")


def test_the_summary_by_hand(tmp_path) -> None:
    """t(0.975, 1 degree of freedom) = 12.7062."""
    for i, (dropout, seed, acc, fit) in enumerate(
        [(0.1, 0, 0.5, 1.0), (0.3, 0, 0.6, 2.0), (0.3, 1, 0.7, 4.0)]
    ):
        finished(
            tmp_path / str(i), [f"dropout={dropout}", f"seed={seed}"], acc,
            time={"fit_s": fit, "total_s": 9.0, "images_per_s": 1.0},
        )  # fmt: skip
    text = write_results(tmp_path)
    first, second = rows(tmp_path / "summary.csv")
    assert (first["dropout"], first["n"], first["num_params"]) == ("0.3", "2", "390410")
    assert "seed" not in first and "unplanned" not in first
    for split, mean in (("val", 0.65), ("test", 0.64), ("train", 0.75)):
        assert float(first[f"{split}_acc_mean"]) == pytest.approx(mean)
        assert float(first[f"{split}_acc_std"]) == pytest.approx(0.1 / 2**0.5)
        assert float(first[f"{split}_acc_ci95"]) == pytest.approx(12.7062 * 0.05, rel=1e-5)
        assert float(first[f"{split}_loss_mean"]) == pytest.approx(0.35)
    assert float(first["fit_s_mean"]) == 3.0
    assert (second["n"], second["val_acc_std"], second["val_acc_ci95"]) == ("1", "nan", "nan")
    assert re.search(r"65.00% \((60.00, 70|70.00, 60).00\)", text), "two runs have no interval"
    assert "| 50.00%  " in text


def test_folds_are_repetitions_too(tmp_path) -> None:
    grid(tmp_path, *([f"model={m}", f"data.fold={f}"] for m in ("a", "b") for f in (0, 1, 2)))
    text = write_results(tmp_path)
    assert [(row["model"], row["n"]) for row in rows(tmp_path / "summary.csv")] == [
        ("a", "3"), ("b", "3"),
    ]  # fmt: skip
    assert "data.fold" not in rows(tmp_path / "summary.csv")[0]
    assert "over n seeds and folds" in text and "Folds share training images" in text


def test_a_sweep_over_monitor_says_that_its_order_favours_accuracy(tmp_path) -> None:
    grid(tmp_path, *([f"monitor={m}", f"seed={s}"] for m in ("val/acc", "val/loss") for s in (0,)))
    assert "so this order favours it; compare test accuracies" in write_results(tmp_path)
    grid(tmp_path / "other", *([f"dropout={d}"] for d in (0, 0.1)))
    assert "favours" not in write_results(tmp_path / "other")


def test_old_and_new_cells_of_the_same_overrides_are_not_averaged(tmp_path) -> None:
    """The code came to have keys, and a default changed, between two calls of one command."""
    for s in (0, 1):
        typed = ["model=mlp", f"seed={s}"]
        finished(tmp_path / f"old{s}", typed, 0.5, {"val": {"size": 0.1}})
        finished(tmp_path / f"new{s}", typed, 0.7, {"val": {"size": 0.2}, "tta": None})
    text = write_results(tmp_path)
    summary = rows(tmp_path / "summary.csv")
    assert [(r["val.size"], r["tta"], r["n"], r["val_acc_mean"]) for r in summary] == [
        ("0.2", "null", "2", "0.7"), ("0.1", "-", "2", "0.5"),
    ]  # fmt: skip
    assert text.startswith("| tta  | n ") or text.startswith("| val.size | n ")
    assert "was not typed, yet differs" in text
    assert {row["val.size"] for row in rows(tmp_path / "results.csv")} == {"0.1", "0.2"}
    assert (tmp_path / "figures" / "axis_seed.png").exists(), "of one setting, over its seeds"


def test_never_two_of_one_seed(tmp_path) -> None:
    """Their configurations are lost or alike: the planned one counts, of two the newer."""
    plan(tmp_path, {"a": ["dropout=0.1", "seed=0"], "b": ["dropout=0.3", "seed=0"]})
    aged(finished(tmp_path / "a", ["dropout=0.1", "seed=0"], 0.5), 60)
    finished(tmp_path / "lost", ["dropout=0.1", "seed=0"], 0.9)
    aged(finished(tmp_path / "old", ["dropout=0.5", "seed=0"], 0.6, False), 60)
    finished(tmp_path / "new", ["dropout=0.5", "seed=0"], 0.7, False)
    text = write_results(tmp_path)
    summary = {row["dropout"]: row for row in rows(tmp_path / "summary.csv")}
    assert (summary["0.1"]["n"], summary["0.1"]["val_acc_mean"]) == ("1", "0.5")
    assert (summary["0.5"]["n"], summary["0.5"]["val_acc_mean"]) == ("1", "0.7")
    assert summary["0.5"]["unplanned"] == "1" and summary["0.1"]["unplanned"] == "0"
    assert "Left out, the values and the seed of another cell: lost, old." in text
    planned = {row["cell"]: row["planned"] for row in rows(tmp_path / "results.csv")}
    assert planned == {"a": "True", "b": "True", "lost": "False", "old": "False", "new": "False"}


def test_an_accuracy_that_is_no_number_is_a_failure(tmp_path) -> None:
    grid(tmp_path, ["lr=1"], ["lr=2"])
    folder = finished(tmp_path / "nan", ["lr=9"], 0.9, config={"overrides": ["lr=9"]})
    record = (folder / "result.json").read_text()
    (folder / SUMS).unlink()
    (folder / "result.json").write_text(record.replace('"acc": 0.9', '"acc": NaN'))
    write_results(tmp_path)
    found = rows(tmp_path / "results.csv")
    assert [row["lr"] for row in found] == ["1", "2", "9"]
    assert found[-1]["status"] == "damaged" and "metrics.val.acc=nan" in found[-1]["reason"]
    assert [row["lr"] for row in rows(tmp_path / "summary.csv")] == ["1", "2"]


def test_of_few_runs_it_is_said_what_stands_for_the_interval(tmp_path) -> None:
    finished(tmp_path / "0", ["lr=1", "seed=0"], 0.5)
    alone = write_results(tmp_path)
    assert "of one run each: there is no interval." in alone and "±" not in alone
    for seed in (1, 2):
        finished(tmp_path / f"{seed}", ["lr=1", f"seed={seed}"], 0.5)
    few = "Of fewer than 3 runs there is none; of two, both are in brackets."
    assert few not in write_results(tmp_path)
    finished(tmp_path / "3", ["lr=2", "seed=0"], 0.4)
    assert few in write_results(tmp_path)


def test_test_time_augmentation_has_columns_where_it_was_asked_for(tmp_path) -> None:
    views = {"views": "flip", "val": {"loss": 0, "acc": 0.5}, "test": {"loss": 0, "acc": 0.4}}
    finished(tmp_path / "a", ["tta=flip"], 0.5, tta=views)
    finished(tmp_path / "b", ["tta=null"], 0.4)
    write_results(tmp_path)
    assert [row["tta_test_acc"] for row in rows(tmp_path / "results.csv")] == ["0.4", ""]


def test_own_metrics_have_columns(tmp_path) -> None:
    for seed, first in enumerate((0.25, 0.5, 0.75)):
        measured = {
            s: {"loss": 1.0, "acc": 0.5, "f1_mine": first} for s in ("train", "val", "test")
        }
        finished(tmp_path / f"{seed}", [f"seed={seed}"], 0.5, metrics=measured)
    old = finished(tmp_path / "old", ["seed=3", "dropout=0.1"], 0.4)
    (old / "metrics.csv").write_text("epoch,step,val_loss,val_acc\n1,2,1,0.4\n")
    text = write_results(tmp_path)
    assert "| train acc " in text and "| val f1_mine" in text and "train f1_mine" not in text
    assert "0.5 ± 0.621" in text, "Student's t over 0.25, 0.5 and 0.75"
    assert "nan" not in text, "of a run that has it not"
    assert [row["test_f1_mine"] for row in rows(tmp_path / "results.csv")] == [
        "0.25",
        "0.5",
        "0.75",
        "nan",
    ]
    line, _ = rows(tmp_path / "summary.csv")
    assert float(line["val_f1_mine_mean"]) == 0.5


def test_long_lists_are_cut(tmp_path) -> None:
    plan(tmp_path, {f"cell{i:02}": [f"seed={i}"] for i in range(50)})
    for i in range(25):
        failed(tmp_path / f"cell{i:02}", "X", "y")
    text = write_results(tmp_path)
    assert "No finished cell yet." in text
    assert "## Failed: 25" in text and "… and 5 more in results.csv." in text
    assert "## Missing: 25" in text and "cell34, … and 15 more" in text
    assert len(rows(tmp_path / "results.csv")) == 50
    assert not (tmp_path / "summary.csv").exists() and not (tmp_path / "figures").exists()


def test_again_is_the_same_and_what_no_longer_holds_goes(tmp_path) -> None:
    grid(tmp_path, *([f"lr={a}", f"dropout={b}"] for a in (1, 2) for b in (0.1, 0.3)))
    text = write_results(tmp_path)
    files = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {
        "axis_lr.png", "axis_dropout.png", "heatmap.png",
    }  # fmt: skip
    (tmp_path / "figures" / "mine.png").write_bytes(b"")
    assert write_results(tmp_path) == text
    assert files == {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    finished(tmp_path / "more", ["lr=1", "dropout=0.1", "model=x"], 0.5, {"model": "x"})
    write_results(tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "heatmap.png" not in names and {"main_effects.png", "mine.png"} <= names


def test_matplotlib_only_where_there_is_something_to_draw(tmp_path) -> None:
    plan(tmp_path, {"a": ["seed=0"]})
    program = (
        "import sys; from pathlib import Path; from cifarlab.report.sweep.page import "
        "write_results; write_results(Path(sys.argv[1])); print('matplotlib' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.check_output(command, text=True).strip() == "False"
    finished(tmp_path / "a", ["seed=0"], 0.5)
    assert subprocess.check_output(command, text=True).strip() == "True", "the check can fail"


def test_a_large_sweep_takes_seconds(tmp_path) -> None:
    """240 cells of four factors; a second or two where nothing else runs."""
    config = {"filler": {f"key{i}": {"a": i, "b": [i, i], "c": "text"} for i in range(40)}}
    for model in "abcde":
        for lr in range(4):
            for dropout in (0.1, 0.2, 0.3):
                for seed in range(4):
                    typed = [f"m={model}", f"lr={lr}", f"dropout={dropout}", f"seed={seed}"]
                    finished(tmp_path / "_".join(typed), typed, 0.5 + 0.01 * lr, config)
    began = time.process_time()
    write_results(tmp_path)
    assert time.process_time() - began < 20


def test_the_page_of_a_sweep_without_a_name_is_headed_by_its_keys(tmp_path) -> None:
    for name, title in (("mine", "Sweep mine"), ("model-mlp__dropout", "Sweep over dropout")):
        cells = {f"{d}": [f"dropout={d}", "seed=0"] for d in (0.1, 0.3)}
        plan(tmp_path / name, cells)
        for cell, overrides in cells.items():
            finished(tmp_path / name / cell, overrides, 0.5)
        page = write_sweep(collect(tmp_path / name))
        assert page.startswith(f"# {title}\n")
        assert ("Folder: model-mlp" in page) == (name != "mine")
