"""As test_resume.py, for what keeps a state of its own: optimizers, schedules, averages."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cifarlab.store.checkpoint import LAST, read_checkpoint
from tests.test_resume import Cut, same

COMMON = [
    "model=baseline",
    "model.batchnorm=true",
    "dropout=0.3",
    "aug=crop_flip",
    "optimizer.lr=0.01",
    "max_epochs=5",
]
OPTIONS = {
    "muon": ["optimizer=muon", "scheduler=cosine", "decay_all=false"],
    # the rate falls in epochs 3 and 5, on whatever the loss does
    "plateau": ["scheduler=plateau", "scheduler.patience=0", "scheduler.threshold=0.5"],
    "ema": ["callbacks=[default,ema]", "callbacks.ema.decay=0.9"],
    "ema_late": ["callbacks=ema", "callbacks.ema.update_starting_at_step=10"],
    "swa": ["callbacks=[default,swa]", "callbacks.swa.start_epoch=2"],
    "lookahead": ["callbacks=[default,lookahead]", "callbacks.lookahead.update_every_n_steps=3"],
}
SPEEDRUN = [
    "experiment=speedrun",
    "model=speednet",
    "model.widths=[8,8,8]",
    "callbacks=[progressive,lookahead,hard_examples,freeze]",
    "callbacks.progressive.from_epochs=[1,3]",
    "callbacks.freeze.parameters=[first,blocks.0]",
    "callbacks.freeze.from_epoch=3",
    "batch_size=64",
    "max_epochs=5",
]


def cut_at(step: int, hook: str, save: Path | None = None) -> tuple[str, Callable[..., None]]:
    """A hook and what it does: end the run after optimizer step number ``step``."""

    def cut(self: object, trainer, *_: object) -> None:
        if trainer.global_step == step:
            if save:
                trainer.save_checkpoint(save)
            raise Cut

    return hook, cut


SLOW = {"muon", "plateau", "ema", "swa", "lookahead"}  # others keep states of the same kinds


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else [])
        for n in [*OPTIONS, "speedrun"]
    ],
)
def test_cut_and_resumed(run_here, tmp_path, monkeypatch, name: str) -> None:
    """Between epochs and between two steps; 4 steps an epoch."""
    from cifarlab.callbacks import SeedEachStep

    options = SPEEDRUN if name == "speedrun" else [*COMMON, *OPTIONS[name]]
    whole = run_here(tmp_path / "whole", *options)
    cuts = {
        "next_epoch": (12, "on_train_epoch_start", False),
        "step": (14, "on_train_batch_end", True),
        "first_epoch": (2, "on_train_batch_end", True),
    }
    for place, (step, hook, saves) in cuts.items():
        folder = tmp_path / place
        with monkeypatch.context() as patch:
            at = cut_at(step, hook, folder / LAST if saves else None)
            patch.setattr(SeedEachStep, *at, raising=False)
            with pytest.raises(Cut):
                run_here(folder, *options)
        run_here(folder, *options)
        if saves:  # the measured loss of a part of an epoch is another
            a, b = read_checkpoint(whole / LAST), read_checkpoint(folder / LAST)
            for key in ("state_dict", "current_model_state"):
                for weight, value in a.get(key, {}).items():
                    assert torch.equal(value, b[key][weight]), (place, weight)
        else:
            same(whole, folder)


def test_the_plateau_was_reached(run_here, tmp_path) -> None:
    """Else the test above would say nothing of it."""
    folder = run_here(tmp_path / "run", *COMMON, *OPTIONS["plateau"])
    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    rates = [float(row.split(",")[2]) for row in rows]
    assert rates[0] == 0.01 and rates[1] == pytest.approx(0.001) and rates[2] < rates[1]
