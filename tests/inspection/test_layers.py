import pytest
import torch
from torch import nn

from cifarlab.base.errors import UserError
from cifarlab.inspection import (
    as_pictures,
    calls,
    capture,
    count_macs,
    first_layer,
    last_maps,
    maps_of,
)
from cifarlab.store.checkpoint import build_net
from tests.conftest import plain


def net_of(*overrides: str) -> nn.Module:
    torch.manual_seed(0)
    return build_net(plain(*overrides)["model"], num_classes=10, image_size=32)


@pytest.mark.parametrize(
    ("overrides", "first", "last", "shape"),
    [
        (["model=baseline"], "features.conv1", "features.act3", (128, 8, 8)),
        (["model=resnet18"], "stem.0", "stages", (512, 4, 4)),
        (["model=preact_resnet18"], "stem", None, (512, 4, 4)),
        (["model=densenet", "model.depth=40"], None, None, (132, 8, 8)),
        (["model=vgg11_bn"], "backbone.features.0", "backbone.features.27", (512, 2, 2)),
        (
            ["model=torchvision", "model.resize=224"],
            "backbone.conv1",
            "backbone.layer4",
            (512, 7, 7),
        ),
        (  # channels last after its only convolution
            ["model=torchvision", "model.name=swin_t", "model.resize=null"],
            "backbone.features.0.0",
            "backbone.features.0.0",
            (96, 8, 8),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_first_layer_and_last_maps(overrides, first, last, shape) -> None:
    made = calls(net_of(*overrides), 32)
    assert first in (None, first_layer(made).name)
    assert last in (None, last_maps(made).name)
    assert last_maps(made).shape == (1, *shape)


def test_a_net_without_convolutions_has_no_maps() -> None:
    made = calls(net_of("model=mlp"), 32)
    assert first_layer(made).name == "layers.fc1"
    assert last_maps(made) is None
    assert maps_of(made, "layers.act1").shape == (1, 200)


def test_a_dense_layers_weights_are_pictures() -> None:
    weight = torch.arange(2 * 3 * 16.0).view(2, 48)
    pictures = as_pictures(weight)
    assert pictures.shape == (2, 3, 4, 4)
    image = torch.randn(3, 4, 4)
    assert torch.allclose((pictures * image).sum((1, 2, 3)), weight @ image.flatten())
    assert as_pictures(weight[:, :7]).shape == (2, 1, 1, 7), "no flattened image: a row"


def test_a_net_may_have_no_layer_to_show() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert first_layer(calls(net, 8)) is None


def test_a_wrong_name_lists_the_allowed_ones() -> None:
    made = calls(net_of("model=baseline"), 32)
    with pytest.raises(UserError, match=r"^layer=conv1: no such layer; allowed: features.conv1, "):
        maps_of(made, "conv1")
    allowed = str(pytest.raises(UserError, maps_of, made, "x").value).partition("allowed: ")[2]
    for name in allowed.split(", "):
        maps_of(made, name)


def test_a_size_that_the_net_does_not_take_is_told() -> None:
    with pytest.raises(UserError, match="^size=40: the net takes no images of 40x40 pixels"):
        calls(net_of("model=baseline"), 40)


class InPlace(nn.Module):
    """The same activation twice, in place, and an addition in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        self.bn = nn.BatchNorm2d(3)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn(self.act(self.conv(x)))
        y += x
        return self.act(y).mean((2, 3))


@pytest.mark.parametrize(
    ("overrides", "size"),
    [
        (["model=densenet", "model.depth=10", "model.growth=4"], 2),
        (["model=timm", "model.name=test_vit", "model.resize=null"], 12),
    ],
)
def test_images_of_a_size_that_the_model_does_not_take(overrides: list[str], size: int) -> None:
    net = build_net(plain(*overrides)["model"], num_classes=2, image_size=size)
    with pytest.raises(UserError, match=f"images of {size} px: the model takes none of that size"):
        count_macs(net, size)
    with pytest.raises(RuntimeError):  # a mistake in one's own
        count_macs(nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), size)


def test_capture_keeps_values_that_are_overwritten_and_modes() -> None:
    net = InPlace()
    nn.init.dirac_(net.conv.weight)
    net.train()
    net.bn.eval()
    image = torch.randn(3, 5, 5)
    found = {name: capture(net, image, name) for name in ("conv", "bn", "act")}
    scaled = image.relu() / (1 + net.bn.eps) ** 0.5
    torch.testing.assert_close(found["conv"], image)
    torch.testing.assert_close(found["bn"], scaled)
    torch.testing.assert_close(found["act"], (scaled + image).relu())  # of two calls the last
    assert net.training and net.act.training and not net.bn.training
    assert net.bn.running_mean.eq(0).all(), "eval mode: statistics stay"
    assert not any(module._forward_hooks for module in net.modules())
