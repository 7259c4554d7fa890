"""The baseline CNN of TDT4265, assignment 3 (Group 14 and Elfarri and Vibe, 2021)."""

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.models.blocks import conv_bn, dropout_layers, halved


class Baseline(nn.Module):
    """Three blocks of conv5x5, ReLU, maxpool2 (32, 64, 128 filters), then dense 64 and the classes.

    390,410 parameters at 32x32 pixels and 10 classes, as both reports count. Neither report has
    dropout or batch norm here; where asked for, batch norm stands between convolution and ReLU, and
    dropout after each pooling and after the first dense layer (as Boelter's report places it).

    Args:
        num_classes: length of the output.
        image_size: height and width of the images in pixels, 8 or more.
        in_channels: channels of the images.
        dropout: probability in [0, 1); ``None`` is 0.
        batchnorm: batch norm after each convolution.
        filters: output channels of the three convolutions.
        hidden: width of the first dense layer.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        batchnorm: bool = False,
        filters: tuple[int, ...] | list[int] = (32, 64, 128),
        hidden: int = 64,
    ) -> None:
        super().__init__()
        drops = dropout_layers(dropout, len(filters) + 1)
        size = halved(image_size, len(filters), "baseline")
        layers: list[nn.Module] = []
        for inputs, outputs, drop in zip([in_channels, *filters], filters, drops, strict=False):
            layers += conv_bn(inputs, outputs, kernel=5, batchnorm=batchnorm)
            layers += [nn.ReLU(), nn.MaxPool2d(2), drop]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(filters[-1] * size * size, hidden),
            nn.ReLU(),
            drops[-1],
            nn.Linear(hidden, num_classes),
        )

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        return self.classifier(self.features(images))
