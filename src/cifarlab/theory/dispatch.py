"""Receptive fields carried along while a net computes: every operation of torch on tensors whose
field is known gives its outputs theirs, branches, sums and concatenations included."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from cifarlab.theory.fields import Field
from cifarlab.theory.layers import Fields


@dataclass(frozen=True)
class Seen:
    """What the units of a tensor see.

    fields: along height and width; ``None`` where it is not known, for the ``reason``.
    grid: units along height and width.
    flat: the grid lies along the last axis, (batch, features), no longer along the last two.
    """

    fields: Fields | None
    grid: tuple[int, int] = (1, 1)
    flat: bool = False
    reason: str = ""


class FieldMode(TorchDispatchMode):
    """Within it, ``seen(tensor)`` knows the receptive field of whatever came of ``images``.

    Maps must be (batch, channels, height, width) and nets in eval mode: in training, batch norm
    makes each unit a function of all. An operation without a rule makes what follows unknown.
    """

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        # the tensor is kept, so that its id stays its own
        self._known: dict[int, tuple[Tensor, Seen]] = {}
        self.resized: tuple[int, int] | None = None  # size that the net gave the images, if it did
        self._note(images, Seen((Field(), Field()), (images.shape[2], images.shape[3])))

    def seen(self, tensor: Tensor) -> Seen | None:
        """What the units of a tensor see; ``None`` if it does not depend on the images."""
        return self._known.get(id(tensor), (None, None))[1]

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        inputs = [(t, s) for t in _tensors(args) if (s := self.seen(t)) is not None]
        outputs = func(*args, **(kwargs or {}))
        for output in _tensors(outputs) if inputs else ():
            self._note(output, self._rule(func, inputs, args, output))
        return outputs

    def _note(self, tensor: Tensor, seen: Seen) -> None:
        self._known[id(tensor)] = (tensor, seen)

    def _rule(
        self, func: Any, inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor
    ) -> Seen:
        for _, seen in inputs:
            if seen.fields is None:
                return seen
        name = func.overloadpacket.__name__.lstrip("_").removesuffix("_")
        if name.startswith("upsample_") and inputs[0][1].fields == (Field(), Field()):
            # pixels are counted anew in the resized image
            self.resized = (output.shape[2], output.shape[3])
            return Seen((Field(), Field()), self.resized)
        pointwise = torch.Tag.pointwise in func.tags or name in _EACH_BY_ITSELF
        rule = _join if pointwise else _RULES.get(name)
        found = None if rule is None else rule(inputs, args, output)
        return found or Seen(None, reason=f"no rule for {name} here")


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


Rule = Callable[[list[tuple[Tensor, Seen]], tuple, Tensor], Seen | None]
_EACH_BY_ITSELF = {
    "native_batch_norm", "native_batch_norm_legit_no_training", "batch_norm_with_update",
    "cudnn_batch_norm", "native_dropout", "clone", "to_copy", "contiguous", "detach", "alias",
    "hardswish", "prelu",
}  # fmt: skip


def _join(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Units at one place are combined, those of a single one with all."""
    _, first = inputs[0]
    for _, other in inputs[1:]:
        if first.flat != other.flat:
            return None
        grids = zip(first.grid, other.grid, strict=True)
        joined = [
            a.join(b, *counts)
            for a, b, counts in zip(first.fields or (), other.fields or (), grids, strict=True)
        ]
        found = [field for field in joined if field is not None]
        if len(found) < len(joined):
            return None
        grid = tuple(map(max, first.grid, other.grid))
        first = Seen((found[0], found[1]), (grid[0], grid[1]), first.flat)
    if not first.flat and (output.ndim != 4 or tuple(output.shape[2:]) != first.grid):
        return None
    return first


