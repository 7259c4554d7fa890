"""A network written in a line: ``conv5x5-32 p2 | relu | maxpool2 | flatten | fc 10``.

conv5x5-32      convolution of 32 filters (conv5-32 too); s2 stride, p2 padding, p=same, d2
                dilation, g4 groups, nobias
maxpool2        also avgpool2, maxpool3x2; stride as the kernel unless s1; p, d as above, ceil
globalpool      also adaptivepool4: mean of windows that share out the maps into 4x4
bn              batch norm, of maps and of values
relu            also tanh, leaky_relu, silu, gelu, sigmoid, softmax, dropout 0.5
flatten         flatten 2048 says what should come out, and is checked
fc 64           dense layer; nobias
"""

import re
from collections.abc import Sequence

from cifarlab.base.errors import UserError
from cifarlab.theory.fields import Field
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
    prod,
    shown,
)
from cifarlab.theory.sizes import same_padding
from cifarlab.theory.table import Row

_PLAIN = {
    "relu": "ReLU", "tanh": "Tanh", "leaky_relu": "LeakyReLU", "silu": "SiLU", "gelu": "GELU",
    "sigmoid": "Sigmoid", "softmax": "Softmax", "dropout": "Dropout",
}  # fmt: skip
_KNOWN = "conv5x5-32, maxpool2, avgpool2, globalpool, adaptivepool4, bn, flatten, fc 64, " + (
    ", ".join(_PLAIN)
)
_SIZE = r"(\d+)(?:x(\d+))?"


def read(spec: str | Sequence[str], shape: Shape) -> list[Row]:
    """The table of the network ``spec`` for an input of ``shape``, maps or values.

    Raises ``UserError``, naming the layer, for one that is not understood or does not fit.
    """
    words = re.split(r"[|,\n]", spec) if isinstance(spec, str) else [str(word) for word in spec]
    rows: list[Row] = []
    fields = (Field(), Field()) if len(shape) == 3 else None
    maps = shape  # what a row of values was flattened from
    counts: dict[str, int] = {}
    for word in filter(None, map(str.strip, words)):
        try:
            layer = parse(word, shape)
            output = layer.output(shape)
            if fields and isinstance(layer, Dense) and len(maps) == 3:
                fields = fields[0].gather(maps[1]), fields[1].gather(maps[2])
            elif fields:
                fields = layer.fields(fields, shape)
        except UserError as error:
            raise UserError(f"layer {len(rows) + 1}, {word}: {error}") from None
        if len(output) == 3 or isinstance(layer, Dense):
            maps = output
        counts[layer.kind] = counts.get(layer.kind, 0) + 1
        name = f"{layer.kind.lower().removesuffix('2d')}{counts[layer.kind]}"
        rows.append(row(name, layer, shape, output, None, fields))
        shape = output
    if not rows:
        raise UserError(f"layers: none given; they are {_KNOWN}")
    return rows


def row(
    name: str,
    layer: Layer,
    shape: Shape,
    output: Shape,
    counted: int | None,
    fields: tuple[Field, Field] | None,
) -> Row:
    """The row of ``layer`` for an input of ``shape``."""
    return Row(
        name=name,
        kind=str(layer),
        output=output,
        formula=layer.formula,
        weights=layer.weights,
        biases=layer.biases,
        counted=counted,
        field=None if fields is None else (fields[0].size, fields[1].size),
        macs=layer.macs(shape),
        memory=0 if layer.in_place else FLOAT * prod(output),
    )


def parse(word: str, shape: Shape) -> Layer:
    """The layer that ``word`` means after an output of ``shape``. Raises ``UserError``."""
    name, *options = word.lower().split()
    if found := re.fullmatch(rf"conv{_SIZE}-(\d+)", name):
        return _convolution(_pair(*found.groups()[:2]), int(found[3]), options, shape)
    if found := re.fullmatch(rf"(max|avg)pool{_SIZE}", name):
        return _pooling(found[1], _pair(*found.groups()[1:]), options)
    if found := re.fullmatch(r"(?:global(?:avg)?pool|adaptive(?:avg)?pool(\d+))", name):
        _none_left(options)
        size = int(found[1] or 1)
        return AdaptivePooling("AdaptiveAvgPool2d", size=(size, size))
    if found := re.fullmatch(r"(?:fc|linear|dense)-?(\d*)", name):
        units = found[1] or (options.pop(0) if options and options[0].isdigit() else "")
        if not int(units or 0):
            raise UserError("needs a number of units: fc 64")
        bias = not _taken(options, "nobias")
        _none_left(options)
        if len(shape) != 1:
            raise UserError(f"expects values, is given maps of {shown(shape)}: flatten them before")
        return Dense("Linear", inputs=shape[0], outputs=int(units), bias=bias)
    if name in ("bn", "batchnorm", "batchnorm2d", "batchnorm1d"):
        _none_left(options)
        return Norm("BatchNorm2d" if len(shape) == 3 else "BatchNorm1d", features=shape[0])
    if name == "flatten":
        expected = options.pop(0) if options else str(prod(shape))
        _none_left(options)
        if expected != str(prod(shape)):
            raise UserError(f"{shown(shape)} makes {prod(shape)} values, not {expected}")
        return Flatten("Flatten")
    if name in _PLAIN:
        _none_left(options[1:] if name == "dropout" else options)
        return Layer(_PLAIN[name])
    raise UserError(f"no such layer; they are {_KNOWN}")


def _convolution(kernel: Pair, filters: int, options: list[str], shape: Shape) -> Convolution:
    bias, same = not _taken(options, "nobias"), _taken(options, "p=same")
    groups = _option(options, "g", (1, 1))[0]
    stride, dilation = _option(options, "s", (1, 1)), _option(options, "d", (1, 1))
    padding = _option(options, "p", (0, 0), low=0)
    _none_left(options)
    if same:
        height, width = (same_padding(k, d) for k, d in zip(kernel, dilation, strict=True))
        padding = height, width
    if len(shape) == 3 and (shape[0] % groups or filters % groups):
        raise UserError(f"g{groups} must divide {shape[0]} maps and {filters} filters")
    return Convolution(
        "Conv2d", False, kernel, stride, padding, dilation,
        inputs=shape[0], filters=filters, groups=groups, bias=bias,
    )  # fmt: skip


def _pooling(how: str, kernel: Pair, options: list[str]) -> Pooling:
    ceil = _taken(options, "ceil")
    stride, padding = _option(options, "s", kernel), _option(options, "p", (0, 0), low=0)
    dilation = _option(options, "d", (1, 1)) if how == "max" else (1, 1)
    _none_left(options)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise UserError("the padding of a pooling must be at most half its kernel")
    return Pooling(f"{how.title()}Pool2d", False, kernel, stride, padding, dilation, ceil)


def _pair(first: str, second: str | None) -> Pair:
    pair = int(first), int(second or first)
    if min(pair) < 1:
        raise UserError("a kernel has one pixel or more")
    return pair


def _option(options: list[str], letter: str, default: Pair, low: int = 1) -> Pair:
    """``s2`` or ``s2x1`` among the options, taken out of them."""
    for option in options:
        if found := re.fullmatch(rf"{letter}=?{_SIZE}", option):
            options.remove(option)
            pair = int(found[1]), int(found[2] or found[1])
            if min(pair) < low:
                raise UserError(f"{option}: must be {low} or more")
            return pair
    return default


def _taken(options: list[str], word: str) -> bool:
    if word not in options:
        return False
    options.remove(word)
    return True


def _none_left(options: Sequence[str]) -> None:
    if options:
        raise UserError(f"{options[0]}: no such option of this layer")
