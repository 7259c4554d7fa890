"""Averages of weights, against averages computed apart from the weights after every step."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from cifarlab.store.checkpoint import BEST, LAST, load_run, net_weights, read_checkpoint
from cifarlab.store.record import RunRecord

# 4 steps an epoch; batch norm, so that there are buffers
OPTIONS = ["model=baseline", "model.batchnorm=true", "max_epochs=5", "optimizer.lr=0.01"]
Weights = dict[str, Tensor]


def trained(run_here, folder: Path, monkeypatch, *overrides: str) -> list[Weights]:
    """Run; the floating-point state of the net that trains after each step."""
    from cifarlab.callbacks import SeedEachStep

    seen: list[Weights] = []

    def look(self: Callback, trainer, pl_module, *_: object) -> None:
        state = pl_module.net.state_dict().items()
        seen.append({k: v.double().clone() for k, v in state if v.is_floating_point()})

    with monkeypatch.context() as patch:
        patch.setattr(SeedEachStep, "on_train_batch_end", look, raising=False)
        run_here(folder, *OPTIONS, *overrides)
    assert len(seen) == 20
    return seen


def ema(seen: list[Weights], decay: float, every: int = 1, start: int = 0) -> Weights:
    used = [w for step, w in enumerate(seen) if step >= start and step % every == 0]
    average = used[0]
    for weights in used[1:]:
        average = {k: decay * v + (1 - decay) * weights[k] for k, v in average.items()}
    return average


def mean(seen: list[Weights]) -> Weights:
    return {k: torch.stack([weights[k] for weights in seen]).mean(0) for k in seen[0]}


def close(weights: Weights, expected: Weights) -> None:
    for name, value in expected.items():
        torch.testing.assert_close(
            weights[name].double(), value.double(), rtol=1e-4, atol=1e-6, msg=name
        )


CASES: dict[str, tuple[list[str], Callable[[list[Weights]], Weights]]] = {
    "ema": (
        ["callbacks=[default,ema]", "callbacks.ema.decay=0.9"],
        lambda seen: ema(seen, 0.9),
    ),
    "ema_alone_seldom_and_late": (
        [
            "callbacks=ema",
            "callbacks.ema.decay=0.5",
            "callbacks.ema.update_every_n_steps=3",
            "callbacks.ema.update_starting_at_step=7",
        ],
        lambda seen: ema(seen, 0.5, every=3, start=7),
    ),
    "swa": (
        ["callbacks=[default,swa]", "callbacks.swa.start_epoch=3"],
        lambda seen: mean(seen[11::4]),
    ),
    "swa_alone": (
        ["callbacks=swa", "callbacks.swa.start_epoch=1"],
        lambda seen: mean(seen[3::4]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_average(run_here, tmp_path, monkeypatch, case: str) -> None:
    overrides, average = CASES[case]
    folder = tmp_path / "run"
    seen = trained(run_here, folder, monkeypatch, *overrides)
    last = read_checkpoint(folder / LAST)
    close(net_weights(last), average(seen))
    current = {"state_dict": last["current_model_state"]}
    close(net_weights(current), seen[-1])
    assert any((average(seen)[k] - seen[-1][k]).abs().max() > 1e-4 for k in seen[-1])
    close(load_run(folder).net.state_dict(), net_weights(read_checkpoint(folder / BEST)))


@pytest.mark.parametrize("case", CASES)
def test_validation_and_the_record_are_of_the_average(
    run_here, tmp_path, monkeypatch, case: str
) -> None:
    """Each epoch's row is what the average by then gives, and the best of them is the record."""
    overrides, average = CASES[case]
    folder = tmp_path / "run"
    seen = trained(run_here, folder, monkeypatch, *overrides)
    with (folder / "metrics.csv").open() as file:
        losses = [float(row["val_loss"]) for row in csv.DictReader(file)]
    record = RunRecord.load(folder)
    assert record.metrics["val"]["loss"] == pytest.approx(min(losses), rel=1e-4)
    begun = {"ema_alone_seldom_and_late": 3, "swa": 3}.get(case, 1)  # epoch of the first update
    for epoch in range(1, 6):
        by_then = seen[: 4 * epoch]
        expected = average(by_then) if epoch >= begun else by_then[-1]
        assert losses[epoch - 1] == pytest.approx(loss_of(folder, expected), rel=1e-4), epoch


def loss_of(folder: Path, weights: Weights) -> float:
    """On the validation images, of a net with these weights."""
    from hydra.utils import instantiate

    run = load_run(folder)
    data = instantiate(run.config["data"], _convert_="all")
    data.setup()
    state = run.net.state_dict() | {name: value.float() for name, value in weights.items()}
    run.net.load_state_dict(state)
    batches = list(data.val_dataloader())
    with torch.inference_mode():
        logits = torch.cat([run.net(images) for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    return float(torch.nn.functional.cross_entropy(logits, labels))


def test_training_itself_is_not_changed(run_here, tmp_path, monkeypatch) -> None:
    plain = trained(run_here, tmp_path / "plain", monkeypatch, "callbacks=none")
    averaged = trained(run_here, tmp_path / "ema", monkeypatch, "callbacks=ema")
    assert all(torch.equal(plain[-1][name], value) for name, value in averaged[-1].items())
