"""Residual networks with batch norm and ReLU before the convolutions (He et al., arXiv:1603.05027),
and the wide ones among them (Zagoruyko and Komodakis, arXiv:1605.07146)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.schema import check_arguments
from cifarlab.models.blocks import dropout_layer, initialize, stages


class PreActBlock(nn.Module):
    """Batch norm, ReLU, conv3x3, batch norm, ReLU, [dropout], conv3x3, plus the input.

    Where shapes differ the input passes a 1x1 convolution, after the first batch norm and ReLU.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float | None) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.relu = nn.ReLU()
        self.drop = dropout_layer(dropout)
        self.shortcut: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height_out width_out"]:
        active = self.relu(self.bn1(x))
        y = self.conv2(self.drop(self.relu(self.bn2(self.conv1(active)))))
        return y + (x if self.shortcut is None else self.shortcut(active))


class PreActResNet(nn.Module):
    """A 3x3 convolution, stages of pre-activation blocks that halve the maps from the second stage
    on, batch norm, ReLU, global average pooling, and a dense layer.

    Args:
        stem: channels of the first convolution.
        widths: channels of the stages.
        depths: blocks in each of them.
        num_classes, image_size, in_channels: as ``ResNet``'s.
        dropout: probability in [0, 1) between the convolutions of each block, as in wide ResNets;
            ``None`` is 0.
        init: see ``cifarlab.models.blocks.initialize``.
    """

    def __init__(
        self,
        stem: int,
        widths: Sequence[int],
        depths: Sequence[int],
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        init: str = "default",
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.stages = stages(stem, widths, depths, partial(PreActBlock, dropout=dropout))
        self.norm = nn.BatchNorm2d(widths[-1])
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(widths[-1], num_classes)
        initialize(self, init)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        maps = self.relu(self.norm(self.stages(self.stem(images))))
        return self.fc(self.pool(maps).flatten(1))


class WideResNet(PreActResNet):
    """WRN-``depth``-``widen``: three stages of 16, 32 and 64 channels times ``widen``.

    Args:
        depth: convolutions along the path, the paper's count: 6 n + 4.
        widen: factor of the stages' channels.
        options: of ``PreActResNet``.

    Raises:
        UserError: a depth that is not 6 n + 4.
    """

    def __init__(self, depth: int = 28, widen: int = 10, **options: Any) -> None:
        check_arguments(WideResNet, depth=depth)
        widths = [16 * widen, 32 * widen, 64 * widen]
        super().__init__(16, widths, [(depth - 4) // 6] * 3, **options)
