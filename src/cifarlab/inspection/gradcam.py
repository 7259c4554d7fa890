"""Which parts of an image speak for a class."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.inspection.layers import evaluating, hooked


def grad_cam(
    net: nn.Module, image: Float[Tensor, "channels size size"], layer: str, label: int
) -> Float[Tensor, "height width"]:
    """Gradient-weighted class activation map (Selvaraju et al., arXiv:1610.02391): the maps of a
    layer, each weighted by how much the logit of ``label`` rises with it on average over the
    places, summed, negative values zero.

    In logits, at the resolution of the layer; the parameters' gradients stay as they are.

    Args:
        image: normalised as the net wants it.
        layer: name of a module whose output is ``(batch, channels, height, width)``; of one that
            runs several times the last output counts.
        label: index of the class.
    """
    kept: list[Tensor] = []

    def cut(name: str, output: Tensor) -> Tensor:
        # What follows is differentiated with respect to this leaf alone, and works on a copy: it
        # may do so in place
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()

    with evaluating(net), hooked({layer: net.get_submodule(layer)}, cut), torch.enable_grad():
        logit = net(image[None])[0, label]
        (gradient,) = torch.autograd.grad(logit, kept[-1])
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * kept[-1].detach()).sum(dim=1)[0].relu()
