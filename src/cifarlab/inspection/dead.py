"""Dead filters: filters whose activation is always zero."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cifarlab.inspection.layers import evaluating, hooked

# As modules and as functions call them (``nn.ReLU6`` calls hardtanh). Gates, which only scale maps
# (sigmoid, hardsigmoid), are none
_ACTIVATIONS = {
    "relu", "relu_", "relu6", "hardtanh", "hardtanh_", "threshold", "threshold_", "tanh", "tanh_",
    "gelu", "silu", "mish", "hardswish", "elu", "elu_", "celu", "selu", "softplus", "prelu",
    "leaky_relu", "leaky_relu_",
}  # fmt: skip


class DeadFilters:
    """Counts filters whose activation is zero everywhere on every image seen so far.

    The activation of a convolution is the first activation function that runs after it, before the
    next convolution does, whether a module or a function calls it; after norm and pooling, and
    where maps are added in between, of the sum. A convolution without one (its maps are joined to
    others or pass on as they are) has no filters that could be found dead.

    Args:
        net: looked at in eval mode.
        layer: name of a module whose own maps are watched too; ``None``: of none.

    Attributes:
        images: how many it has seen.
    """

    def __init__(self, net: nn.Module, layer: str | None = None) -> None:
        self.net, self.layer = net, layer
        self.images = 0
        self._alive: dict[str, Bool[Tensor, " filters"]] = {}
        self._own: Bool[Tensor, " channels"] | None = None

    @torch.no_grad()
    def see(self, images: Float[Tensor, "batch channels size size"]) -> None:
        """Pass normalised images through the net and note which filters answer."""
        modules = dict(self.net.named_modules())
        watched = {name: m for name, m in modules.items() if isinstance(m, nn.Conv2d)}
        if self.layer is not None:
            watched[self.layer] = modules[self.layer]
        waiting: tuple[str, int] | None = None  # the last convolution, its number of filters
        own: Bool[Tensor, " channels"] | None = None

        def ran(name: str, output: Tensor) -> None:
            nonlocal waiting, own
            if name == self.layer:
                own = _answers(output)  # of a module that runs twice the last counts
            if isinstance(modules[name], nn.Conv2d):
                waiting = name, output.shape[1]

        def activated(output: Tensor) -> None:
            nonlocal waiting
            if waiting is not None and output.ndim == 4 and output.shape[1] == waiting[1]:
                name, waiting = waiting[0], None
                self._alive[name] = _either(_answers(output), self._alive.get(name))

        with evaluating(self.net), hooked(watched, ran), _Activations(activated):
            self.net(images)
        self._own = own if own is None else _either(own, self._own)
        self.images += len(images)

    @property
    def by_layer(self) -> dict[str, list[int]]:
        """Convolutions that have an activation, with the numbers, from 0, of their dead filters."""
        return {name: _numbers(alive) for name, alive in self._alive.items()}

    @property
    def filters(self) -> int:
        """The number of filters of all those convolutions together."""
        return sum(len(alive) for alive in self._alive.values())

    @property
    def of_layer(self) -> list[int]:
        """Numbers of the maps of ``layer`` that are zero; those of a convolution after its
        activation, where it has one."""
        if self.layer in self._alive:
            return self.by_layer[self.layer]
        return [] if self._own is None else _numbers(self._own)


class _Activations(TorchFunctionMode):
    """Calls ``found(output)`` for every activation function that runs inside."""

    def __init__(self, found: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in _ACTIVATIONS:
            self.found(output)
        return output


def _answers(maps: Float[Tensor, "batch channels height width"]) -> Bool[Tensor, " channels"]:
    """Whether each channel is anywhere not zero."""
    return (maps != 0).any(dim=3).any(dim=2).any(dim=0)


def _either(
    now: Bool[Tensor, " channels"], before: Bool[Tensor, " channels"] | None
) -> Bool[Tensor, " channels"]:
    return now if before is None else now | before


def _numbers(alive: Bool[Tensor, " channels"]) -> list[int]:
    return torch.nonzero(~alive).flatten().tolist()
