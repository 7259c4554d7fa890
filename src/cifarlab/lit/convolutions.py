"""Convolutions that oneDNN, which computes them on a CPU, is slow at or gets wrong."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
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


def mend_strided(net: nn.Module) -> None:
    """Have the 1 x 1 convolutions of ``net`` that have a stride and fewer than 16 inputs take every
    so many pixels first, on a CPU, and then go on without a stride, which is the same.

    oneDNN (3.12, in torch 2.15) writes the gradient of their weights past the end of its memory
    where a batch is not shared out evenly over its threads, and so ends the process, or worse: such
    are the shortcuts of a ResNet of 8 channels. https://github.com/uxlfoundation/oneDNN/issues/6035
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and _overruns(module):
            module.forward = partial(_of_some, module, module.forward)  # type: ignore[method-assign]


def _overruns(layer: nn.Conv2d) -> bool:
    is_strided = max(layer.kernel_size) == 1 and max(layer.stride) > 1
    is_padded = layer.padding not in ((0, 0), "valid")
    return is_strided and not is_padded and layer.in_channels // layer.groups < 16


def _of_some(
    layer: nn.Conv2d, convolve: Convolve, x: Float[Tensor, "batch inputs height width"]
) -> Float[Tensor, "batch outputs height_out width_out"]:
    if x.device.type != "cpu":
        return convolve(x)
    down, across = layer.stride
    as_it_is = x.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if as_it_is else torch.contiguous_format
    some = x[:, :, ::down, ::across].contiguous(memory_format=layout)
    return F.conv2d(some, layer.weight, layer.bias, groups=layer.groups)


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
