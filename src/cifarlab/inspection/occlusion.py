"""Which parts of an image an answer cannot do without."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.inspection.layers import evaluating


@torch.no_grad()
def occlusion(
    net: nn.Module,
    image: Float[Tensor, "channels size size"],
    label: int,
    patch: int,
    stride: int,
) -> Float[Tensor, "places places"]:
    """How much the probability of a class falls when a square is covered by the mean colour (Zeiler
    and Fergus, arXiv:1311.2901), for each place of the square, row by row; below zero where it
    rises.

    Places are ``stride`` pixels apart; the squares of the first and the last lie at the edges, as
    far as ``stride`` divides what is between. Raises ``ValueError`` if the square is larger than
    the image.

    Args:
        image: normalised, so that zero is the mean colour.
        label: index of the class.
        patch: the side of the square in pixels.
        stride: pixels between places.
    """
    size = image.shape[-1]
    if patch > size:
        raise ValueError(f"a square of {patch} pixels on an image of {size}")
    starts = range(0, size - patch + 1, stride)
    batch = image.repeat(len(starts) ** 2 + 1, 1, 1, 1)  # the last one stays as it is
    for place, (top, left) in enumerate((y, x) for y in starts for x in starts):
        batch[place, :, top : top + patch, left : left + patch] = 0
    with evaluating(net):
        shares = net(batch).float().softmax(dim=1)[:, label]
    return (shares[-1] - shares[:-1]).view(len(starts), len(starts))
