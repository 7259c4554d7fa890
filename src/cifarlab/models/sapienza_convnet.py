"""The ConvNet of the Sapienza report (Advanced Machine Learning, homework 2, 2021/22)."""

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.models.blocks import conv_bn, dropout_layers, halved


class SapienzaConvNet(nn.Module):
    """Five blocks of conv3x3, [batch norm], maxpool2, ReLU (128, then 512 filters); a dense layer.

    Pooling before ReLU, as figure 10 of the report prints it (the two commute). At 32x32 pixels and
    10 classes 7,678,474 parameters, with batch norm 7,682,826. The report sweeps dropout without
    saying where it stands; its collapse to 51.6 % at 0.6 fits dropout after every block, as here.

    Args:
        num_classes: length of the output.
        image_size: height and width of the images in pixels, 32 or more.
        in_channels: channels of the images.
        dropout: probability in [0, 1) after each block; ``None`` is 0.
        batchnorm: batch norm after each convolution.
        filters: output channels of the convolutions.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        batchnorm: bool = True,
        filters: tuple[int, ...] | list[int] = (128, 512, 512, 512, 512),
    ) -> None:
        super().__init__()
        drops = dropout_layers(dropout, len(filters))
        size = halved(image_size, len(filters), "sapienza_convnet")
        layers: list[nn.Module] = []
        for inputs, outputs, drop in zip([in_channels, *filters], filters, drops, strict=False):
            layers += conv_bn(inputs, outputs, kernel=3, batchnorm=batchnorm)
            layers += [nn.MaxPool2d(2), nn.ReLU(), drop]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(filters[-1] * size * size, num_classes)
        )

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        return self.classifier(self.features(images))
