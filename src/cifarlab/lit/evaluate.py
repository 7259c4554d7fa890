"""Loss, accuracy and logits of a net over a set of images."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cifarlab.lit.tta import Views


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy (nats); acc: share of right answers; one row of logits an image;
    tta: the same with the logits averaged over views, where they were asked for."""

    loss: float
    acc: float
    logits: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]
    tta: "Evaluation | None" = None

    @property
    def metrics(self) -> dict[str, float]:
        return {"loss": self.loss, "acc": self.acc}


def evaluate(
    net: nn.Module,
    loader: Iterable,
    autocast: AbstractContextManager,
    views: Views | None = None,
) -> Evaluation:
    """Run ``net`` in eval mode over the batches of ``loader``, which must be on the net's device.

    autocast: the precision to compute in; the loss is taken of 32-bit logits in any case.
    views: see ``cifarlab.lit.tta``; measured beside the images as they are, in the same pass.
    """
    net.eval()
    plain, averaged, truth = [], [], []
    with torch.inference_mode(), autocast:
        for images, labels in loader:
            weighted = views(images) if views else [(1.0, images)]
            logits = [net(view).float() for _, view in weighted]
            plain.append(logits[0])
            averaged.append(sum(w * out for (w, _), out in zip(weighted, logits, strict=True)))
            truth.append(labels)
        labels = torch.cat(truth)
        tta = _measure(torch.cat(averaged), labels) if views else None
        return _measure(torch.cat(plain), labels, tta)


def _measure(
    logits: Float[Tensor, "n classes"], labels: Int[Tensor, " n"], tta: Evaluation | None = None
) -> Evaluation:
    loss = float(F.cross_entropy(logits, labels))
    accuracy = (logits.argmax(dim=1) == labels).sum().item() / len(labels)
    return Evaluation(loss, accuracy, logits.cpu().numpy(), labels.cpu().numpy(), tta)
