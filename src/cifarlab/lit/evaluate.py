"""Metrics and logits of a net over a set of images."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cifarlab.base.progress import followed
from cifarlab.lit.tta import Views
from cifarlab.stats.answers import Predictions
from cifarlab.stats.quantities import METRICS


@dataclass(frozen=True)
class Evaluation:
    """One row of logits an image; tta: the same with the logits averaged over views, where they
    were asked for."""

    logits: Float[np.ndarray, "n classes"]
    labels: Int[np.ndarray, " n"]
    tta: "Evaluation | None" = None

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Means over the images of all ``cifarlab.stats.quantities.METRICS``, by name."""
        answers = Predictions(self.logits.astype(np.float64), self.labels)
        return {m.name: float(getattr(answers, m.scores).mean()) for m in METRICS.values()}


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
        for images, labels in followed(loader, "measuring"):
            weighted = views(images) if views else [(1.0, images)]
            logits = [net(view).float() for _, view in weighted]
            plain.append(logits[0])
            averaged.append(sum(w * out for (w, _), out in zip(weighted, logits, strict=True)))
            truth.append(labels)
        labels = _all(truth)
        tta = Evaluation(_all(averaged), labels) if views else None
        return Evaluation(_all(plain), labels, tta)


def _all(batches: list[Tensor]) -> np.ndarray:
    return torch.cat(batches).cpu().numpy()
