"""Against captum's, on a net with what makes hooks err: shared and in-place activations."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from cifarlab.inspection import grad_cam


class Small(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU(inplace)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.end = nn.ReLU(inplace)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(24, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.act(self.stem(x))
        y = self.end(self.bn(self.conv(y)) + y)
        return self.fc(self.pool(y).flatten(1))


@pytest.fixture(params=[False, True], ids=["copying", "in place"])
def nets(request) -> tuple[Small, Small]:
    """The net to explain, and one of the same weights that captum, too, can explain."""
    torch.manual_seed(0)
    net, plain = Small(inplace=request.param), Small(inplace=False)
    plain.load_state_dict(net.state_dict())
    return net.eval(), plain.eval()


@pytest.mark.parametrize("layer", ["stem", "act", "conv", "bn", "end", "pool"])
@pytest.mark.parametrize("label", [0, 3])
def test_as_captum(nets: tuple[Small, Small], layer: str, label: int) -> None:
    net, plain = nets
    image = torch.randn(3, 8, 8)
    theirs = LayerGradCam(plain, plain.get_submodule(layer)).attribute(
        image[None], target=label, relu_attributions=True
    )
    ours = grad_cam(net, image, layer, label)
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs[0, 0].detach())


def test_it_leaves_the_net_alone_and_works_on_a_frozen_one(nets: tuple[Small, Small]) -> None:
    net, _ = nets
    image = torch.randn(3, 8, 8)
    ours = grad_cam(net, image, "end", 1)
    assert all(parameter.grad is None for parameter in net.parameters())
    net.requires_grad_(False)
    with torch.inference_mode(False), torch.no_grad():
        torch.testing.assert_close(grad_cam(net, image, "end", 1), ours)


def test_by_hand() -> None:
    """A net that averages its only map: every place speaks for the class as its value says."""
    net = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(net[0].weight, 2.0)
    image = torch.tensor([[[1.0, -1.0], [3.0, 0.0]]])
    assert grad_cam(net, image, "0", 0).tolist() == [[0.5, 0.0], [1.5, 0.0]]  # 2 x / 4 places
