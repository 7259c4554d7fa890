import csv
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.data.datamodule import CIFAR10DataModule
from cifarlab.run.build import build
from cifarlab.run.lr_find import (
    HIGHEST,
    LOWEST,
    WINDOW,
    RangeTest,
    find_lr,
    smooth,
    suggest,
)
from tests import programs
from tests.conftest import ROOT, TINY, plain

RATES = np.geomspace(LOWEST, HIGHEST, 200)


def losses(noise: float, fall: float = 1.0) -> np.ndarray:
    """Falls fastest at 0.01, breaks down from 0.3 on."""
    distance = np.log10(RATES / 0.01)
    curve = 2.3 - fall / (1 + np.exp(-3 * distance)) + np.exp(4 * np.log10(RATES / 0.3))
    return curve + noise * np.random.RandomState(0).randn(len(RATES))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_suggestion_is_where_the_loss_falls_fastest(noise: float) -> None:
    assert 0.004 < suggest(RATES, losses(noise)) < 0.025


def test_no_suggestion_where_the_loss_does_not_fall() -> None:
    assert suggest(RATES, losses(noise=0.05, fall=0.0)) is None
    assert suggest(RATES[:30], 2.3 + RATES[:30]) is None


def test_smooth_by_hand() -> None:
    assert smooth(np.full(50, 2.0)) == pytest.approx(np.full(50, 2.0)), "not low at the ends"
    line = np.arange(50.0)
    assert smooth(line)[WINDOW : 50 - WINDOW] == pytest.approx(line[WINDOW : 50 - WINDOW])


def find(folder: Path, cache: Path, *overrides: str) -> Path:
    folder.mkdir(parents=True)
    find_lr(plain(*TINY, f"data.cache_dir={cache}", *overrides), folder)
    return folder


def test_it_finds_and_leaves_nothing_else(cache, tmp_path, monkeypatch, caplog) -> None:
    loaders = []
    handed_out = CIFAR10DataModule.eval_loader

    def counted(self, name, *arguments):
        loaders.append(name)
        return handed_out(self, name, *arguments)

    monkeypatch.setattr(CIFAR10DataModule, "eval_loader", counted)
    folder = tmp_path / "run"
    with caplog.at_level("INFO", logger="cifarlab"):
        find(folder, cache, "optimizer.momentum=0.9", "callbacks=[default,ema]")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"lr_find.csv", "figures/lr_find.png"}
    assert "test" not in loaders
    assert (folder / "figures" / "lr_find.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "lr_find.csv").open() as file:
        rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(file)]
    rates = [row["lr"] for row in rows]
    assert rates == sorted(rates) and rates[0] == LOWEST and max(rates) <= HIGHEST
    (said,) = [record.getMessage() for record in caplog.records if "lr" in record.getMessage()]
    assert said.startswith("optimizer.lr=")
    assert LOWEST <= float(said.partition("=")[2]) <= HIGHEST
    # at a rate of almost nothing the first losses are those of the untrained net
    data, module = build(plain(*TINY, f"data.cache_dir={tmp_path / 'cache'}"))
    batches = list(data.train_dataloader())
    with torch.inference_mode():
        fresh = [module.compute_loss(module(images), labels).item() for images, labels in batches]
    assert [row["loss"] for row in rows[:4]] == pytest.approx(fresh, rel=1e-3)


def test_accumulated_batches_are_one_step(cache, tmp_path) -> None:
    typed = ["trainer.accumulate_grad_batches=2", "+trainer.max_steps=2"]  # that is of a run
    folder = find(tmp_path / "run", cache, *typed)
    rows = list(csv.DictReader((folder / "lr_find.csv").read_text().splitlines()))
    assert 100 < len(rows) <= 200
    assert 2.2 < float(rows[0]["loss"]) < 3, "of a net that knows nothing: about ln 10, not half"


@pytest.mark.parametrize("hook", ["setup", "on_train_batch_start", "on_fit_end"])
def test_ctrl_c(cache, tmp_path, monkeypatch, hook: str) -> None:
    """Lightning would exit with 1, and without a word; before and after training it would leave
    SIGINT ignored."""

    def press(*_, **__) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(RangeTest, hook, press, raising=False)
    with pytest.raises(KeyboardInterrupt):
        find(tmp_path / "run", cache)
    after = signal.signal(signal.SIGINT, before)
    assert after is before


def test_refused(cache, tmp_path) -> None:
    with pytest.raises(UserError, match=r"0.001 of the `train_dataloader` but .* < 1"):
        find(tmp_path / "few", cache, "+trainer.limit_train_batches=0.001")
    with pytest.raises(UserError, match="finds one learning rate; this optimizer has several"):
        find(tmp_path / "run", cache, "optimizer=muon")


def test_the_program_and_the_old_key(train, tmp_path) -> None:
    done = programs.run(ROOT / "scripts" / "lr_find.py", *TINY, "name=x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "optimizer.lr=" in done.stdout or "no suggestion" in done.stdout
    assert len(list(tmp_path.glob("outputs/lr_find/x/*/lr_find.csv"))) == 1
    for arguments in (["lr_find=true"], ["-m", "lr_find=false,true", "seed=0,1"]):
        done = train(*arguments)
        assert done.returncode == 2, done.stderr
        assert "lr_find=true: is a program now: python scripts/lr_find.py" in done.stderr
