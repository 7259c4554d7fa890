"""``python train.py -m``: folders, tables, going on, failures."""

import csv
import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.base.errors import UserError
from hydra_plugins.cifarlab_sweeper.grid import grid, reason, sweep_name
from tests.conftest import TINY

QUICK = [*TINY, "max_epochs=1", "logger=none"]


def parsed(*arguments: str) -> dict:
    overrides = OverridesParser.create().parse_overrides(list(arguments))
    return {override.get_key_element(): override for override in overrides}


def test_grid_by_hand() -> None:
    cells = grid(parsed("model=a,b", "aug=x", "dropout=0.1,0.2"))
    assert cells == [
        ["model=a", "aug=x", "dropout=0.1"],
        ["model=a", "aug=x", "dropout=0.2"],
        ["model=b", "aug=x", "dropout=0.1"],
        ["model=b", "aug=x", "dropout=0.2"],
    ]
    assert len(grid(parsed("seed=range(0,5)", "aug=[crop,hflip],[crop]"))) == 10


def test_a_sweep_is_named_by_fixed_values_and_swept_keys() -> None:
    name = sweep_name(parsed("model=vgg11_bn", "aug=crop_flip", "dropout=0.1,0.2,0.3"))
    assert name == "model-vgg11_bn__aug-crop_flip__dropout"
    wider = sweep_name(parsed("model=vgg11_bn", "aug=crop_flip", "dropout=0.1,0.2,0.3,0.4"))
    assert wider == name, "one more value, the same sweep"
    assert sweep_name(parsed("model=vgg11_bn", "aug=none", "dropout=0.1,0.2")) != name
    assert sweep_name(parsed("seed=0,1", "output_root=/elsewhere", "fresh=true")) == "seed"
    long = sweep_name(parsed(*(f"data.root=/a/very/long/path/{'x' * 300}", "seed=0,1")))
    assert len(long) <= 100 and re.fullmatch(r"[\w.+-]+", long)


@pytest.fixture
def swept(train, cache, tmp_path):
    """Runs a sweep over two models and two augmentations, or a wider one."""

    def launch(*arguments: str):
        return train("-m", *QUICK[:3], *QUICK[4:], f"data.cache_dir={cache}", *arguments)

    return launch


GRID = ["model=mlp,baseline", "aug=none,crop_flip", "dropout=0.1", "sweep=grid"]


def cells(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/result.json")}


def test_composes_runs_goes_on_and_widens(swept, tmp_path) -> None:
    folder = tmp_path / "outputs" / "sweeps" / "grid"
    done = swept(*GRID)
    assert done.returncode == 0, done.stderr
    assert "4 cells, 4 to run" in done.stdout
    first = cells(folder)
    names = {re.sub(r"_[0-9a-f]{8}$", "", cell) for cell in first}
    assert names == {"mlp_none", "mlp_crop_flip", "baseline_none", "baseline_crop_flip"}
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["aug"]) for row in rows} == {
        ("mlp", "none"), ("mlp", "crop_flip"), ("baseline", "none"), ("baseline", "crop_flip"),
    }  # fmt: skip
    accuracies = [float(row["val_acc"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True), "ranked by validation"
    assert "dropout" not in rows[0], "only what was swept is a column"
    assert re.search(r"^\| model +\| aug +\| n +\| val acc", done.stdout, re.M)

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*_*/*")}
    again = swept(*GRID)
    assert again.returncode == 0 and "4 cells, 0 to run" in again.stdout
    assert before == {path: path.stat().st_mtime_ns for path in folder.glob("*_*/*")}

    # an interrupted cell is done again, a wider grid adds cells, the rest is left alone
    lost = sorted(first)[0]
    (folder / lost / "result.json").unlink()
    wider = swept("model=mlp,baseline", "aug=none,crop_flip,hflip", "dropout=0.1", "sweep=grid")
    assert wider.returncode == 0 and "6 cells, 3 to run" in wider.stdout
    assert first < cells(folder) and len(cells(folder)) == 6
    untouched = {path: t for path, t in before.items() if path.parent.name != lost}
    assert all(path.stat().st_mtime_ns == t for path, t in untouched.items())


def test_seeds_are_summarised(swept, tmp_path) -> None:
    done = swept("model=mlp", "dropout=0.1,0.2", "seed=0,1,2", "sweep=seeds")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "outputs" / "sweeps" / "seeds" / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["n"] for row in rows] == ["3", "3"]
    assert {row["dropout"] for row in rows} == {"0.1", "0.2"}
    assert all(float(row["test_acc_ci95"]) > 0 for row in rows)


def test_a_failed_cell_is_told_and_tried_again(swept, cache, tmp_path) -> None:
    """A crop of 100 px of padding is fine, one of a billion is out of memory."""
    arguments = ["model=mlp", "aug=crop", "aug.crop.padding=4,1000000000,2", "sweep=bad"]
    done = swept(*arguments)
    folder = tmp_path / "outputs" / "sweeps" / "bad"
    assert done.returncode == 1
    assert len(cells(folder)) == 2, "the others are there"
    (failure,) = folder.glob("*/failure.json")
    assert "padding" in failure.parent.parent.name or "1000000000" in failure.parent.name
    assert "failed: 1000000000_" in done.stdout and "padding=1000000000: must be" in done.stdout
    again = swept(*arguments)
    assert again.returncode == 1 and "3 cells, 1 to run" in again.stdout


def test_the_reason_of_a_failure_is_one_line() -> None:
    assert reason(MemoryError("out of memory\nat line 3")) == "MemoryError: out of memory"
    assert reason(AssertionError()) == "AssertionError:"
    wrapped = RuntimeError("Error in call to target 'x':")
    wrapped.__cause__ = UserError("p=2: must be a probability")
    assert reason(wrapped) == "p=2: must be a probability"
