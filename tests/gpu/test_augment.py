"""Every augmentation runs where the images lie."""

import pytest
import torch
from hydra.utils import instantiate
from torch import Generator, Tensor

from cifarlab.data.loader import Normalize, Policy
from tests.conftest import options, plain

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)


@pytest.mark.parametrize("name", options("aug"))
def test_an_augmentation(name: str, device: torch.device) -> None:
    """Shape, range and device of what it makes; the same for a seed, another for another."""
    operations = instantiate(plain(f"aug={name}")["data"]["augment"] or {}, _convert_="all")
    policy = Policy(list(operations.values()), Normalize(MEAN, STD, device), num_classes=10)
    drawn = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (64, 32, 32, 3), dtype=torch.uint8, generator=drawn).to(device)
    labels = (torch.arange(64) % 10).to(device)

    def batch(seed: int) -> tuple[Tensor, Tensor]:
        generator = Generator(device=device).manual_seed(seed)
        return policy(pixels.permute(0, 3, 1, 2), labels, generator)

    images, targets = batch(1)
    assert images.shape == (64, 3, 32, 32) and images.dtype == torch.float32
    assert images.device.type == targets.device.type == device.type
    lowest = torch.tensor([-m / s for m, s in zip(MEAN, STD, strict=True)], device=device)
    highest = torch.tensor([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)], device=device)
    channels = images.transpose(0, 1).flatten(1)
    assert (channels.amin(1) >= lowest - 1e-4).all() and (channels.amax(1) <= highest + 1e-4).all()
    if policy.mix_ops:
        torch.testing.assert_close(targets.sum(1), torch.ones(64, device=device))
    else:
        assert torch.equal(targets, labels)
    again, others = batch(1), batch(2)
    assert torch.equal(again[0], images) and torch.equal(again[1], targets)
    assert torch.equal(others[0], images) == (name == "none")
