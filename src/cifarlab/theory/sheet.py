"""The layer table of a real net: its layers in the order in which they compute, formulas beside
what is counted in it."""

from collections import Counter
from dataclasses import dataclass
from math import prod
from typing import Any, get_args

import torch
from torch import Tensor, nn

from cifarlab.inspection import counted_operations
from cifarlab.theory.dispatch import FieldMode, Seen
from cifarlab.theory.layers import (
    FLOAT,
    AdaptivePooling,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Norm,
    Pair,
    Pooling,
    Shape,
)
from cifarlab.theory.table import Row, total

_PLAIN = (
    nn.ReLU | nn.ReLU6 | nn.LeakyReLU | nn.Tanh | nn.Sigmoid | nn.SiLU | nn.GELU | nn.ELU
    | nn.SELU | nn.Softmax | nn.LogSoftmax | nn.Hardswish | nn.Hardsigmoid | nn.Hardtanh | nn.Mish
    | nn.Softplus | nn.Dropout | nn.Dropout2d | nn.AlphaDropout
)  # fmt: skip
_BATCHNORM = nn.BatchNorm1d | nn.BatchNorm2d
_POOLING = nn.MaxPool2d | nn.AvgPool2d
_ADAPTIVE = nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d


@dataclass(frozen=True)
class Sheet:
    """The layer table of a net.

    rows: one for every call of a layer, and for parameters that no layer has.
    macs: the multiply-accumulates that torch counts, also those of functions that are no layers.
    num_params: of the whole net.
    resized: the size in pixels to which the net first resizes images; receptive fields count these
        pixels.
    unknown: why receptive fields are unknown from some layer on, if they are.
    """

    rows: tuple[Row, ...]
    macs: int
    num_params: int
    resized: tuple[int, int] | None
    unknown: str

    @property
    def mistakes(self) -> list[str]:
        """Where formulas and the net disagree; if they do, one of the two is wrong."""
        found = [
            f"{row.name}: {row.parameters:,} parameters by formula, {row.counted:,} counted"
            for row in self.rows
            if not row.agrees
        ]
        if total(self.rows, "counted") != self.num_params:
            counted = total(self.rows, "counted")
            found.append(f"{counted:,} parameters in the rows, {self.num_params:,} in the net")
        return found

    @property
    def remarks(self) -> list[str]:
        """What the table does not say by itself, in lines."""
        formula, counted = (total(self.rows, key) for key in ("parameters", "counted"))
        macs = total(self.rows, "macs")
        lines = [
            "field: pixels of the input on a side that a unit sees, those in the padding included",
            "KiB: outputs of one image in 32 bits; what lies in its input's place takes none",
            f"parameters: {formula:,} by formula, {counted:,} counted in the layers, "
            f"{self.num_params:,} in the net",
            f"multiply-accumulates: {macs:,} by formula, {self.macs:,} counted by torch",
        ]
        without = Counter(row.kind for row in self.rows if row.parameters is None)
        if without:
            kinds = ", ".join(f"{kind} ({times}x)" for kind, times in without.items())
            lines.append(f"?: no formula for {kinds}")
        if self.resized:
            height, width = self.resized
            lines.append(f"fields are in pixels of the {height}x{width} image that the net makes")
        if self.unknown:
            lines.append(f"fields end where the arithmetic does: {self.unknown}")
        return lines


class _Recorder:
    """Hooks that add a row whenever a layer has computed its output.

    A layer is a module without children, or one with parameters of its own.
    """

    def __init__(self, net: nn.Module, fields: FieldMode) -> None:
        self.fields, self.unknown = fields, ""
        self.rows: list[Row] = []
        self.called: set[int] = set()  # parameters met so far
        self.layers = {
            module: name
            for name, module in net.named_modules()
            if _own(module) or not (list(module.children()) or isinstance(module, nn.Sequential))
        }
        self.hooks = [module.register_forward_hook(self.note) for module in self.layers]

    def note(self, module: nn.Module, inputs: tuple, output: Any) -> None:
        name = self.layers[module]
        weights, biases = self.count(module)
        before = next(iter(_shapes(inputs)), None)
        after = next(iter(_shapes(output)), ())
        layer = layer_of(module)
        if layer is None and inputs and output is inputs[0] and not _own(module):
            layer = Layer(type(module).__name__, in_place=True)  # hands on what it is given
        if layer is None or before is None or layer.output(before) != after:
            layer = None
        field = self.field(output)
        if layer is None or before is None:
            self.rows.append(
                Row(
                    name, type(module).__name__, after, "?", None, None, weights + biases, field,
                    None, FLOAT * prod(after),
                )
            )  # fmt: skip
            return
        again = layer.parameters > 0 and not weights + biases  # counted when first called
        self.rows.append(
            Row(
                name,
                str(layer),
                after,
                "" if again else layer.formula,
                0 if again else layer.weights,
                0 if again else layer.biases,
                weights + biases,
                field,
                layer.macs(before),
                0 if layer.in_place else FLOAT * prod(after),
            )
        )

    def count(self, module: nn.Module) -> tuple[int, int]:
        """Weights and biases of a module's own that were not counted before."""
        sizes = {"weight": 0, "bias": 0}
        for name, parameter in _own(module):
            if id(parameter) not in self.called:
                self.called.add(id(parameter))
                sizes["bias" if name.endswith("bias") else "weight"] += parameter.numel()
        return sizes["weight"], sizes["bias"]

    def field(self, output: Any) -> tuple[int, int] | None:
        seen = self.fields.seen(output) if isinstance(output, Tensor) else None
        if seen is None or seen.fields is None:
            self.unknown = self.unknown or (seen or Seen(None)).reason
            return None
        return seen.fields[0].size, seen.fields[1].size

    def rest(self) -> None:
        """Rows for parameters of layers that never were called by themselves."""
        for module, name in self.layers.items():
            if counted := sum(self.count(module)):
                kind = f"{type(module).__name__}, not called"
                self.rows.append(Row(name, kind, (), "?", None, None, counted, None, None, 0))


