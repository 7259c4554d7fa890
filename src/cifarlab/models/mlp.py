"""A network without convolutions, for comparison (TBMI26 report, Hansson and Aronsson, 2021)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.models.blocks import activation_layer, dropout_layer, initialize


class MLP(nn.Module):
    """Flattened pixels, a dense layer and activation for each of ``hidden``, then the classes.

    The report has "two dense layers" and "> 600 000 trainable parameters" without the width;
    200 hidden units give 616,610 at 32x32 pixels and 10 classes.

    Args:
        hidden: widths of the hidden layers.
        num_classes, image_size, in_channels, activation, init: as ``ConvNet``'s.
        dropout: probability in [0, 1) after each hidden layer; ``None`` is 0.
        batchnorm: ``BatchNorm1d`` between each hidden layer and its activation.
    """

    def __init__(
        self,
        hidden: Sequence[int] = (200,),
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        activation: str = "relu",
        batchnorm: bool = False,
        init: str = "default",
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        self.layers.add_module("flatten", nn.Flatten())
        width = in_channels * image_size * image_size
        for number, units in enumerate(hidden, start=1):
            self.layers.add_module(f"fc{number}", nn.Linear(width, units))
            if batchnorm:
                self.layers.add_module(f"bn{number}", nn.BatchNorm1d(units))
            self.layers.add_module(f"act{number}", activation_layer(activation))
            self.layers.add_module(f"drop{number}", dropout_layer(dropout))
            width = units
        self.layers.add_module(f"fc{len(hidden) + 1}", nn.Linear(width, num_classes))
        initialize(self, init, activation)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        return self.layers(images)
