"""What layers answer to many images."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.inspection.layers import evaluating, hooked

Batches = Iterable[Float[Tensor, "_ _ _ _"]]  # (batch, channels, size, size), of any sizes


@torch.no_grad()
def penultimate(
    net: nn.Module, batches: Batches
) -> tuple[Float[Tensor, "n width"], Float[Tensor, "n classes"]]:
    """What goes into the last dense layer, and the logits, for all normalised images, in eval mode.

    Raises ``UserError`` if the net has no dense layer.
    """
    dense = [module for module in net.modules() if isinstance(module, nn.Linear)]
    if not dense:
        raise UserError(f"{type(net).__name__}: has no dense layer, whose input the features are")
    features: list[Tensor] = []
    handle = dense[-1].register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        with evaluating(net):
            logits = [net(batch) for batch in batches]
    finally:
        handle.remove()
    return torch.cat(features).flatten(1).float(), torch.cat(logits).float()


@torch.no_grad()
def answers_of(net: nn.Module, batches: Batches, layer: str) -> Float[Tensor, "n d"]:
    """What the module ``layer`` answers to all normalised images, flattened, in eval mode; of one
    that runs several times a batch, its last answer."""
    kept: list[Tensor] = []
    latest: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor) -> None:
        latest[name] = output.flatten(1).float().clone()  # what follows may work in place

    with evaluating(net), hooked({layer: net.get_submodule(layer)}, keep):
        for batch in batches:
            net(batch)
            kept.append(latest.pop(layer))
    return torch.cat(kept)
