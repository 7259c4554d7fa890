"""What several architectures share."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from cifarlab.base.errors import UserError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "none": nn.Identity,
}
INITS = ("default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal")


def dropout_layer(p: float | None) -> nn.Module:
    """Dropout of probability ``p``; ``nn.Identity`` at 0 or ``None``.

    It zeroes single values, not channels, as ``nn.Dropout`` in all five reports does. Raises
    ``UserError`` unless 0 <= p < 1.
    """
    p = 0.0 if p is None else p
    if not 0.0 <= p < 1.0:
        raise UserError(f"dropout={p}: must be a number in [0, 1)")
    return nn.Dropout(p) if p > 0 else nn.Identity()


def activation_layer(name: str) -> nn.Module:
    """Raises ``UserError`` for a name that is not in ``ACTIVATIONS``."""
    if name not in ACTIVATIONS:
        raise UserError(f"model.activation={name}: must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def stages(
    channels: int,
    widths: Sequence[int],
    depths: Sequence[int],
    block: Callable[[int, int, int], nn.Module],
) -> nn.Sequential:
    """The stages of a residual network, which halve the maps from the second one on.

    Args:
        channels: of the maps that go into the first stage.
        widths: channels of each stage.
        depths: blocks in each stage.
        block: makes one from the channels in front of it and behind it and its stride.
    """
    found = nn.Sequential()
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        blocks = []
        for position in range(depth):
            blocks.append(block(channels, width, 2 if number > 0 and position == 0 else 1))
            channels = width
        found.append(nn.Sequential(*blocks))
    return found


def initialize(net: nn.Module, init: str, activation: str = "relu") -> None:
    """Draw the weights of all convolutions and dense layers anew; biases become zero.

    ``default`` leaves everything as torch drew it: uniform with bound 1/sqrt(fan_in), weights and
    biases. ``xavier_*`` (Glorot and Bengio, 2010) and ``kaiming_*`` (He et al., arXiv:1502.01852,
    fan_in) use the gain of ``activation``; SiLU and GELU take that of ReLU. Raises ``UserError``
    for a name that is not in ``INITS``.
    """
    if init not in INITS:
        raise UserError(f"model.init={init}: must be one of {', '.join(INITS)}")
    if init == "default":
        return
    known = {"tanh": "tanh", "leaky_relu": "leaky_relu", "none": "linear"}
    nonlinearity: Any = known.get(activation, "relu")
    draw = getattr(nn.init, f"{init}_")
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if init.startswith("xavier"):
                draw(module.weight, gain=nn.init.calculate_gain(nonlinearity))
            else:
                slope = 0.01 if nonlinearity == "leaky_relu" else 0.0
                draw(module.weight, a=slope, nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
