"""Plain convolutional networks: convolutions with pooling, then dense layers. The architectures of
the reports are data for one class; conf/model has them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments
from cifarlab.models.blocks import activation_layer, dropout_layer, initialize


@dataclass(frozen=True)
class Block:
    """One convolution and what follows it.

    filters: output channels.
    kernel: height and width of the kernel in pixels.
    padding: pixels of zeros on each side; ``None`` keeps the size (odd kernels).
    pool: ``max`` or ``avg`` halves height and width, ``None`` keeps them.
    batchnorm, activation: this block's own; ``None`` takes the net's.
    """

    filters: int
    kernel: int = 3
    padding: int | None = None
    pool: str | None = None
    batchnorm: bool | None = None
    activation: str | None = None


class ConvNet(nn.Module):
    """Blocks of convolution, [batch norm], activation, [pooling], [dropout], then dense layers.

    Every convolution has a bias, before batch norm too: so the reports count parameters.

    Args:
        blocks: fields of ``Block``, in order.
        hidden: widths of the dense layers before the last one.
        num_classes: length of the output.
        image_size: height and width of the images in pixels.
        in_channels: channels of the images.
        dropout: probability in [0, 1); ``None`` is 0.
        dropout_after: where: any of ``pool`` (each pooling), ``hidden`` (each hidden dense layer;
            both: Boelter's report), ``conv`` (each convolution, pooled or not).
        activation: ``relu``, ``tanh``, ``leaky_relu``, ``silu``, ``gelu`` or ``none``.
        batchnorm: ``BatchNorm2d`` after each convolution.
        head_batchnorm: ``BatchNorm1d`` after each hidden dense layer.
        pool_first: pooling before the activation instead of after it.
        downsample: ``pool``, or ``stride``: convolutions of stride 2 in place of pooling.
        adaptive_pool: average the last maps to this many pixels squared; ``None``: do not.
        init: see ``cifarlab.models.blocks.initialize``.

    Raises:
        UserError: an option out of its range, or images too small for the blocks.
    """

    def __init__(
        self,
        blocks: Sequence[Mapping[str, Any]],
        hidden: Sequence[int] = (),
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
        dropout: float | None = None,
        dropout_after: Sequence[str] = ("pool", "hidden"),
        activation: str = "relu",
        batchnorm: bool = False,
        head_batchnorm: bool = False,
        pool_first: bool = False,
        downsample: str = "pool",
        adaptive_pool: int | None = None,
        init: str = "default",
    ) -> None:
        super().__init__()
        check_arguments(ConvNet, downsample=downsample, dropout_after=dropout_after)
        channels, size = in_channels, image_size
        self.features = nn.Sequential()
        for number, block in enumerate((Block(**fields) for fields in blocks), start=1):
            stride = 2 if block.pool and downsample == "stride" else 1
            padding = block.kernel // 2 if block.padding is None else block.padding
            convolution = nn.Conv2d(channels, block.filters, block.kernel, stride, padding)
            normalised = batchnorm if block.batchnorm is None else block.batchnorm
            act = activation_layer(block.activation or activation)
            pool = _pooling(block.pool if stride == 1 else None)
            after = {"pool": pool, "act": act} if pool_first else {"act": act, "pool": pool}
            drops = "conv" in dropout_after or (block.pool and "pool" in dropout_after)
            layers = {
                "conv": convolution,
                "bn": nn.BatchNorm2d(block.filters) if normalised else nn.Identity(),
                **after,
                "drop": dropout_layer(dropout) if drops else nn.Identity(),
            }
            _append(self.features, layers, number)
            channels, size = block.filters, (size + 2 * padding - block.kernel) // stride + 1
            size = size // 2 if block.pool and stride == 1 else size
            if size < 1:
                raise UserError(f"images of {image_size} px are too small for the model's blocks")
        if adaptive_pool is not None:
            self.features.add_module("pool", nn.AdaptiveAvgPool2d(adaptive_pool))
            size = adaptive_pool
        self.classifier = nn.Sequential()
        self.classifier.add_module("flatten", nn.Flatten())
        width = channels * size * size
        for number, units in enumerate(hidden, start=1):
            layers = {
                "fc": nn.Linear(width, units),
                "bn": nn.BatchNorm1d(units) if head_batchnorm else nn.Identity(),
                "act": activation_layer(activation),
                "drop": dropout_layer(dropout) if "hidden" in dropout_after else nn.Identity(),
            }
            _append(self.classifier, layers, number)
            width = units
        self.classifier.add_module(f"fc{len(hidden) + 1}", nn.Linear(width, num_classes))
        initialize(self, init, activation)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        return self.classifier(self.features(images))


def _pooling(kind: str | None) -> nn.Module:
    kinds: dict[str | None, Callable[[], nn.Module]] = {
        None: nn.Identity,
        "max": lambda: nn.MaxPool2d(2),
        "avg": lambda: nn.AvgPool2d(2),
    }
    if kind not in kinds:
        raise UserError(f"pool: {kind}: must be max, avg or null")
    return kinds[kind]()


def _append(net: nn.Sequential, layers: Mapping[str, nn.Module], number: int) -> None:
    """Add what does something, named ``conv1``, ``bn1``, ...: switching dropout on changes no other
    layer's name, so weights fit both ways."""
    for name, layer in layers.items():
        if not isinstance(layer, nn.Identity):
            net.add_module(f"{name}{number}", layer)
