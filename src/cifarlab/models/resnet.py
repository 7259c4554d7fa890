"""Residual networks for small images (He et al., arXiv:1512.03385, with a 3x3 stem)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.models.blocks import dropout_layer, initialize, stages


class BasicBlock(nn.Module):
    """Conv3x3, batch norm, ReLU, conv3x3, batch norm, plus the input, ReLU.

    The input passes a 1x1 convolution and batch norm where its shape differs (option B).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.add_module("conv", nn.Conv2d(inputs, outputs, 1, stride, bias=False))
            self.shortcut.add_module("bn", nn.BatchNorm2d(outputs))

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height_out width_out"]:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """A 3x3 stem of stride 1, stages of basic blocks that halve the maps from the second stage on,
    global average pooling, and a dense layer.

    Args:
        widths: channels of the stages.
        depths: basic blocks in each of them.
        num_classes: length of the output.
        image_size: height and width of the images in pixels; any will do.
        in_channels: channels of the images.
        dropout: probability in [0, 1) before the dense layer; ``None`` is 0.
        init: see ``cifarlab.models.blocks.initialize``.
    """

    def __init__(
        self,
        widths: Sequence[int],
        depths: Sequence[int],
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        init: str = "default",
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
        )
        self.stages = stages(widths[0], widths, depths, BasicBlock)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = dropout_layer(dropout)
        self.fc = nn.Linear(widths[-1], num_classes)
        initialize(self, init)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        features = self.pool(self.stages(self.stem(images))).flatten(1)
        return self.fc(self.drop(features))
