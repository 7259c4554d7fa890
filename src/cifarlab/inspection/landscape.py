"""The loss around a trained net, on a plane through its weights."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from cifarlab.inspection.layers import evaluating

Direction = dict[str, Tensor]


def direction(net: nn.Module, generator: Generator) -> Direction:
    """A random direction of the weights, filter by filter as long as the net's own (Li et al.,
    arXiv:1712.09913): so nets whose weights differ in scale alone have the same slice.

    A filter is what makes one output channel or unit. Biases and the weights of norms stay where
    they are, as in the paper's code; running statistics do, too.
    """
    found = {}
    for name, weight in net.named_parameters():
        if weight.ndim > 1:
            drawn = torch.randn(weight.shape, generator=generator).to(weight.device)
            rows = drawn.flatten(1)
            lengths = weight.detach().flatten(1).norm(dim=1) / rows.norm(dim=1)
            found[name] = (rows * lengths[:, None]).view_as(weight)
    return found


@torch.no_grad()
def loss_slice(
    net: nn.Module,
    loss: Callable[[nn.Module], float],
    directions: tuple[Direction, Direction],
    places: Sequence[float],
) -> Float[Tensor, "rows columns"]:
    """The loss at ``weights + x * first + y * second``: columns are ``x``, rows ``y``, both from
    ``places``. The weights are afterwards as they were, bit for bit.

    loss: of a net in eval mode.
    """
    weights = dict(net.named_parameters())
    before = {name: weights[name].clone() for name in directions[0]}
    values = torch.empty(len(places), len(places), dtype=torch.float64)
    try:
        with evaluating(net):
            for row, y in enumerate(places):
                for column, x in enumerate(places):
                    for name, at in before.items():
                        first, second = (each[name] for each in directions)
                        weights[name].copy_(at + x * first + y * second)
                    values[row, column] = loss(net)
    finally:
        for name, at in before.items():
            weights[name].copy_(at)
    return values
