"""Layers as arithmetic: output, parameters, multiply-accumulates, receptive field.

Shapes are without the batch: maps ``(channels, height, width)``, values ``(features,)``, tokens
``(..., features)``. MACs are those of convolutions and dense layers, for one image, without the
addition of the bias, as ``torch.utils.flop_counter`` counts them.
"""

from dataclasses import dataclass
from math import prod

from cifarlab.base.errors import UserError
from cifarlab.theory.fields import Field
from cifarlab.theory.sizes import output_size

Shape = tuple[int, ...]
Pair = tuple[int, int]  # height, width
Fields = tuple[Field, Field]
FLOAT = 4  # bytes of a 32-bit number


@dataclass(frozen=True)
class Layer:
    """Keeps its input's shape and has no parameters: an activation, a dropout.

    kind: its class in torch.
    in_place: writes over its input, or is a view of it: takes no memory of its own.
    """

    kind: str
    in_place: bool = False

    @property
    def weights(self) -> int:
        return 0

    @property
    def biases(self) -> int:
        return 0

    @property
    def parameters(self) -> int:
        return self.weights + self.biases

    @property
    def formula(self) -> str:
        """The formula of the number of parameters, with numbers; empty if there are none."""
        return ""

    def output(self, shape: Shape) -> Shape:
        """The shape of the output for an input of ``shape``.

        Raises ``UserError`` if the layer cannot have such an input.
        """
        return shape

    def macs(self, shape: Shape) -> int:
        """The multiply-accumulates for an input of ``shape``."""
        return 0

    def fields(self, fields: Fields, shape: Shape) -> Fields | None:
        """The receptive fields along height and width after this layer; ``None`` where units see
        different sizes."""
        return fields

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True)
class _Window(Layer):
    """What a convolution and a pooling share: a window that slides over maps."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def sizes(self, shape: Shape) -> Pair:
        """The height and the width of the output."""
        height, width = (
            output_size(size, kernel, stride, padding, dilation, self.ceil)
            for size, kernel, stride, padding, dilation in zip(
                _maps(shape, self)[1:],
                self.kernel,
                self.stride,
                self.padding,
                self.dilation,
                strict=True,
            )
        )
        return height, width

    def output(self, shape: Shape) -> Shape:
        return (shape[0], *self.sizes(shape))

    def fields(self, fields: Fields, shape: Shape) -> Fields:
        options = zip(self.kernel, self.stride, self.padding, self.dilation, strict=True)
        height, width = (f.slide(*o) for f, o in zip(fields, options, strict=True))
        return height, width

    def __str__(self) -> str:
        usual = self.kernel if "Pool" in self.kind else (1, 1)
        parts = [self.kind, f"{self.kernel[0]}x{self.kernel[1]}"]
        parts += [f"s{_short(self.stride)}"] if self.stride != usual else []
        parts += [f"p{_short(self.padding)}"] if any(self.padding) else []
        parts += [f"d{_short(self.dilation)}"] if self.dilation != (1, 1) else []
        parts += ["ceil"] if self.ceil else []
        return " ".join(parts)


@dataclass(frozen=True)
class Pooling(_Window):
    """Maximum or mean of each window."""


@dataclass(frozen=True)
class Convolution(_Window):
    """``filters`` kernels over the maps of its group, a bias each unless ``bias`` is false."""

    inputs: int = 1
    filters: int = 1
    groups: int = 1
    bias: bool = True

    @property
    def weights(self) -> int:
        return prod(self.kernel) * (self.inputs // self.groups) * self.filters

    @property
    def biases(self) -> int:
        return self.filters if self.bias else 0

    @property
    def formula(self) -> str:
        product = f"{self.kernel[0]}*{self.kernel[1]}*{self.inputs // self.groups}*{self.filters}"
        return product + (f" + {self.filters}" if self.bias else "")

    def output(self, shape: Shape) -> Shape:
        if _maps(shape, self)[0] != self.inputs:
            raise UserError(f"{self}: expects {self.inputs} maps, is given {shape[0]}")
        return (self.filters, *self.sizes(shape))

    def macs(self, shape: Shape) -> int:
        return self.weights * prod(self.sizes(shape))

    def __str__(self) -> str:
        return super().__str__() + (f" g{self.groups}" if self.groups > 1 else "")


@dataclass(frozen=True)
class AdaptivePooling(Layer):
    """Maximum or mean of windows that share out the maps into ``size``; ``None`` keeps an axis."""

    size: tuple[int | None, int | None] = (1, 1)

    def output(self, shape: Shape) -> Shape:
        channels, height, width = _maps(shape, self)
        return channels, self.size[0] or height, self.size[1] or width

    def window(self, shape: Shape) -> Pair | None:
        """The height and the width of the windows; ``None`` if they do not divide the maps
        evenly."""
        sizes, new = shape[1:], self.output(shape)[1:]
        if any(size % parts for size, parts in zip(sizes, new, strict=True)):
            return None
        return sizes[0] // new[0], sizes[1] // new[1]

    def fields(self, fields: Fields, shape: Shape) -> Fields | None:
        window = self.window(shape)
        if window is None:
            return None
        height, width = (f.slide(k, k) for f, k in zip(fields, window, strict=True))
        return height, width

    def __str__(self) -> str:
        return f"{self.kind} {self.size[0] or '-'}x{self.size[1] or '-'}"


@dataclass(frozen=True)
class Dense(Layer):
    """Every output is connected to every input feature."""

    inputs: int = 1
    outputs: int = 1
    bias: bool = True

    @property
    def weights(self) -> int:
        return self.inputs * self.outputs

    @property
    def biases(self) -> int:
        return self.outputs if self.bias else 0

    @property
    def formula(self) -> str:
        return f"{self.inputs}*{self.outputs}" + (f" + {self.outputs}" if self.bias else "")

    def output(self, shape: Shape) -> Shape:
        if shape[-1] != self.inputs:
            raise UserError(f"{self}: expects {self.inputs} values, is given {shown(shape)}")
        return (*shape[:-1], self.outputs)

    def macs(self, shape: Shape) -> int:
        return self.weights * prod(shape[:-1])


@dataclass(frozen=True)
class Norm(Layer):
    """Normalisation with a weight and a bias for each of ``features`` (none: ``affine`` false)."""

    features: int = 1
    affine: bool = True
    bias: bool = True

    @property
    def weights(self) -> int:
        return self.features if self.affine else 0

    @property
    def biases(self) -> int:
        return self.features if self.affine and self.bias else 0

    @property
    def formula(self) -> str:
        if not self.affine:
            return ""
        return f"2*{self.features}" if self.bias else str(self.features)


@dataclass(frozen=True)
class Flatten(Layer):
    """Maps become one row of values."""

    in_place: bool = True

    def output(self, shape: Shape) -> Shape:
        return (prod(shape),)


def shown(shape: Shape) -> str:
    """A shape as text, ``32x16x16``."""
    return "x".join(map(str, shape))


def _maps(shape: Shape, layer: Layer) -> Shape:
    if len(shape) != 3:
        raise UserError(
            f"{layer}: expects maps, channels x height x width; is given {shown(shape)}"
        )
    return shape


def _short(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"
