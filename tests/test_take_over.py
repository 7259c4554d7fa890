"""Two studies of one recipe: it is trained once."""

import json
from pathlib import Path

import yaml

from cifarlab.store.record import RunRecord
from hydra_plugins.cifarlab_sweeper.grid import take_over
from tests.conftest import plain
from tests.report.folders import finished


def config(row: str, *overrides: str) -> dict:
    return plain("model=mlp", f"study.id={row}", f"study.row={row}", *overrides)


def run(folder: Path, config: dict) -> Path:
    from cifarlab.store.record import config_hash

    digits = config_hash(config)
    cell = folder / f"a_0_{digits[:8]}"
    finished(cell, ["study.id=a", "study.row=a"], 0.5, config, config_hash=digits)
    (cell / "checkpoints").mkdir()
    (cell / "checkpoints" / "best.ckpt").write_text("weights")
    return cell


def test_the_same_configuration_is_taken_over(tmp_path: Path) -> None:
    twin = run(tmp_path / "a", config("a"))
    mine = config("b")
    goal = tmp_path / "b" / f"b_0_{twin.name[-8:]}"
    (goal / "checkpoints").mkdir(parents=True)
    (goal / "checkpoints" / "last.ckpt").write_text("half way")
    take_over(goal, mine)
    record, theirs = RunRecord.load(goal), RunRecord.load(twin)
    assert record.metrics == theirs.metrics and record.config_hash == theirs.config_hash
    assert record.overrides == mine["overrides"]
    assert yaml.safe_load((goal / "config.yaml").read_text())["study"]["row"] == "b"
    kept = {path.name for path in (goal / "checkpoints").iterdir()}
    assert kept == {"best.ckpt"}, "what was begun here is not mixed with it"
    assert [path.name for path in goal.parent.iterdir()] == [goal.name], "nothing beside it"


def test_another_configuration_is_not(tmp_path: Path) -> None:
    twin = run(tmp_path / "a", config("a"))
    other = config("b", "dropout=0.3")
    goal = tmp_path / "b" / f"b_0_{twin.name[-8:]}"  # eight digits alike, not sixteen
    take_over(goal, other)
    assert not goal.exists()
    content = json.loads((twin / "result.json").read_text())
    (twin / "result.json").write_text(json.dumps(content)[:-9])  # damaged
    take_over(goal, config("b"))
    assert not goal.exists()
