import math

import pytest
import torch

from cifarlab.lit import optim

STEPS = 100


def rates(schedule, lr: float = 0.1, momentum: float = 0.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)
    scheduler = schedule(optimizer=optimizer, total_steps=STEPS)
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
