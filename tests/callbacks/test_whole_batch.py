"""Random layers under several processes drop what one process drops."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from cifarlab.base import shares
from cifarlab.callbacks.whole_batch import is_random, share_out

CONTIGUOUS = torch.randn(12, 6, 5, 4)
BATCHES = {
    "contiguous": CONTIGUOUS,
    "channels_last": CONTIGUOUS.to(memory_format=torch.channels_last),
    "transposed": CONTIGUOUS.transpose(1, 3),  # as a vision transformer's patches
    "rows": torch.randn(12, 7),
    "bf16": CONTIGUOUS.bfloat16(),
}
LAYERS: dict[str, Callable[[], nn.Module]] = {
    "dropout": lambda: nn.Dropout(0.3),
    "in place": lambda: nn.Dropout(0.3, inplace=True),
    "channels": lambda: nn.Dropout2d(0.3),
    "alpha": lambda: nn.AlphaDropout(0.3),
    "depth": lambda: StochasticDepth(0.3, "row"),
}


def drawn(layer: nn.Module, batch: Tensor) -> tuple[Tensor, Tensor]:
    """What the layer makes of the batch, and the gradient of the sum of squares."""
    torch.manual_seed(5)
    given = batch.clone().requires_grad_()
    out = layer(given * 1)  # a leaf cannot be changed in place
    out.float().square().sum().backward()
    assert given.grad is not None
    return out.detach(), given.grad


@pytest.mark.parametrize("world_size", [2, 3, 12])
@pytest.mark.parametrize(
    ("name", "of"),
    [(n, b) for n in LAYERS for b in BATCHES if n != "channels" or BATCHES[b].ndim == 4],
)
def test_each_row_as_in_one_process(name: str, of: str, world_size: int) -> None:
    layer, batch = LAYERS[name](), BATCHES[of]
    expected, gradient = drawn(layer, batch)
    assert not torch.equal(expected, batch)
    for rank in range(world_size):
        handles = share_out(layer, rank, world_size)
        mine = shares.own(batch, rank, world_size)
        out, mine_gradient = drawn(layer, mine)
        assert torch.equal(out, expected[rank::world_size])
        assert torch.equal(mine_gradient, gradient[rank::world_size])
        assert out.stride() == mine.stride(), "laid out in memory as it came"
        for handle in handles:
            handle.remove()


def test_what_draws_nothing_is_left_alone() -> None:
    net = nn.Sequential(nn.Linear(7, 7), nn.Dropout(0.0), nn.Dropout(0.5), nn.ReLU())
    assert [is_random(layer) for layer in net] == [False, False, True, False]
    names = list(net.state_dict())
    assert len(share_out(net, 1, 2)) == 2 and list(net.state_dict()) == names
    net.eval()
    assert net(torch.randn(3, 7)).shape == (3, 7), "in evaluation the rows are as they came"


def test_timms_stochastic_depth_is_known() -> None:
    layers = pytest.importorskip("timm.layers")
    assert is_random(layers.DropPath(0.1)) and not is_random(layers.DropPath(0.0))


def test_shares_make_up_the_batch() -> None:
    batch = torch.randn(11, 3, 4, 4).to(memory_format=torch.channels_last)
    parts = [shares.own(batch, rank, 3) for rank in range(3)]
    assert {len(part) for part in parts} == {3}, "two rows are left out"
    together = sum(shares.whole(part, rank, 3) for rank, part in enumerate(parts))
    assert torch.equal(together, batch[:9])
    alone = batch[:1].expand(1, 3, 4, 4)
    assert torch.equal(shares.whole(alone, 1, 2)[1], batch[0])
