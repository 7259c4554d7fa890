"""A small net that learns fast: from nothing to 93 % in eight epochs.

After airbench94 (Jordan, arXiv:2404.00498, section 3, and ``airbench94_muon.py``, 2024), written
anew. Each of its ideas has a switch.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.models.blocks import activation_layer, dropout_layer


def whitening_layer(in_channels: int, kernel: int) -> nn.Conv2d:
    """A first layer that takes out what neighbouring pixels have in common: each patch of
    ``kernel`` squared pixels in the basis of the patches' principal components, divided by their
    spread, once with each sign (Page, 2019, "How to train your ResNet 8: bag of tricks").

    Its weights are computed (``fit_whitening``), not trained, and show the pixels as they are until
    then; its biases are trained.
    """
    patch = in_channels * kernel**2
    layer = nn.Conv2d(in_channels, 2 * patch, kernel)
    layer.weight.requires_grad_(False)
    _set_rows(layer, torch.eye(patch))
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def fit_whitening(
    layer: nn.Conv2d, images: Float[Tensor, "batch channels height width"], eps: float = 5e-4
) -> None:
    """Compute the weights of a ``whitening_layer`` from normalised images.

    eps: added to the variances, so that components that hardly vary are not blown up.
    """
    patch = layer.weight[0].numel()
    patches = nn.functional.unfold(images.double(), layer.kernel_size[0]).mT.reshape(-1, patch)
    variances, components = torch.linalg.eigh(patches.mT @ patches / len(patches))
    _set_rows(layer, (components / (variances + eps).sqrt()).mT)


def _set_rows(layer: nn.Conv2d, rows: Tensor) -> None:
    """Make the filters these rows, and then their negatives."""
    with torch.no_grad():
        layer.weight.copy_(torch.cat([rows, -rows]).view_as(layer.weight))


class Block(nn.Module):
    """Convolution, max pooling by 2, batch norm, activation, convolution, batch norm, activation.

    identity: the first channels of each convolution begin as copies of its input's.
    norm_scale: whether batch norm has factors; norm_momentum: share of a batch in the running mean.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activation: str,
        identity: bool,
        norm_scale: bool,
        norm_momentum: float,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.norm1 = nn.BatchNorm2d(outputs, momentum=norm_momentum)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs, momentum=norm_momentum)
        self.activation = activation_layer(activation)
        for conv in (self.conv1, self.conv2):
            if identity:
                nn.init.dirac_(conv.weight.data[: conv.in_channels])
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad_(norm_scale)

    def forward(
        self, x: Float[Tensor, "batch inputs height width"]
    ) -> Float[Tensor, "batch outputs height_out width_out"]:
        x = self.activation(self.norm1(self.pool(self.conv1(x))))
        return self.activation(self.norm2(self.conv2(x)))


class SpeedNet(nn.Module):
    """A whitening layer, three blocks that halve the maps, the maximum over what is left of the
    maps, and a dense layer without biases whose answers are scaled down by its width.

    Args:
        num_classes: length of the output.
        image_size: height and width of the images in pixels, at least ``2 ** len(widths)`` and the
            kernel of the whitening more; other sizes can be given to ``forward``, too.
        in_channels: channels of the images.
        dropout: probability in [0, 1) before the dense layer; ``None`` is 0.
        widths: channels of the blocks.
        whitening: side of the whitened patches in pixels; ``None``: the first layer is a trained
            convolution of 2 x 2 with as many channels.
        identity: convolutions begin as the identity, as far as they have channels for it.
        activation: see ``cifarlab.models.blocks.ACTIVATIONS``.
        norm_scale: whether batch norm has trained factors beside its biases.
        norm_momentum: share of each batch in batch norm's running mean and variance.

    Raises ``UserError`` for images that are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        widths: Sequence[int] = (64, 256, 256),
        whitening: int | None = 2,
        identity: bool = True,
        activation: str = "gelu",
        norm_scale: bool = False,
        norm_momentum: float = 0.4,
    ) -> None:
        super().__init__()
        kernel = whitening or 2
        if image_size - kernel + 1 < 2 ** len(widths):
            raise UserError(
                f"images of {image_size} px are too small for {len(widths)} blocks, each of which "
                "halves the maps"
            )
        self.first = whitening_layer(in_channels, kernel)
        self.whitens = whitening is not None
        if not self.whitens:
            self.first = nn.Conv2d(in_channels, self.first.out_channels, kernel)
        self.activation = activation_layer(activation)
        channels = [self.first.out_channels, *widths]
        self.blocks = nn.Sequential(
            *(
                Block(
                    inputs,
                    outputs,
                    activation=activation,
                    identity=identity,
                    norm_scale=norm_scale,
                    norm_momentum=norm_momentum,
                )
                for inputs, outputs in zip(channels, channels[1:], strict=False)
            )
        )
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.drop = dropout_layer(dropout)
        self.head = nn.Linear(channels[-1], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()

    def prepare(self, images: Float[Tensor, "batch channels size size"]) -> None:
        """Called once before training begins, with normalised training images."""
        if self.whitens:
            fit_whitening(self.first, images)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        features = self.pool(self.blocks(self.activation(self.first(images)))).flatten(1)
        return self.head(self.drop(features)) / self.head.in_features
