"""Launchers on one machine: a sweep ends with all its results, whatever runs the cells."""

import importlib.util
import json
import tomllib
from pathlib import Path

import pytest

from cifarlab.base import cli
from tests.conftest import CONF, ROOT, TINY, composed, options

SWEEP = ["-m", *TINY, "logger=none", "seed=0,1"]


def measured(sweep: Path) -> dict[int, dict]:
    """The metrics of every cell, by seed."""
    records = [json.loads(path.read_text()) for path in sweep.glob("*/result.json")]
    return {record["seed"]: record["metrics"] for record in records}


@pytest.mark.slow  # the launcher of test_slurm, without its Slurm
def test_all_results_and_the_same(train, cache, tmp_path) -> None:
    found = {}
    for launcher in ("basic", "parallel", "local"):
        place = [f"data.cache_dir={cache}", f"hydra/launcher={launcher}", f"sweep={launcher}"]
        done = train(*SWEEP, *place)
        assert done.returncode == 0, done.stderr
        assert "2 cells, 2 to run" in done.stdout
        found[launcher] = measured(tmp_path / "outputs" / "sweeps" / launcher)
    assert found["basic"].keys() == {0, 1}
    assert found["parallel"] == found["local"] == found["basic"]


@pytest.mark.parametrize("name", options("hydra/launcher"))
def test_ours_compose(name: str) -> None:
    launcher = composed(f"hydra/launcher={name}", "trainer.devices=2").hydra.launcher
    assert launcher._target_.startswith("hydra_plugins.")


@pytest.mark.parametrize(
    ("trainer", "gpus", "tasks"),
    [
        (["trainer=gpu"], 1, 1),
        (["trainer=gpu", "trainer.devices=2"], 2, 2),
        (["trainer=gpu", "trainer.devices=[1,3,4]", "trainer.num_nodes=2"], 3, 3),
        (["trainer=cpu", "trainer.devices=2"], None, 2),
        (["trainer.devices=2"], None, 2),
        (["trainer.devices=2", "hydra.launcher.gpus_per_node=2"], 2, 2),
    ],
)
def test_slurm_is_asked_for_the_trainers_devices(
    trainer: list[str], gpus: int | None, tasks: int
) -> None:
    config = composed("hydra/launcher=slurm", *trainer)
    launcher = config.hydra.launcher
    assert (launcher.gpus_per_node, launcher.tasks_per_node) == (gpus, tasks)
    assert launcher.nodes == config.trainer.num_nodes


def test_extras_are_those_of_pyproject() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for option, extra in cli._LAUNCHERS.items():
        assert extra in extras["optional-dependencies"]
        line = cli._unknown_option(f"hydra/launcher/{option}", CONF, [])
        assert line == f"hydra/launcher={option}: not installed; pip install -e '.[{extra}]'"


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="ray is installed")
def test_a_plugin_that_is_not_installed(train) -> None:
    done = train("-m", "hydra/launcher=ray", "seed=0,1")
    assert done.returncode == 2
    assert done.stderr == "error: hydra/launcher=ray: not installed; pip install -e '.[ray]'\n"