def trace(net: nn.Module, shape: Shape) -> Sheet:
    """Compute one image of ``shape`` (channels, height, width), zeros, in eval mode, and write down
    every layer. The net is left in the mode it was in."""
    images = torch.zeros(1, *shape)
    fields = FieldMode(images)
    recorder = _Recorder(net, fields)
    try:
        with counted_operations(net) as counter, torch.no_grad(), fields:
            net(images)
    finally:
        for hook in recorder.hooks:
            hook.remove()
    recorder.rest()
    return Sheet(
        tuple(recorder.rows),
        counter.get_total_flops() // 2,
        sum(parameter.numel() for parameter in net.parameters()),
        fields.resized,
        recorder.unknown,
    )


def layer_of(module: nn.Module) -> Layer | None:
    """The formula of a module; ``None`` for a kind that has none here, a subclass of one that has
    included: it may compute something else."""
    kind = type(module).__name__
    if type(module) is nn.Conv2d:
        return _convolution(module)
    if type(module) is nn.Linear:
        return Dense(
            kind, inputs=module.in_features, outputs=module.out_features,
            bias=module.bias is not None,
        )  # fmt: skip
    if isinstance(module, _BATCHNORM) and type(module) in get_args(_BATCHNORM):
        return Norm(kind, features=module.num_features, affine=module.affine)
    if type(module) is nn.GroupNorm:
        return Norm(kind, features=module.num_channels, affine=module.affine)
    if type(module) is nn.LayerNorm:
        features, bias = prod(module.normalized_shape), module.bias is not None
        return Norm(kind, features=features, affine=module.elementwise_affine, bias=bias)
    if isinstance(module, _POOLING) and type(module) in get_args(_POOLING):
        dilation = _pair(getattr(module, "dilation", 1))
        kernel, stride, padding = map(_pair, (module.kernel_size, module.stride, module.padding))
        return Pooling(kind, False, kernel, stride, padding, dilation, module.ceil_mode)
    if isinstance(module, _ADAPTIVE) and type(module) in get_args(_ADAPTIVE):
        return AdaptivePooling(kind, size=_pair(module.output_size))
    if type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return Flatten(kind)
    if type(module) is nn.Identity:
        return Layer(kind, in_place=True)
    if type(module) in get_args(_PLAIN):
        return Layer(kind, in_place=getattr(module, "inplace", False))
    return None


def _convolution(module: nn.Conv2d) -> Convolution | None:
    kernel, dilation = _pair(module.kernel_size), _pair(module.dilation)
    if module.padding == "valid":
        padding = (0, 0)
    elif isinstance(module.padding, str):  # same
        around = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if any(pixels % 2 for pixels in around):
            return None  # one side gets a pixel more
        padding = (around[0] // 2, around[1] // 2)
    else:
        padding = _pair(module.padding)
    return Convolution(
        type(module).__name__, False, kernel, _pair(module.stride), padding, dilation,
        inputs=module.in_channels, filters=module.out_channels, groups=module.groups,
        bias=module.bias is not None,
    )  # fmt: skip


def _pair(value: Any) -> Pair:
    first, second = value if isinstance(value, tuple | list) else (value, value)
    return first, second


def _own(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return list(module.named_parameters(recurse=False))


def _shapes(values: Any) -> list[Shape]:
    """Of the tensors at the front, without their batch."""
    tensors = [values] if isinstance(values, Tensor) else values
    return [tuple(v.shape[1:]) for v in tensors if isinstance(v, Tensor)]
