"""Tags and notes; the latest run; a sweep that is only told."""

import os
import shutil
from pathlib import Path

import pytest

from cifarlab.base.checks import check_config
from cifarlab.base.cli import _run_dir as run_dir
from cifarlab.base.errors import UserError
from cifarlab.store.record import config_hash
from cifarlab.store.run import Run
from hydra_plugins.cifarlab_sweeper.grid import GridSweeper
from scripts.runs import change, found, line, none_found
from tests.conftest import composed, plain


@pytest.fixture
def two(trained: Path, tmp_path: Path) -> Path:
    for number, name in enumerate("ab"):
        folder = shutil.copytree(trained, tmp_path / "runs" / name / "1")
        os.utime(folder / "config.yaml", (number, number))
    return tmp_path


def test_tags_are_given_and_found(two: Path) -> None:
    first, second = two / "runs/a/1", two / "runs/b/1"
    assert (Run.read(first).tags, Run.read(first).notes) == ([], "")
    change(first, ["paper", "old"], [], "a remark")
    change(first, ["new"], ["old"], None)
    change(second, ["paper"], [], None)
    assert (Run.read(first).tags, Run.read(first).notes) == (["paper", "new"], "a remark")
    assert [run.folder for run in found(two, ["paper", "new"], [])] == [first]
    assert [run.folder for run in found(two, ["paper"], ["model:tbmi26_cnn"])] == [first, second]
    assert not list(found(two, [], ["model:mlp"]))
    (run,) = found(first, [], [])
    assert run.status == "completed" and run.config, "its checksum was written anew, too"
    assert line(run).endswith(f"{first}  #paper  #new  a remark")
    change(first, [], [], "")
    assert Run.read(first).notes == ""


def test_what_no_run_has_is_told(two: Path) -> None:
    change(two / "runs/a/1", ["paper"], [], None)
    change(two / "runs/b/1", ["new"], [], None)
    told = none_found(two, ["papr"], [])
    assert (
        told == f"tags=[papr]: no run below {two} has it; did you mean paper? allowed: new, paper"
    )
    assert none_found(two, [], ["modl:mlp"]).endswith("has the key modl")
    assert none_found(two, [], ["model:mlp"]).endswith("; model is tbmi26_cnn")
    assert none_found(two, ["paper", "new"], []) == f"path={two}: no run here has all of that"
    assert none_found(two / "none", ["paper"], []) == f"path={two / 'none'}: no run here"


def test_what_a_runs_folder_holds_is_no_run(two: Path) -> None:
    """Weights & Biases writes a ``config.yaml`` into it."""
    theirs = two / "runs/b/1/wandb/run-1/files/config.yaml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("model: {value: 1}\n")
    assert [run.folder for run in found(two, [], [])] == [two / "runs/a/1", two / "runs/b/1"]
    assert run_dir("last", str(two), "runs", "x", "now") == str(two / "runs/b/1")


def test_tags_are_no_setting() -> None:
    tagged = check_config(plain("tags=[a,1]", "notes='with a comma, too'"))
    assert config_hash(tagged) == config_hash(plain()) and tagged["tags"] == ["a", 1]


def test_the_last_run_is_the_one_that_was_begun_last(two: Path) -> None:
    assert run_dir("last", str(two), "runs", "x", "now") == str(two / "runs/b/1")
    os.utime(two / "runs/a/1/config.yaml", (9, 9))
    assert run_dir("last", str(two), "runs", "x", "now") == str(two / "runs/a/1")
    late, early = two / "runs/a/2026-01-02_00-00-00-1", two / "runs/b/2026-01-01_00-00-00-1"
    (two / "runs/a/1").rename(late)
    (two / "runs/b/1").rename(early)
    change(early, ["old"], [], None)
    assert run_dir("last", str(two), "runs", "x", "now") == str(late), "whatever was tagged since"
    with pytest.raises(UserError, match="resume=last: no run in "):
        run_dir("last", str(two / "empty"), "runs", "x", "now")


def test_a_dry_run_tells_and_leaves_nothing(two: Path, caplog) -> None:
    done = shutil.copytree(two / "runs/a/1", two / "sweep" / "done")
    sweeper = GridSweeper()
    sweeper.config = composed("seed=0")
    before = sorted(two.rglob("*"))
    with caplog.at_level("INFO"):
        assert sweeper._tell(two / "sweep", {"done": ["seed=0"], "new": ["seed=1"]}) == []
    told = caplog.text
    assert (
        "completed    done" in told and "to run       new" in told and "2 cells, 1 to run" in told
    )
    assert "about " in told and "as the 1 finished took" in told
    assert sorted(two.rglob("*")) == before and done.is_dir()


def test_a_dry_run_as_it_is_typed(train, tmp_path: Path) -> None:
    done = train("-m", "model=mlp", "data=synthetic", "seed=0,1", "dry_run=true")
    assert done.returncode == 0 and "2 cells, 2 to run" in done.stdout, done.stderr
    assert "how long is not known" in done.stdout and not (tmp_path / "outputs").exists()
    done = train("dry_run=true")
    assert done.returncode == 2 and "add -m" in done.stderr
