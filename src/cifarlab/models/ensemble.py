"""Several networks as one, which answers with the mean of their probabilities."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

Statistics = Sequence[Sequence[Sequence[float]]]  # of each: mean and standard deviation


class Ensemble(nn.Module):
    """The mean of the members' probabilities; its logits are the logarithm of that, so that softmax
    has it back (Lakshminarayanan, Pritzel and Blundell, arXiv:1612.01474).

    Args:
        members: the networks, each with the classes of the others.
        statistics: of each member, by which its images are normalised, mean and standard deviation
            by channel; the ensemble takes images that are normalised by the first one's.
        num_classes, image_size, in_channels: as of each member.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        members: Sequence[nn.Module],
        statistics: Statistics,
        num_classes: int = 10,
        image_size: int = 32,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        given = torch.tensor(statistics, dtype=torch.float64)
        mean, std = given[..., :in_channels].unbind(dim=1)
        self.register_buffer("scale", (std[0] / std).float(), persistent=False)
        self.register_buffer("shift", ((mean[0] - mean) / std).float(), persistent=False)

    def forward(
        self, images: Float[Tensor, "batch channels size size"]
    ) -> Float[Tensor, "batch classes"]:
        by_channel = zip(self.scale[..., None, None], self.shift[..., None, None], strict=True)
        logs = [
            member(images * scale + shift).float().log_softmax(dim=1)
            for member, (scale, shift) in zip(self.members, by_channel, strict=True)
        ]
        return torch.stack(logs).logsumexp(dim=0) - math.log(len(logs))
