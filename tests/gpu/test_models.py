"""Every architecture does on a GPU, in 32 bits, what it does on the CPU."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.models.test_contract import MODELS, net

# what the driver warns of is not ours
pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]


def step(subject: nn.Module, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, gradients and weights after a training step, on the CPU."""
    subject = copy.deepcopy(subject).to(device, memory_format=torch.channels_last).train()
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(1)).to(device)
    labels = (torch.arange(16) % 10).to(device)
    optimizer = torch.optim.SGD(subject.parameters(), lr=0.01)
    logits = subject(images)
    F.cross_entropy(logits, labels).backward()
    optimizer.step()
    gradients = [p.grad.flatten() for p in subject.parameters() if p.grad is not None]
    weights = [p.detach().flatten() for p in subject.parameters()]
    return logits.detach().cpu(), torch.cat(gradients).cpu(), torch.cat(weights).cpu()


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("model", MODELS)
def test_a_step_is_that_of_the_cpu(
    model: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # 10 bits of 23
    subject = net(model, "dropout=0")
    logits, gradients, weights = step(subject, device)
    expected = step(subject, torch.device("cpu"))
    assert apart(logits, expected[0]) < 1e-3
    assert apart(gradients, expected[1]) < 3e-2  # batch norm over 16 images adds up rounding
    assert apart(weights, expected[2]) < 1e-4
