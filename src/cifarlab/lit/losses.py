"""What training minimises: ``loss=`` of the configuration.

A loss is called with logits ``(batch, classes)`` in 32 bits and with labels, whole numbers or,
where augmentation mixes images, shares of the classes; it returns the mean over the batch. A class
of the user's own that does so is a loss, too. If it has a method ``prepare``, that is called once,
before training, with the number of training images of each class.

The loss decides what is trained and, on the validation images, which epoch is kept and when to stop
early. It does not decide what is reported: that is accuracy and cross-entropy in nats whatever the
loss was, so that runs with different losses can be compared.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments

Labels = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]  # classes, or shares of them
BALANCED = "balanced"


class Loss(nn.Module):
    """The mean over a batch of ``each`` image's loss, weighted by its class where that was asked.

    The weighted losses are divided by the number of images, not by the sum of their weights as
    ``torch.nn.CrossEntropyLoss`` does, so that a batch in two halves has the mean of both.

    class_weights: the weight of each class; ``balanced`` for one over the class's share of the
        training images and over the number of classes, which is 1 on average; ``None``: all alike.
    """

    weight: Tensor | None

    def __init__(self, class_weights: Sequence[float] | str | None = None) -> None:
        super().__init__()
        self.class_weights = class_weights
        self.register_buffer("weight", None)

    def prepare(self, counts: Int[Tensor, " classes"]) -> None:
        """Know the number of training images of each class.

        Raises ``UserError`` if there are not as many weights as classes.
        """
        if self.class_weights is None:
            return
        if isinstance(self.class_weights, str):
            self.weight = counts.sum() / (len(counts) * counts.clamp(min=1).float())
            return
        if len(self.class_weights) != len(counts):
            raise UserError(
                f"loss.class_weights: {len(self.class_weights)} weights for {len(counts)} classes; "
                "must be one for each, or balanced"
            )
        self.weight = torch.tensor(self.class_weights, dtype=torch.float32)

    def forward(self, logits: Float[Tensor, "batch classes"], labels: Labels) -> Float[Tensor, ""]:
        hard = labels.ndim == 1
        shares = F.one_hot(labels, logits.shape[1]).to(logits.dtype) if hard else labels
        each = self.each(logits, shares)
        return (each if self.weight is None else each * (shares @ self.weight)).mean()

    def each(
        self, logits: Float[Tensor, "batch classes"], shares: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, " batch"]:
        """The loss of each image. shares: what is right, of each class."""
        raise NotImplementedError


class CrossEntropy(Loss):
    """Cross-entropy in nats.

    Args:
        label_smoothing: share in [0, 1) of the target that training spreads over all classes
            (Szegedy et al., arXiv:1512.00567); validation has none.
        class_weights: as in ``Loss``.
    """

    def __init__(
        self, label_smoothing: float = 0.0, class_weights: Sequence[float] | str | None = None
    ) -> None:
        check_arguments(CrossEntropy, label_smoothing=label_smoothing, class_weights=class_weights)
        super().__init__(class_weights)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Float[Tensor, "batch classes"], labels: Labels) -> Float[Tensor, ""]:
        smoothing = self.label_smoothing if self.training else 0.0
        if self.weight is None:
            return F.cross_entropy(logits, labels, label_smoothing=smoothing)
        total = F.cross_entropy(
            logits, labels, self.weight, label_smoothing=smoothing, reduction="sum"
        )
        return total / len(labels)


class Focal(Loss):
    """Focal loss, ``-(1 - p)^gamma log p`` of the right class's probability ``p``: images that are
    easy already count less (Lin et al., arXiv:1708.02002).

    Args:
        gamma: how much less; 0 is cross-entropy.
        class_weights: as in ``Loss``.
    """

    def __init__(
        self, gamma: float = 2.0, class_weights: Sequence[float] | str | None = None
    ) -> None:
        check_arguments(Focal, gamma=gamma, class_weights=class_weights)
        super().__init__(class_weights)
        self.gamma = gamma

    def each(
        self, logits: Float[Tensor, "batch classes"], shares: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, " batch"]:
        log_p = logits.log_softmax(dim=1)
        rest = (1 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).tiny)  # 0 has no power's slope
        return -(shares * rest**self.gamma * log_p).sum(dim=1)


class SquaredError(Loss):
    """The squared distance to the shares of the classes (0 and 1 without mixing), mean over the
    classes.

    Args:
        of: ``logits`` (Hui and Belkin, arXiv:2006.07322, without their rescaling): the largest is
            still the answer, but softmax makes no probabilities of them, so that the reported
            cross-entropy is high whatever the accuracy; or ``probabilities``, those that softmax
            makes, Brier's score (1950), whose gradient vanishes where softmax is sure.
        class_weights: as in ``Loss``.
    """

    def __init__(
        self,
        of: Literal["logits", "probabilities"] = "logits",
        class_weights: Sequence[float] | str | None = None,
    ) -> None:
        check_arguments(SquaredError, of=of, class_weights=class_weights)
        super().__init__(class_weights)
        self.of = of

    def each(
        self, logits: Float[Tensor, "batch classes"], shares: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, " batch"]:
        given = logits if self.of == "logits" else logits.softmax(dim=1)
        return (given - shares).square().mean(dim=1)
