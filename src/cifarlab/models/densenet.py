"""Densely connected networks for small images (Huang et al., arXiv:1608.06993)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.schema import check_arguments
from cifarlab.models.blocks import dropout_layer, initialize


class DenseLayer(nn.Module):
    """Batch norm, ReLU, conv1x1 to ``4 growth`` channels, batch norm, ReLU, conv3x3 to ``growth``,
    [dropout]; its output is laid behind its input, channel by channel."""

    def __init__(self, inputs: int, growth: int, dropout: float | None) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.drop = dropout_layer(dropout)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height width"]:
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        return torch.cat([x, self.drop(y)], dim=1)


class DenseNet(nn.Module):
    """DenseNet-BC: three dense blocks, between them 1x1 convolutions that keep half the channels
    and 2x2 average pooling, at the end batch norm, ReLU, global average pooling, a dense layer.

    Args:
        depth: layers with weights, the paper's count: 6 n + 4 (n dense layers a block).
        growth: channels that a dense layer adds.
        num_classes, image_size, in_channels: as ``ResNet``'s.
        dropout: probability in [0, 1) after each dense layer; ``None`` is 0.
        init: see ``cifarlab.models.blocks.initialize``.

    Raises:
        UserError: a depth that is not 6 n + 4.
    """

    def __init__(
        self,
        depth: int = 100,
        growth: int = 12,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        init: str = "default",
    ) -> None:
        super().__init__()
        check_arguments(DenseNet, depth=depth)
        channels = 2 * growth
        self.stem = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.blocks = nn.Sequential()
        for number in range(3):
            if number > 0:
                self.blocks.append(_transition(channels, channels // 2))
                channels //= 2
            for _ in range((depth - 4) // 6):
                self.blocks.append(DenseLayer(channels, growth, dropout))
                channels += growth
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        initialize(self, init)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        maps = self.relu(self.norm(self.blocks(self.stem(images))))
        return self.fc(self.pool(maps).flatten(1))


def _transition(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.AvgPool2d(2),
    )
