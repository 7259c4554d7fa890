"""VGG with batch norm at the size of CIFAR (Simonyan and Zisserman, arXiv:1409.1556): the
convolutions of torchvision's, and the head of the Sapienza report, question 4a."""

from collections.abc import Sequence

from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments
from cifarlab.models.blocks import dropout_layer, initialize
from cifarlab.models.pretrained import TwoParts, last_block_of, torchvision_net

_LETTERS = {11: "A", 13: "B", 16: "D", 19: "E"}  # of the paper's table 1


class VGG(TwoParts):
    """Convolutions in five blocks that halve the maps, then dense layers with batch norm and ReLU.

    Five halvings leave one value a channel at 32x32 pixels; the maps of larger images are averaged.

    Args:
        depth: layers with weights of the original: 11, 13, 16 or 19.
        hidden: widths of the dense layers before the last one, each with batch norm and ReLU; the
            report has one of 256.
        weights: of the convolutions: ``None`` for random ones, else see ``Torchvision``.
        resize: height and width in pixels that the images get; ``None``: as they are.
        num_classes: length of the output.
        image_size: height and width of the images in pixels, 32 or more unless resized.
        dropout: probability in [0, 1) after each hidden dense layer; ``None`` is 0.
        init: of what does not come from ``weights``; see ``cifarlab.models.blocks.initialize``,
            where ``default`` is torchvision's for the convolutions and torch's for the head.

    Raises:
        UserError: another depth, images too small, weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        depth: int = 11,
        hidden: Sequence[int] = (256,),
        weights: str | None = None,
        resize: int | None = None,
        num_classes: int = 10,
        image_size: int = 32,
        dropout: float | None = None,
        init: str = "default",
    ) -> None:
        check_arguments(VGG, depth=depth)
        size = resize or image_size
        if size < 32:
            raise UserError(f"images of {size} px are too small for five halvings: model.resize=32")
        if weights is None:
            features: nn.Module = _random_features(depth, init)
        else:
            features = torchvision_net(f"vgg{depth}_bn", weights).get_submodule("features")
        backbone = nn.Sequential()
        backbone.add_module("features", features)
        backbone.add_module("pool", nn.AdaptiveAvgPool2d(1))
        head = nn.Sequential()
        head.add_module("flatten", nn.Flatten())
        width = 512
        for number, units in enumerate(hidden, start=1):
            head.add_module(f"fc{number}", nn.Linear(width, units))
            head.add_module(f"bn{number}", nn.BatchNorm1d(units))
            head.add_module(f"act{number}", nn.ReLU())
            head.add_module(f"drop{number}", dropout_layer(dropout))
            width = units
        head.add_module(f"fc{len(hidden) + 1}", nn.Linear(width, num_classes))
        initialize(head, init)
        super().__init__(backbone, head, last_block_of(backbone), resize)


def _random_features(depth: int, init: str) -> nn.Sequential:
    """Without the 120 million dense weights that torchvision's constructor would draw as well."""
    features = make_layers(cfgs[_LETTERS[depth]], batch_norm=True)
    for module in features:
        if isinstance(module, nn.Conv2d):  # as torchvision.models.VGG does
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    initialize(features, init)
    return features
