"""Folders of an earlier version (``tests/kept``) mean today what they meant then."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate

from cifarlab.report.page import write_report
from cifarlab.run.runner import train
from cifarlab.store.checkpoint import BEST, LAST, load_run, read_checkpoint
from cifarlab.store.record import RunRecord, config_hash
from cifarlab.store.run import Run
from tests.conftest import plain

KEPT = Path(__file__).parent / "kept"
TRAINED = ["4_0_6b275009", "4_1_35ed1035"]


def test_a_sweeps_tables_are_the_same(tmp_path) -> None:
    folder = shutil.copytree(KEPT / "sweep", tmp_path / "sweep")
    said = write_report(folder)
    for name in ("results.csv", "summary.csv"):
        assert (folder / name).read_text() == (KEPT / "expected" / name).read_text()
    assert "9.17" in said and "Error in call to target" in said


@pytest.mark.parametrize("name", TRAINED)
def test_a_runs_parts_fit_each_other(name: str) -> None:
    run = Run.finished(KEPT / "sweep" / name)
    test = run.answers.test
    assert (test.logits.argmax(1) == test.labels).mean() == pytest.approx(run.measure("test_acc"))
    assert [row["epoch"] for row in run.epochs] == [1, 2]
    assert run.value("model.hidden") == "[4]"


@pytest.mark.parametrize("name", TRAINED)
def test_the_same_words_still_mean_the_same_run(name: str) -> None:
    """Else a sweep of before would be trained again when it is typed again."""
    record = RunRecord.load(KEPT / "sweep" / name)
    assert config_hash(plain(*record.overrides)) == record.config_hash


def test_a_net_answers_as_it_did(cache) -> None:
    folder = KEPT / "sweep" / TRAINED[1]
    loaded = load_run(folder)
    data = instantiate(loaded.config["data"] | {"cache_dir": str(cache)}, _convert_="all")
    data.setup()
    with torch.inference_mode():
        batches = data.eval_loader("test", torch.device("cpu"))
        logits = np.concatenate([loaded.net(images).numpy() for images, _ in batches])
    kept = Run.finished(folder).answers.test.logits
    assert logits == pytest.approx(kept, abs=2e-3), "kept in float16"


def test_an_interrupted_run_goes_on_elsewhere(tmp_path, cache) -> None:
    """It was best after its first epoch; that is known although the folder has moved."""
    folder = shutil.copytree(KEPT / "interrupted", tmp_path / "moved")
    before = read_checkpoint(folder / BEST)
    assert before["epoch"] == 0
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["data"]["cache_dir"] = str(cache)
    record = train(config, folder)
    assert record is not None
    assert (record.best_epoch, record.epochs_run, record.status) == (1, 9, "completed")
    kept = list(csv.DictReader((KEPT / "expected/undisturbed_metrics.csv").read_text().split()))
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().split()))
    for row, expected in zip(rows, kept, strict=True):
        for name in ("epoch", "step", "lr", "train_loss", "train_acc", "val_loss", "val_acc"):
            assert float(row[name]) == pytest.approx(float(expected[name]), rel=1e-3), name
    states = read_checkpoint(folder / LAST)["callbacks"]
    assert len(states) >= 2 and str(tmp_path) not in str(states), "files, not paths"
    assert read_checkpoint(folder / BEST)["epoch"] == 0
