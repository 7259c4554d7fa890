import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cifarlab.inspection import DeadFilters
from cifarlab.store.checkpoint import build_net
from tests.conftest import plain


def conv(filters: int, dead: list[int]) -> nn.Conv2d:
    """All filters answer but ``dead``."""
    layer = nn.Conv2d(3, filters, 3, padding=1)
    layer.bias.data.fill_(2.0)
    layer.bias.data[dead] = -1e3
    return layer


def find(net: nn.Module, *batches: torch.Tensor, layer: str | None = None) -> DeadFilters:
    dead = DeadFilters(net, layer)
    for images in batches or (torch.rand(4, 3, 8, 8),):
        dead.see(images)
    return dead


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6(), nn.Hardswish()])
def test_filters_that_never_answer_are_found(act: nn.Module) -> None:
    net = nn.Sequential(conv(3, [1]), nn.BatchNorm2d(3), act, conv(5, [0, 4]), nn.MaxPool2d(2), act)
    dead = find(net, torch.rand(2, 3, 8, 8), torch.rand(3, 3, 8, 8), layer="2")
    assert dead.by_layer == {"0": [1], "3": [0, 4]}
    assert dead.of_layer == [0, 4] and dead.filters == 8 and dead.images == 5


def test_one_answer_on_one_image_is_life() -> None:
    net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.ReLU())
    net[0].weight.data.fill_(1.0)
    net[0].bias.data.fill_(-2.9)
    dark, one = torch.zeros(5, 3, 4, 4), torch.zeros(5, 3, 4, 4)
    one[3, :, 2, 1] = 1.0
    assert find(net, dark).by_layer == {"0": [0]}
    assert find(net, one, dark).by_layer == find(net, dark, one).by_layer == {"0": []}


def test_activations_called_as_functions_are_seen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = conv(3, [2]), conv(3, [0]), conv(3, [1])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.relu(self.two(F.relu(self.one(x))))
            return self.three(x)  # no activation: nothing that could be found dead

    dead = find(Net(), layer="three")
    assert dead.by_layer == {"one": [2], "two": [0]}
    assert dead.of_layer == [], "its own maps, which are not zero"


def test_a_zero_filter_before_tanh_is_dead_but_one_that_saturates_is_not() -> None:
    net = nn.Sequential(conv(3, [1]), nn.Tanh())
    net[0].weight.data[2], net[0].bias.data[2] = 0, 0
    assert find(net).by_layer == {"0": [2]}


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "mobilenet_v3_small"])
def test_any_net(name: str) -> None:
    model = plain("model=torchvision", f"model.name={name}", "model.resize=64")["model"]
    net = build_net(model, num_classes=10, image_size=32)
    first = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    bn = next(m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    bn.bias.data[3] = -1e3
    dead = find(net, torch.randn(2, 3, 32, 32))
    where = next(n for n, m in net.named_modules() if m is first)
    assert 3 in dead.by_layer[where]
