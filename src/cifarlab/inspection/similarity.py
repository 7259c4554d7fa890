"""Whether layers represent images alike: centred kernel alignment."""

from jaxtyping import Float
from torch import Tensor

Gram = Float[Tensor, "n n"]


def gram(features: Float[Tensor, "n d"]) -> Gram:
    """The centred inner products of all pairs of images, in 64 bits, their diagonal zero: what
    ``cka`` compares.

    Centred as Székely and Rizzo (2014) do it, so that ``cka`` has no bias from the number of
    images. Raises ``ValueError`` for fewer than four images.
    """
    n = len(features)
    if n < 4:
        raise ValueError(f"{n} images; at least 4")
    shifted = features - features.mean(dim=0)  # changes nothing but the rounding
    kernel = (shifted @ shifted.T).cpu().double().fill_diagonal_(0)
    rows = kernel.sum(dim=1) / (n - 2)
    total = kernel.sum() / ((n - 1) * (n - 2))
    return (kernel - rows - rows[:, None] + total).fill_diagonal_(0)


def cka(a: Gram, b: Gram) -> float:
    """Linear centred kernel alignment of two layers on the same images (Kornblith et al.,
    arXiv:1905.00414): 1 where one is the other rotated and scaled, near 0 where they have nothing
    in common; NaN where one answers alike to all images.

    The inner products are estimated without bias (Song et al., 2012; Nguyen et al.,
    arXiv:2010.15327): with more features than images the plain formula finds any two layers alike.
    A small negative value is an estimate of zero.

    a, b: from ``gram``.
    """
    length = a.norm() * b.norm()
    return float((a * b).sum() / length) if length > 0 else float("nan")
