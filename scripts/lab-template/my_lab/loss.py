"""Losses: logits ``(batch, classes)`` and labels to the mean over the batch."""

import torch.nn.functional as F
from torch import Tensor, nn


class MyLoss(nn.Module):
    """Cross-entropy, and ``epsilon`` times the probability that the right class has not (PolyLoss,
    arXiv:2204.12511)."""

    def __init__(self, epsilon: float = 1.0) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """labels: whole numbers ``(batch,)``, or shares ``(batch, classes)`` where images are
        mixed."""
        shares = F.one_hot(labels, logits.shape[1]) if labels.ndim == 1 else labels
        right = (logits.softmax(dim=1) * shares).sum(dim=1)
        return F.cross_entropy(logits, labels) + self.epsilon * (1 - right).mean()
