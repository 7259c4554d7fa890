"""A search: spaces, what a cell is given and told, pruning, going on; made up and whole."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from cifarlab.base.errors import UserError
from cifarlab.store.lock import RunLock
from cifarlab.store.record import FAILURE, PRUNED, RunRecord, is_finished, is_over
from cifarlab.sweep.search import Trial, begin_study, open_study
from hydra_plugins.cifarlab_sweeper.search import SearchSweeper, distribution, examples
from tests.conftest import TINY
from tests.report.folders import finished

SPACE = {
    "optimizer.lr": FloatDistribution(1e-3, 1.0, log=True),
    "model": CategoricalDistribution(["mlp", "x"]),
}
OPTIONS = {
    "study": "s",
    "sampler": {"_target_": "optuna.samplers.TPESampler", "seed": 0, "n_startup_trials": 3},
    "pruner": {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1},
}


def parsed(line: str):
    return OverridesParser.create().parse_override(line)


@pytest.mark.parametrize(
    ("values", "expected", "ends"),
    [
        ("adam,sgd", CategoricalDistribution(["adam", "sgd"]), ["adam", "sgd"]),
        ("[crop],none", CategoricalDistribution(["[crop]", "none"]), ["[crop]", "none"]),
        ("null,0.1", CategoricalDistribution(["null", "0.1"]), ["null", "0.1"]),
        ("interval(0,1)", FloatDistribution(0.0, 1.0), ["0.0", "1.0"]),
        ("tag(log,interval(1e-4,0.1))", FloatDistribution(1e-4, 0.1, log=True), ["0.0001", "0.1"]),
        ("int(interval(2,8))", IntDistribution(2, 8), ["2", "8"]),
        ("range(1,8,3)", IntDistribution(1, 7, step=3), ["1", "7"]),
        ("range(0,0.5,0.25)", FloatDistribution(0.0, 0.25, step=0.25), ["0.0", "0.25"]),
    ],
)  # fmt: skip
def test_spaces(values: str, expected, ends: list[str]) -> None:
    assert distribution(parsed(f"key={values}")) == expected
    assert examples(parsed(f"key={values}")) == ends


@pytest.mark.parametrize(
    "values", ["tag(x,interval(0,1))", "interval(1,0)", "tag(log,interval(0,1))", "range(3,3)"]
)
def test_impossible_spaces(values: str) -> None:
    with pytest.raises(UserError, match="key="):
        distribution(parsed(f"key={values}"))


def test_a_number_of_trials() -> None:
    with pytest.raises(UserError, match=r"n_trials=0: must be a whole number, 1 or more"):
        SearchSweeper(n_trials=0, sampler={}, pruner={})


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    begin_study(tmp_path, "s", SPACE, fresh=False)
    return tmp_path


def begin(sweep: Path, cell: str) -> Trial:
    (sweep / cell).mkdir(exist_ok=True)
    return Trial.begin(sweep / cell, OPTIONS)


def trains(trial: Trial, *accuracies: float) -> bool:
    """As if the cell had come to the end of these epochs; whether it is asked to stop."""
    rows = [{"epoch": i + 1, "val_acc": a} for i, a in enumerate(accuracies)]
    with (trial.folder / "metrics.csv").open("w") as file:
        writer = csv.DictWriter(file, ["epoch", "val_acc"])
        writer.writeheader()
        writer.writerows(rows)
    return trial.watch(last_epoch=5)


def finishes(trial: Trial, acc: float) -> None:
    folder = trial.folder
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    finished(folder, trial.overrides, acc)
    trial.end()


def states(sweep: Path) -> list[TrialState]:
    return [trial.state for trial in open_study(sweep, "s").trials]


def test_a_cell_keeps_its_values(sweep) -> None:
    """Interrupted, or its watching side killed: the next call goes on with the same trial."""
    first = begin(sweep, "000_s")
    trains(first, 0.3)
    again = begin(sweep, "000_s")
    assert again.overrides == first.overrides and again.trial.number == first.trial.number
    assert not trains(again, 0.3, 0.4)
    assert open_study(sweep, "s").trials[0].intermediate_values == {0: 0.3, 1: 0.4}
    finishes(again, 0.5)
    (trial,) = open_study(sweep, "s").trials
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.5)


def test_a_failed_cell_is_tried_again_with_its_values(sweep) -> None:
    first, other = begin(sweep, "000_s"), begin(sweep, "001_s")
    (sweep / "000_s" / FAILURE).write_text("{}")
    first.end()
    again = begin(sweep, "000_s")
    assert again.overrides == first.overrides != other.overrides
    assert states(sweep) == [TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]


def test_what_ended_unwatched_is_told(sweep) -> None:
    trials = [begin(sweep, f"00{i}_s") for i in range(3)]
    (sweep / "001_s" / PRUNED).write_text("{}")
    (sweep / "000_s").rmdir()
    finished(sweep / "000_s", trials[0].overrides, 0.7)
    begin_study(sweep, "s", SPACE, fresh=False)
    assert states(sweep) == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING]
    begin_study(sweep, "s", SPACE, fresh=True)
    assert states(sweep) == []


def test_the_worse_half_is_pruned(sweep) -> None:
    good = begin(sweep, "000_s")
    assert not trains(good, 0.5, 0.6, 0.7)
    finishes(good, 0.7)
    better = begin(sweep, "001_s")
    assert not trains(better, 0.6, 0.7)
    bad = begin(sweep, "002_s")
    assert not is_over(bad.folder)
    assert trains(bad, 0.1), "0.1 is below the median of the finished"
    assert not trains(bad, 0.1, 0.1), "told once"
    message = json.loads((bad.folder / PRUNED).read_text())["message"]
    assert message == "pruned after epoch 1, at 10.00% validation accuracy"
    assert is_over(bad.folder) and not is_finished(bad.folder)
    bad.end()
    assert states(sweep)[2] == TrialState.PRUNED
    late = begin(sweep, "003_s")
    trains(late, 0.6, 0.7, 0.7, 0.7)
    assert not trains(late, 0.6, 0.7, 0.7, 0.7, 0.1), "nothing is saved after the last epoch"


def test_the_same_search_asks_for_the_same_values(tmp_path) -> None:
    def values(folder: Path) -> list[list[str]]:
        folder.mkdir()
        begin_study(folder, "s", SPACE, fresh=False)
        asked = []
        for i in range(6):
            trial = begin(folder, f"00{i}_s")
            asked.append(trial.overrides)
            finishes(trial, 0.1 * i)
        return asked

    first = values(tmp_path / "a")
    assert values(tmp_path / "b") == first
    assert len(set(map(tuple, first))) == 6, "each cell draws anew"


SEARCH = ["hydra/sweeper=optuna", "logger=none", "sweep=s", "callbacks=none"]


def test_a_search_whole(train, cache, tmp_path) -> None:
    """Prunes, reports, takes more trials on; the report at any time."""
    pruning = ["hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=0"]
    search = ["-m", *TINY, *SEARCH, *pruning, f"data.cache_dir={cache}", "max_epochs=3"]
    search += ["optimizer.lr=tag(log,interval(1e-6,0.1))", "model.batchnorm=true,false"]
    done = train(*search, "hydra.sweeper.n_trials=3")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "3 cells, 3 to run" in done.stdout and "to be continued" not in done.stdout
    more = train(*search, "hydra.sweeper.n_trials=5", "hydra/launcher=parallel")
    assert more.returncode == 0, more.stderr + more.stdout
    assert "5 cells, 2 to run" in more.stdout
    folder = tmp_path / "outputs" / "sweeps" / "s"
    plan = json.loads((folder / "cells.json").read_text())
    assert len(plan) == 5
    (name,) = {cell.partition("_")[2] for cell in plan}
    trials = open_study(folder, name).trials
    by_cell = {trial.user_attrs["cell"]: trial for trial in trials}
    assert by_cell.keys() == plan.keys() and len(trials) == 5
    for cell, trial in by_cell.items():
        config = yaml.safe_load((folder / cell / "config.yaml").read_text())
        assert config["optimizer"]["lr"] == pytest.approx(trial.params["optimizer.lr"], rel=1e-11)
        assert f"model.batchnorm={trial.params['model.batchnorm']}" in plan[cell]
        if trial.state == TrialState.COMPLETE:
            assert trial.value == RunRecord.load(folder / cell).metrics["val"]["acc"]
        else:
            assert trial.state == TrialState.PRUNED and (folder / cell / PRUNED).exists()
    best = open_study(folder, name).best_trial
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["val_acc"]) == best.value and len(rows) == 5
    assert f"Cell {rows[0]['cell']} is the best of" in more.stdout
    assert (folder / "figures" / "search_history.png").stat().st_size > 5000
    assert not list((folder / "figures").glob("axis_*"))
    with RunLock(folder / rows[0]["cell"]):  # another process trains it
        refused = train(*search, "hydra.sweeper.n_trials=5", "fresh=true")
    assert refused.returncode == 2 and "another process trains" in refused.stderr
    assert len(open_study(folder, name).trials) == 5, "nothing is forgotten"


@pytest.mark.slow  # test_ddp has runs on several devices, the others here search
def test_all_devices_train_what_was_asked_for(train, cache, tmp_path) -> None:
    two = ["trainer.devices=2", "trainer.strategy=ddp", "hydra.sweeper.n_trials=2"]
    done = train(
        "-m", *TINY, *SEARCH, f"data.cache_dir={cache}", *two, "optimizer.lr=interval(0,1)"
    )
    assert done.returncode == 2 and "optimizer.lr=0.0" in done.stderr
    done = train(
        "-m", *TINY, *SEARCH, f"data.cache_dir={cache}", *two, "optimizer.lr=interval(0.001,0.1)",
        "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=null",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    folder = tmp_path / "outputs" / "sweeps" / "s"
    for path in folder.glob("*/result.json"):
        record = RunRecord.load(path.parent)
        config = yaml.safe_load((path.parent / "config.yaml").read_text())
        (lr,) = [item for item in record.overrides if item.startswith("optimizer.lr=")]
        assert lr == f"optimizer.lr={config['optimizer']['lr']}"
        assert record.hardware["devices"] == 2
    assert len(list(folder.glob("*/result.json"))) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "hydra/sweeper=optuna"], "nothing to search"),
        (["-m", "hydra/sweeper=optuna", "dropout=0.1,0.2", "seed=0,1"], "the luckiest"),
        (["-m", "hydra/sweeper=optuna", "search=dropout,optimizer"], "search=[a,b]"),
        (["-m", "search=dropout"], "needs hydra/sweeper=optuna"),
        (["search=dropout"], "needs python train.py -m hydra/sweeper=optuna"),
    ],
)
def test_mistakes(train, arguments: list[str], message: str) -> None:
    done = train(*arguments)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1
