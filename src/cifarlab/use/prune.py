"""A run's net without its smallest weights: magnitude pruning, unstructured, over all layers (Han
et al., arXiv:1506.02626), by ``torch.nn.utils.prune``."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn
from torch.nn.utils import prune

from cifarlab.base.errors import UserError
from cifarlab.base.hardware import find_device
from cifarlab.base.kinds import Inside
from cifarlab.base.schema import Key
from cifarlab.data.loader import Normalize
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.use.own_images import own_images

_BATCH = 500
LAYERS = (nn.Conv2d, nn.Linear)  # whose weights are pruned; biases and norm layers are not


@dataclass(frozen=True)
class Pruned:
    """What pruning does to the answers of a net.

    amount: the share of the weights of convolutions and dense layers that is 0; 0: as trained.
    zeros, weights: how many are 0, of how many.
    right: whether the answer to each validation image is right.
    """

    amount: float
    zeros: int
    weights: int
    right: Bool[np.ndarray, " n"]


def check_amounts(amounts: Sequence[float], chosen: float | None) -> None:
    """Raise ``UserError`` unless the amounts are in (0, 1), each once, and ``chosen`` is one."""
    for amount in amounts:
        Key("amount", amount, Inside).check()
    if len(set(amounts)) < len(amounts) or not amounts:
        raise UserError(f"amount={[*amounts]}: must be one number in (0, 1) or several different")
    if chosen is not None and chosen not in amounts:
        raise UserError(f"chosen={chosen}: must be one of amount={[*amounts]}")


def pruned(loaded: LoadedNet, amount: float) -> nn.Module:
    """A copy of a run's net in which the ``amount`` (a share in [0, 1)) of weights that are nearest
    to 0 is 0, whichever layers they are in.

    Raises ``UserError`` for a net without convolutions and dense layers.
    """
    net = copy.deepcopy(loaded.net).cpu().to(memory_format=torch.contiguous_format)
    parts = [(layer, "weight") for layer in net.modules() if isinstance(layer, LAYERS)]
    if not parts:
        raise UserError(f"{loaded.title}: has no convolution or dense layer to prune")
    if amount:
        prune.global_unstructured(parts, prune.L1Unstructured, amount=amount)
        for layer, name in parts:
            prune.remove(layer, name)  # the zeros stay, the masks go
    return net.eval()


def measure(loaded: LoadedNet, amounts: Sequence[float]) -> list[Pruned]:
    """What the amounts, and none, do on the run's validation images, by amount.

    Raises ``UserError`` if the run's data are others now.
    """
    return [
        Pruned(amount, *zeros(net), right_on(loaded, net, "val"))
        for amount in [0.0, *sorted(amounts)]
        for net in [pruned(loaded, amount)]
    ]


def right_on(loaded: LoadedNet, net: nn.Module, split: str) -> Bool[np.ndarray, " n"]:
    """Whether ``net``, made of the run's, is right on each image of ``val`` or ``test``."""
    device = find_device("cuda")
    images, labels = own_images(loaded, split, None, device)
    normalize = Normalize(loaded.mean, loaded.std, device)
    net = net.to(device).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        answers = [net(normalize(batch)).argmax(1) for batch in images.split(_BATCH)]
    return (torch.cat(answers) == labels).cpu().numpy()


def zeros(net: nn.Module) -> tuple[int, int]:
    """How many weights of convolutions and dense layers are 0, and how many there are."""
    weights = [layer.weight for layer in net.modules() if isinstance(layer, LAYERS)]
    return sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
