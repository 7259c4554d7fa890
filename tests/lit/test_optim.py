import math
from functools import partial

import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.lit import optim
from cifarlab.store.checkpoint import LAST, read_checkpoint

STEPS = 100


EPOCH = 10


def rates(schedule, lr: float = 0.1, momentum: float = 0.0, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)
    sizes = {"total_steps": STEPS, "steps_per_epoch": EPOCH}
    scheduler = schedule(optimizer=optimizer, **sizes, **options)
    seen = []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["momentum"] == momentum, "no schedule touches the momentum"
    return seen


def test_constant() -> None:
    assert rates(optim.constant) == [0.1] * STEPS


def test_cosine_against_the_formula() -> None:
    expected = [0.05 * (1 + math.cos(math.pi * t / STEPS)) for t in range(STEPS)]
    assert rates(optim.cosine) == pytest.approx(expected)


def test_onecycle_rises_to_the_peak_and_ends_low() -> None:
    seen = rates(optim.onecycle, momentum=0.9)
    assert seen[0] == pytest.approx(0.1 / 25)
    assert max(seen) == pytest.approx(0.1, rel=1e-3)
    assert seen.index(max(seen)) in (29, 30)
    assert seen[-1] == pytest.approx(0.1 / 25 / 1e4, rel=1e-3)


def test_linear() -> None:
    assert rates(optim.linear) == pytest.approx([0.1 * (1 - t / STEPS) for t in range(STEPS)])
    rise = [0.1 * (t + 1) / 11 for t in range(10)]
    fall = [0.1 * (1 - 0.8 * t / 90) for t in range(90)]
    seen = rates(optim.linear, warmup_epochs=1, final_factor=0.2)
    assert seen == pytest.approx(rise + fall)
    with pytest.raises(UserError, match="scheduler.warmup_epochs=10: must leave some of the run's"):
        rates(optim.linear, warmup_epochs=10)


def test_cosine_with_warmup() -> None:
    seen = rates(optim.cosine, warmup_epochs=2, final_lr=0.01)
    rise = [0.1 * (t + 1) / 21 for t in range(20)]
    fall = [0.01 + 0.045 * (1 + math.cos(math.pi * t / 80)) for t in range(80)]
    assert seen == pytest.approx(rise + fall)
    with pytest.raises(UserError, match="scheduler.warmup_epochs=10: must leave some of the run's"):
        rates(optim.cosine, warmup_epochs=10)


def test_step() -> None:
    seen = rates(optim.step, every=4, gamma=0.5)
    assert seen == pytest.approx([0.1] * 40 + [0.05] * 40 + [0.025] * 20)


def test_triangular() -> None:
    seen = rates(optim.triangular, base_factor=0.2, half_cycle=2)
    up = [0.02 + 0.08 * t / 20 for t in range(20)]
    down = [0.1 - 0.08 * t / 20 for t in range(20)]
    assert seen == pytest.approx(((up + down) * 3)[:STEPS])


def test_every_schedule_keeps_the_proportion_of_two_groups() -> None:
    for schedule in (optim.constant, optim.step, optim.cosine, optim.onecycle, optim.triangular):
        groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in (0.1, 0.01)]
        optimizer = torch.optim.SGD(groups)
        scheduler = schedule(optimizer=optimizer, total_steps=STEPS, steps_per_epoch=EPOCH)
        for _ in range(50):
            optimizer.step()
            scheduler.step()
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert first == pytest.approx(10 * second)


def test_weight_decay_can_spare_biases_and_norms() -> None:
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )
    parts = [optim.Part(list(net.parameters()))]
    (everything,) = optim.param_groups(parts, lr=1.0, decay_all=True)
    assert len(everything["params"]) == 6
    weights, rest = optim.param_groups(parts, lr=1.0, decay_all=False)
    assert [p.shape for p in weights["params"]] == [(4, 3, 3, 3), (2, 4)]
    assert len(rest["params"]) == 4 and rest["weight_decay"] == 0.0
    before = [parameter.clone() for parameter in net.parameters()]
    groups = optim.param_groups(parts, lr=1.0, decay_all=False)
    optimizer = torch.optim.SGD(groups, lr=1.0, weight_decay=0.5)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    halved = [torch.equal(a / 2, b) for a, b in zip(before, net.parameters(), strict=True)]
    assert halved[0] and not torch.equal(before[0], net[0].weight)
    assert torch.equal(before[1], net[0].bias) and torch.equal(before[2], net[1].weight)


def test_parts_have_learning_rates_of_their_own() -> None:
    head, backbone = torch.nn.Linear(3, 2), torch.nn.Linear(3, 3)
    parts = [optim.Part([*head.parameters()]), optim.Part([*backbone.parameters()], 0.1)]
    for decay_all, rates in ((True, [0.5, 0.05]), (False, [0.5, 0.5, 0.05, 0.05])):
        groups = optim.param_groups(parts, lr=0.5, decay_all=decay_all)
        assert [group["lr"] for group in groups] == pytest.approx(rates)
        optimizer = torch.optim.SGD(groups, lr=0.5)
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx(rates)


def test_plateau() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = optim.plateau(optimizer, STEPS, EPOCH, factor=0.5, patience=1, min_lr=0.03)
    seen = []
    for loss in (2.0, 1.0, 1.0, 0.99999, 0.9, 0.9, 0.9, 0.9, 0.9):
        optimizer.step()
        scheduler.step(loss)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03]
    with pytest.raises(UserError, match=r"plateau.factor=1: must be a number in \(0, 1\)"):
        optim.plateau(optimizer, STEPS, EPOCH, factor=1)


def test_adam_in_one_kernel_is_adam() -> None:
    for cls in (torch.optim.Adam, torch.optim.AdamW):
        weights = [torch.nn.Parameter(torch.linspace(-1, 1, 60).view(3, 20)) for _ in range(2)]
        made = partial(cls, lr=0.01, weight_decay=0.1)
        optimizers = [make([w]) for make, w in zip((made, optim.fused(made)), weights, strict=True)]
        assert [o.param_groups[0]["fused"] for o in optimizers] == [None, True]
        for _ in range(5):
            for weight, optimizer in zip(weights, optimizers, strict=True):
                weight.grad = weight.detach().sin() ** 2
                optimizer.step()
        torch.testing.assert_close(*weights)
        assert (weights[0] - torch.linspace(-1, 1, 60).view(3, 20)).abs().max() > 0.04


def test_other_optimizers_stay_as_they_are() -> None:
    for kept in (
        partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        partial(torch.optim.Adam, lr=0.1, foreach=True),
        partial(torch.optim.Adam, lr=0.1, fused=False),
    ):
        assert optim.fused(kept) is kept


@pytest.mark.parametrize(("clip", "fuses"), [("null", True), ("1.0", None)])
def test_a_run_whose_gradients_are_clipped_has_the_loop(
    run_here, tmp_path, clip: str, fuses: bool | None
) -> None:
    """Lightning refuses to clip for a fused one."""
    options = ["optimizer=adamw", f"trainer.gradient_clip_val={clip}", "logger=none"]
    folder = run_here(tmp_path / "run", *options, "trainer.precision=bf16-mixed")
    (state,) = read_checkpoint(folder / LAST)["optimizer_states"]
    assert [group["fused"] for group in state["param_groups"]] == [fuses]
