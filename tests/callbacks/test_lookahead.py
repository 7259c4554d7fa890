"""Slow weights, beside the rule written out."""

from pathlib import Path

import pytest
import torch
from torch import nn

from cifarlab.callbacks import Lookahead
from cifarlab.store.checkpoint import BEST, LAST, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord
from tests.callbacks.test_averaging import OPTIONS


def test_what_is_kept() -> None:
    callback = Lookahead(decay=0.9, update_every_n_steps=2)
    assert callback.kept(50, 100) == pytest.approx(0.81 / 8)
    assert callback.kept(100, 100) == 1.0


def test_by_hand() -> None:
    net, callback = nn.Linear(1, 1, bias=False), Lookahead()
    weight = net.weight.data
    values, slow = [1.0, 3.0, 5.0], []
    for value, kept in zip(values, (0.5, 0.75, 1.0), strict=True):
        weight.fill_(value)
        callback.update(net, kept)
        slow.append(weight.item())
    assert slow == [1.0, 1.0 + 0.25 * 2.0, 1.5], "begun with the weights; the slow ones stand"


def test_buffers_too() -> None:
    norm, callback = nn.BatchNorm1d(2), Lookahead()
    callback.update(norm, 0.5)
    assert norm.running_mean is not None and norm.num_batches_tracked is not None
    norm.running_mean.fill_(2.0)
    norm.num_batches_tracked.fill_(7)
    callback.update(norm, 0.5)
    assert norm.running_mean.tolist() == [1.0, 1.0] and norm.num_batches_tracked == 7


def test_a_run_and_the_same_interrupted(run_here, tmp_path: Path) -> None:
    """Weights change by it, and a run that goes on after an epoch is the whole one to the bit."""
    typed = [
        *OPTIONS,
        "callbacks=[default,lookahead]",
        "callbacks.lookahead.update_every_n_steps=3",
    ]
    whole = run_here(tmp_path / "whole", *typed)
    without = run_here(tmp_path / "without", *OPTIONS)
    state = net_weights(read_checkpoint(whole / LAST))
    other = net_weights(read_checkpoint(without / LAST))
    assert not all(torch.equal(state[name], other[name]) for name in state)
    assert RunRecord.load(whole).status == "completed"
    kept = read_checkpoint(whole / LAST)["callbacks"]
    mine = next(value for name, value in kept.items() if "Lookahead" in name)
    assert mine["step"] == 20 and len(mine["slow"]) > 4
    trained = [v for v in state.values() if v.is_floating_point()]
    assert sum(any(torch.equal(s, v) for v in trained) for s in mine["slow"]) == len(mine["slow"])
    assert (whole / BEST).exists()
