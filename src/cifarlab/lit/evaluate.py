"""Loss, accuracy and logits of a net over a set of images."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import nn


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy (nats); acc: share of right answers; one row of logits an image."""

    loss: float
    acc: float
    logits: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]

    @property
    def metrics(self) -> dict[str, float]:
        return {"loss": self.loss, "acc": self.acc}


def evaluate(net: nn.Module, loader: Iterable, autocast: AbstractContextManager) -> Evaluation:
    """Run ``net`` in eval mode over the batches of ``loader``, which must be on the net's device.

    autocast: the precision to compute in; the loss is taken of 32-bit logits in any case.
    """
    net.eval()
    with torch.inference_mode(), autocast:
        batches = [(net(images).float(), labels) for images, labels in loader]
        logits = torch.cat([logits for logits, _ in batches])
        labels = torch.cat([labels for _, labels in batches])
        loss = float(F.cross_entropy(logits, labels))
        accuracy = (logits.argmax(dim=1) == labels).sum().item() / len(labels)
    return Evaluation(loss, accuracy, logits.cpu().numpy(), labels.cpu().numpy())
