"""The layers of a net in the order in which they run, and what they answer to an image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cifarlab.base.errors import UserError

_REFUSALS = (RuntimeError, ValueError, AssertionError)  # torch raises, timm asserts
Output = Float[Tensor, "maps map_height map_width"] | Float[Tensor, " units"]


class Call(NamedTuple):
    """One call of a module, for one image.

    name: the path of the module in the net.
    module: itself.
    shape: of its output, batch first.
    """

    name: str
    module: nn.Module
    shape: tuple[int, ...]

    @property
    def is_maps(self) -> bool:
        """Whether the output is ``(1, channels, size, size)``.

        Images are square, so maps are, and what a transformer makes of an image, with channels last
        or as a row of tokens, is not taken for maps.
        """
        return len(self.shape) == 4 and self.shape[2] == self.shape[3]

    @property
    def is_shown(self) -> bool:
        """Whether it can be drawn: maps, or one value a unit."""
        return self.is_maps or len(self.shape) == 2


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Put the net into eval mode; afterwards every module gets its own mode back."""
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def count_macs(net: nn.Module, image_size: int) -> int:
    """The multiply-accumulates of convolutions and matrix products for one image, counted by
    torch.

    Raises ``UserError`` for images of a size that a net of ours does not take; the mistakes of
    others' code are theirs to see.
    """
    with counted_operations(net) as counter, torch.inference_mode():
        try:
            net(torch.zeros(1, 3, image_size, image_size))
        except _REFUSALS as error:
            is_ours = type(net).__module__.startswith("cifarlab.")
            if not is_ours or "alloc" in str(error) or "overflow" in str(error):  # of memory
                raise
            raise UserError(
                f"images of {image_size} px: the model takes none of that size ({_first(error)}); "
                "take another model, or another size by model.resize or data.image_size where "
                "there is one"
            ) from error
    return counter.get_total_flops() // 2


@contextmanager
def counted_operations(net: nn.Module) -> Iterator[FlopCounterMode]:
    """Counts what is computed inside, where ``net`` is in eval mode.

    Attention is done step by step: the one fused operation would not be counted.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with evaluating(net), FlopCounterMode(display=False) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def hooked(modules: Mapping[str, nn.Module], hook: Callable) -> Iterator[None]:
    """``hook(name, output)`` after each of ``modules`` has run; what it returns, if not ``None``,
    takes the output's place."""
    with ExitStack() as stack:
        for name, module in modules.items():
            handle = module.register_forward_hook(
                lambda module, inputs, output, name=name: hook(name, output)
            )
            stack.callback(handle.remove)
        yield


def calls(net: nn.Module, size: int, in_channels: int = 3) -> list[Call]:
    """Every call of a module for one image of ``size`` pixels squared, in the order in which they
    end: what holds others comes after them, and a module that runs twice is there twice.

    Raises ``UserError`` for a size that the net does not take.
    """
    modules = {name: module for name, module in net.named_modules() if name}
    made: list[Call] = []

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor):
            made.append(Call(name, modules[name], tuple(output.shape)))

    parameter = next(net.parameters())
    image = torch.zeros(1, in_channels, size, size, device=parameter.device)
    with evaluating(net), hooked(modules, note), torch.no_grad():
        try:
            net(image)
        except _REFUSALS as error:
            raise UserError(
                f"size={size}: the net takes no images of {size}x{size} pixels ({_first(error)}); "
                "without size they are as it was trained on"
            ) from error
    return made


def _first(error: Exception) -> str:
    """The first line of what an error says."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def first_layer(made: Sequence[Call]) -> Call | None:
    """The convolution or dense layer that runs first; ``None`` where there is neither."""
    return next((c for c in made if isinstance(c.module, nn.Conv2d | nn.Linear)), None)


def as_pictures(
    weight: Float[Tensor, "filters channels height width"] | Float[Tensor, "units inputs"],
    in_channels: Sequence[int] = (3, 1),
) -> Float[Tensor, "filters channels height width"]:
    """Weights of a first layer as pictures: those of a convolution as they are, those of a dense
    layer, whose inputs are flattened square images of one of ``in_channels``, of that size, or
    where they are not, as rows of one pixel's height."""
    if weight.ndim == 4:
        return weight
    for channels in in_channels:
        side = round((weight.shape[1] / channels) ** 0.5)
        if channels * side**2 == weight.shape[1]:
            return weight.unflatten(1, (channels, side, side))
    return weight[:, None, None]


def last_maps(made: Sequence[Call]) -> Call | None:
    """The last maps of the size of the last convolution's: those after its norm, addition and
    activation, before they are pooled. Of several modules that end there the outermost. ``None``
    where there is no convolution."""
    last = next((c for c in reversed(made) if isinstance(c.module, nn.Conv2d)), None)
    if last is None or not last.is_maps:
        return None
    return next(c for c in reversed(made) if c.is_maps and c.shape[2:] == last.shape[2:])


def maps_of(made: Sequence[Call], name: str) -> Call:
    """The last call of the module ``name``. Raises ``UserError``, with the names that are allowed,
    if there is none or its output is neither maps nor one value a unit."""
    for call in reversed(made):
        if call.name == name and call.is_shown:
            return call
    allowed = dict.fromkeys(call.name for call in made if call.is_shown)
    raise UserError(f"layer={name}: no such layer; allowed: {', '.join(allowed)}")


@torch.no_grad()
def capture(net: nn.Module, image: Float[Tensor, "channels size size"], name: str) -> Output:
    """What the module ``name`` answers to one normalised image, in eval mode; of a module that runs
    several times, its last answer."""
    outputs: list[Output] = []

    def keep(name: str, output: Tensor) -> None:
        outputs.append(output[0].clone())  # what follows may work in place

    with evaluating(net), hooked({name: net.get_submodule(name)}, keep):
        net(image[None])
    return outputs[-1]