def _concatenate(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Of channels only."""
    dim = args[1] if len(args) > 1 else 0
    return _join(inputs, args, output) if dim % output.ndim == 1 else None


def _channels(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Some channels, whole maps: ``split``, ``chunk``, ``slice``."""
    tensor, seen = inputs[0]
    whole = output.ndim == tensor.ndim == 4 and output.shape[2:] == tensor.shape[2:]
    return seen if whole else None


def _slide(seen: Seen, output: Tensor, *options: Sequence[int]) -> Seen:
    """options: kernel, stride, padding, dilation."""
    assert seen.fields is not None
    pairs = [list(option) * 2 if len(option) == 1 else list(option) for option in options]
    height, width = (
        field.slide(*option)
        for field, option in zip(seen.fields, zip(*pairs, strict=True), strict=True)
    )
    return Seen((height, width), (output.shape[2], output.shape[3]))


def _convolution(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    tensor, weight, _, stride, padding, dilation, transposed = args[:7]
    if transposed or tensor.ndim != 4 or len(inputs) > 1:
        return None
    return _slide(inputs[0][1], output, weight.shape[2:], stride, padding, dilation)


def _pool(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Both have kernel, stride, padding; then max_pool2d has dilation, avg_pool2d ``ceil_mode``."""
    kernel, *rest = args[1:5]
    stride, padding, dilation = (*rest, None, None, None)[:3]
    if isinstance(dilation, bool):
        dilation = None
    return _slide(inputs[0][1], output, kernel, stride or kernel, padding or [0], dilation or [1])


def _adaptive(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    _, seen = inputs[0]
    new = (output.shape[2], output.shape[3])
    if any(size % parts for size, parts in zip(seen.grid, new, strict=True)):
        return None
    window = [size // parts for size, parts in zip(seen.grid, new, strict=True)]
    return _slide(seen, output, window, window, [0], [1])


def _mean(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Over height and width."""
    tensor, seen = inputs[0]
    axes = {axis % tensor.ndim for axis in (args[1] if len(args) > 1 and args[1] else ())}
    if tensor.ndim != 4 or axes != {2, 3}:
        return None
    return Seen(_gathered(seen), (1, 1), flat=output.ndim == 2)


def _reshape(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """Nothing changed, or all but the batch laid in one row, or single units given their axes."""
    tensor, seen = inputs[0]
    if output.shape == tensor.shape:
        return seen
    if output.shape[:1] != tensor.shape[:1]:
        return None
    if output.ndim == 2:
        return Seen(seen.fields, seen.grid, flat=True)
    if output.ndim == 4 and tuple(output.shape[2:]) == seen.grid == (1, 1):
        return Seen(seen.fields, seen.grid)
    return None


def _dense(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """A matrix product with weights, a softmax: all units of a row into each."""
    _, seen = inputs[0]
    return Seen(_gathered(seen), (1, 1), flat=True) if seen.flat and len(inputs) == 1 else None


def _pad(inputs: list[tuple[Tensor, Seen]], args: tuple, output: Tensor) -> Seen | None:
    """left, right, top, bottom."""
    _, seen = inputs[0]
    if output.ndim != 4 or len(args[1]) > 4:
        return None
    left, top = args[1][0], [*args[1], 0, 0][2]
    return _slide(seen, output, [1], [1], [top, left], [1])


def _gathered(seen: Seen) -> Fields:
    assert seen.fields is not None
    height, width = (f.gather(n) for f, n in zip(seen.fields, seen.grid, strict=True))
    return height, width


_RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "max_pool2d_with_indices": _pool,
    "max_pool2d": _pool,
    "avg_pool2d": _pool,
    "adaptive_avg_pool2d": _adaptive,
    "adaptive_max_pool2d": _adaptive,
    "mean": _mean,
    "view": _reshape,
    "unsafe_view": _reshape,
    "reshape": _reshape,
    "reshape_alias": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "cat": _concatenate,
    "split": _channels,
    "split_with_sizes": _channels,
    "chunk": _channels,
    "slice": _channels,
    "addmm": _dense,
    "mm": _dense,
    "softmax": _dense,
    "log_softmax": _dense,
    "constant_pad_nd": _pad,
}
