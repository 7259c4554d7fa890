"""Depthwise convolutions that take their time in bf16 on a CPU."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

Convolve = Callable[[Tensor], Tensor]


def widen_depthwise(net: nn.Module) -> None:
    """Have the depthwise convolutions of ``net`` that are slow in bf16 on a CPU compute in 32 bits
    there: those with a stride or with a kernel of more than 3 x 3, as EfficientNet and MobileNet
    have them. Their input comes and their output goes in the precision of the rest, and on a GPU,
    or where all is in 32 bits, nothing changes.

    oneDNN (torch 2.15) has no fast kernel for their gradients in bf16: 61 ms of a step where 32
    bits take 3.5 (96 channels, 3 x 3, stride 2, 64 images of 28 pixels, one thread of an AMD EPYC).
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and _is_slow(module):
            module.forward = partial(_in_32_bits, module.forward)  # type: ignore[method-assign]


def _is_slow(layer: nn.Conv2d) -> bool:
    depthwise = layer.groups == layer.in_channels > 1
    return depthwise and (max(layer.stride) > 1 or max(layer.kernel_size) > 3)


def _in_32_bits(
    convolve: Convolve, x: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height_out width_out"]:
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return convolve(x)
    with torch.autocast("cpu", enabled=False):
        return convolve(x.float()).to(torch.get_autocast_dtype("cpu"))
