import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.models.densenet import DenseLayer, DenseNet
from cifarlab.models.preact import PreActBlock, PreActResNet, WideResNet


def test_a_block_of_zeros_is_the_identity() -> None:
    block = PreActBlock(4, 4, stride=1, dropout=None)
    torch.nn.init.zeros_(block.conv2.weight)
    images = torch.randn(2, 4, 6, 6)
    assert torch.equal(block(images), images), "no ReLU after the sum, unlike the first ResNets"


def test_the_shortcut_of_another_shape_is_taken_after_the_activation() -> None:
    block = PreActBlock(4, 8, stride=2, dropout=None)
    torch.nn.init.zeros_(block.conv2.weight)
    images = torch.randn(2, 4, 6, 6)
    active = block.relu(block.bn1(images))
    assert torch.equal(block(images), block.shortcut(active))


def test_wide_resnets_are_counted_as_in_the_paper() -> None:
    net = WideResNet(depth=16, widen=2)
    assert [len(stage) for stage in net.stages] == [2, 2, 2]
    assert [stage[-1].conv2.out_channels for stage in net.stages] == [32, 64, 128]
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 16, "the three shortcuts count"
    with pytest.raises(UserError, match="WideResNet.depth=20: must be 6 n"):
        WideResNet(depth=20)


def test_preact_halves_from_the_second_stage_on() -> None:
    net = PreActResNet(8, [8, 16, 32, 64], [1, 1, 1, 1])
    assert net.stages(torch.zeros(1, 8, 32, 32)).shape == (1, 64, 4, 4)


def test_a_dense_layer_keeps_its_input_in_front() -> None:
    layer = DenseLayer(6, growth=4, dropout=None)
    images = torch.randn(2, 6, 5, 5)
    out = layer(images)
    assert out.shape == (2, 10, 5, 5) and torch.equal(out[:, :6], images)


def test_densenet_has_three_blocks_of_its_depth() -> None:
    net = DenseNet(depth=40, growth=12)
    assert sum(isinstance(module, DenseLayer) for module in net.blocks) == 36 // 6 * 3
    assert net.blocks(net.stem(torch.zeros(1, 3, 32, 32))).shape[2:] == (8, 8)
    with pytest.raises(UserError, match="DenseNet.depth=41: must be 6 n"):
        DenseNet(depth=41)
