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
from scripts.runs import change, found, line
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


def test_tags_are_no_setting() -> None:
    tagged = check_config(plain("tags=[a,1]", "notes='with a comma, too'"))
    assert config_hash(tagged) == config_hash(plain()) and tagged["tags"] == ["a", 1]


def test_the_last_run_is_the_one_that_was_begun_last(two: Path) -> None:
    assert run_dir("last", str(two), "runs", "x", "now") == str(two / "runs/b/1")
    os.utime(two / "runs/a/1/config.yaml", (9, 9))
    assert run_dir("last", str(two), "runs", "x", "now") == str(two / "runs/a/1")
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
