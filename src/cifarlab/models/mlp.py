"""A network without convolutions, for comparison (TBMI26 report, Hansson and Aronsson, 2021)."""

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.models.blocks import dropout_layers


class MLP(nn.Module):
    """Flattened pixels, one dense layer with ReLU for each entry of ``hidden``, then the classes.

    The report has "two dense layers" and "> 600 000 trainable parameters" without the width;
    200 hidden units give 616,610 at 32x32 pixels and 10 classes.

    Args:
        num_classes: length of the output.
        image_size: height and width of the images in pixels.
        in_channels: channels of the images.
        dropout: probability in [0, 1) after each hidden layer; ``None`` is 0.
        batchnorm: ``BatchNorm1d`` between each hidden layer and its ReLU.
        hidden: widths of the hidden layers.
    """

    def __init__(
        self,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        batchnorm: bool = False,
        hidden: tuple[int, ...] | list[int] = (200,),
    ) -> None:
        super().__init__()
        widths = [in_channels * image_size * image_size, *hidden]
        layers: list[nn.Module] = [nn.Flatten()]
        drops = dropout_layers(dropout, len(hidden))
        for inputs, outputs, drop in zip(widths, hidden, drops, strict=False):
            layers.append(nn.Linear(inputs, outputs))
            if batchnorm:
                layers.append(nn.BatchNorm1d(outputs))
            layers += [nn.ReLU(), drop]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        return self.layers(images)
