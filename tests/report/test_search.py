"""What a search's folder says beyond a sweep's."""

import dataclasses
import json
from pathlib import Path

import pytest

from cifarlab.report.sweep.confirm import confirmation
from cifarlab.report.sweep.page import write_results
from cifarlab.report.sweep.results import collect
from cifarlab.report.sweep.search import importances
from cifarlab.store.record import JOURNAL, PRUNED, RunRecord
from cifarlab.store.sweep import Sweep
from tests.report.folders import finished, plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six cells, the learning rate alone decides; one was pruned."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL)))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    cells = {}
    for i in range(6):
        values = {"optimizer.lr": 0.1 * i + 0.0123456789, "dropout": 0.1 * (i * 7 % 6)}
        typed = ["search=[a,b]", *(f"{key}={value}" for key, value in values.items())]
        cells[f"00{i}_s"] = typed
        spaces = {key: optuna.distributions.FloatDistribution(0, 1) for key in values}
        state = "PRUNED" if i == 2 else "COMPLETE"
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState[state], params=values, distributions=spaces,
                value=0.1 * i,
            )
        )  # fmt: skip
        if i == 2:
            (tmp_path / "002_s").mkdir()
            text = json.dumps({"message": "pruned after epoch 3", "epoch": 3, "val_acc": 0.15})
            (tmp_path / "002_s" / PRUNED).write_text(text)
        else:
            finished(tmp_path / f"00{i}_s", typed, 0.1 * i)
    plan(tmp_path, cells)
    return tmp_path


def test_the_text(folder) -> None:
    text = write_results(folder)
    assert "| 0.5123 " in text, "four digits are enough to read"
    assert "0.5123456789" in (folder / "results.csv").read_text()
    assert "## Pruned: 1\n\n002_s" in text
    assert "pruned,pruned after epoch 3,002_s" in (folder / "results.csv").read_text()
    assert "Cell 005_s is the best of 5" in text


def test_the_command_repeats_the_best_with_other_seeds(folder) -> None:
    *_, code = confirmation(collect(folder))
    (command,) = code.lines
    assert command.startswith("python train.py -m optimizer.lr=0.5123456789 dropout=")
    assert command.endswith(f" seed=1,2,3 sweep={folder.name}_confirmed")
    assert "search" not in command


def test_the_command_has_the_overrides_as_they_were_typed(tmp_path) -> None:
    typed = ["+trainer.max_steps=8", "~callbacks.early_stopping", "notes=x", "fresh=true"]
    cells = {f"c{i}": [*typed, f"optimizer.lr={i}e-3", "seed=0"] for i in range(1, 5)}
    plan(tmp_path / "sweep", cells)
    for number, (cell, overrides) in enumerate(cells.items()):
        made = finished(tmp_path / "sweep" / cell, [f"optimizer.lr={number}", "seed=0"], 0.1)
        acc = 0.5 + number / 10
        metrics = {s: {"loss": 1.0, "acc": acc} for s in ("train", "val", "test")}
        record = RunRecord.load(made)
        dataclasses.replace(record, overrides=overrides, metrics=metrics).save(made)
    *_, code = confirmation(collect(tmp_path / "sweep"))
    assert code.lines == [
        "python train.py -m +trainer.max_steps=8 '~callbacks.early_stopping' optimizer.lr=4e-3 "
        "seed=1,2,3 sweep=sweep_confirmed"
    ]


def test_with_new_seeds_the_best_is_no_longer_so_good(folder) -> None:
    """0.5 when it was chosen; 0.30, 0.40 and 0.35 again. Of another configuration nothing."""
    again = folder.with_name(f"{folder.name}_confirmed")
    best = ["optimizer.lr=0.5123456789", f"dropout={0.1 * (35 % 6)}"]
    made_up = {"search": ["a", "b"]}
    for seed, acc in ((1, 0.30), (2, 0.40), (3, 0.35)):
        finished(again / f"x{seed}", [*best, f"seed={seed}"], acc, made_up)
    finished(again / "same seed", [*best, "seed=0"], 0.9, made_up)
    finished(again / "other", ["optimizer.lr=0.5", best[1], "seed=4"], 0.9, made_up)
    text = write_results(folder)
    assert "| with new seeds   | 3 | 35.00 ± 12.42" in text
    assert "at 35.00% instead of 50.00%, −15.00 points" in text
    assert "To confirm" not in text


def test_figures_and_importances(folder) -> None:
    write_results(folder)
    made = {path.name for path in (folder / "figures").glob("*.png")}
    assert made == {"search_history.png", "search_slices.png", "search_importance.png"}
    shares = importances(folder, "s")
    assert shares.keys() == {"optimizer.lr", "dropout"}
    assert sum(shares.values()) == pytest.approx(1)


def test_other_sweeps_are_none(tmp_path) -> None:
    assert not Sweep.read(tmp_path).is_search
