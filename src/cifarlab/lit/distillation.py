"""Learning from another net's answers: ``loss=distillation loss.teacher=<run>``."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments
from cifarlab.lit.losses import Loss

Statistics = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation by channel


class Teacher:
    """A net that answers and never changes: in eval mode, without gradients.

    It is no ``nn.Module``, so that whatever has one as an attribute, such as a loss, neither trains
    it nor counts it nor writes it into a checkpoint.

    Args:
        net: takes normalised images.
        ours: the statistics that the images given to it are normalised by.
        theirs: those that it was trained with.
    """

    def __init__(self, net: nn.Module, ours: Statistics, theirs: Statistics) -> None:
        self.net = net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        (mean, std), (its_mean, its_std) = (
            [torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in part]
            for part in (ours, theirs)
        )
        self.scale, self.shift = (std / its_std).float(), ((mean - its_mean) / its_std).float()
        self.is_alike = all(torch.equal(*pair) for pair in ((mean, its_mean), (std, its_std)))
        self.device = torch.device("cpu")

    def __call__(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Its logits, in 32 bits. images: normalised by our statistics, on any device."""
        if images.device != self.device:
            self.device = images.device
            self.net.to(self.device)
            self.scale, self.shift = self.scale.to(self.device), self.shift.to(self.device)
        with torch.no_grad():
            given = images if self.is_alike else images * self.scale + self.shift
            return self.net(given).float()

    def __deepcopy__(self, memo: dict) -> "Teacher":
        """Itself: averages of weights copy the module that trains, and a teacher is of none."""
        return self


class Distillation(Loss):
    """The student follows the labels and the teacher's softened probabilities (Hinton, Vinyals and
    Dean, arXiv:1503.02531): ``(1 - alpha) CE(labels) + alpha T^2 KL(teacher || student)``, nats,
    where the divergence is between probabilities of logits divided by ``T``.

    ``T^2`` keeps the size of its gradients whatever the temperature (their section 2). On
    validation images the loss is the cross-entropy of the labels alone: the teacher is not asked
    there, and the epoch that is kept is that which is right, not that which agrees with the
    teacher.

    Args:
        teacher: the folder of a finished run, which ``cifarlab.run.build`` loads.
        temperature: ``T``, above 0.
        alpha: in [0, 1], the teacher's share; 0 is cross-entropy.
        class_weights: as in ``Loss``.

    Raises ``UserError`` without a teacher.
    """

    def __init__(
        self,
        teacher: str | None = None,
        temperature: float = 4.0,
        alpha: float = 0.9,
        class_weights: Sequence[float] | str | None = None,
    ) -> None:
        given = {"teacher": teacher, "temperature": temperature, "alpha": alpha}
        check_arguments(Distillation, **given, class_weights=class_weights)
        if teacher is None:
            raise UserError("loss.teacher=null: must be the folder of a finished run")
        super().__init__(class_weights)
        self.source, self.temperature, self.alpha = teacher, temperature, alpha
        self.teacher: Teacher | None = None
        self._said: Tensor | None = None

    def look(self, images: Float[Tensor, "batch channels height width"]) -> None:
        """Have the teacher answer to a batch of training images, augmented as the student sees
        them; the next call is about these."""
        assert self.teacher is not None, "build gives it a teacher"
        self._said = self.teacher(images)

    def each(
        self, logits: Float[Tensor, "batch classes"], shares: Float[Tensor, "batch classes"]
    ) -> Float[Tensor, " batch"]:
        labelled = -(shares * logits.log_softmax(dim=1)).sum(dim=1)
        if not self.training:
            return labelled
        assert self._said is not None, "look at the images first"
        said, self._said = self._said, None
        ours, theirs = ((x / self.temperature).log_softmax(dim=1) for x in (logits, said))
        apart = F.kl_div(ours, theirs, reduction="none", log_target=True).sum(dim=1)
        return (1 - self.alpha) * labelled + self.alpha * self.temperature**2 * apart
