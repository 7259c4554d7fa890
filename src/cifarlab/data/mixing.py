"""Augmentation that mixes images with each other, and their labels alike.

An operation sees a normalised batch, after all operations on single images, and targets that are
one-hot, or mixed by the operation before. It draws a share for each image apart. The partner of an
image is the one before it in the batch: the order is drawn anew each epoch, so this partner is as
random as one that is drawn, and no image is its own. An image may be mixed while it serves,
unmixed, as the next one's partner.

Several operations follow one another, each on what the one before made: with p=1, ``mixup`` and
then ``cutmix`` put up to three images into one. With p=0.5 each, a quarter of the images stay as
they are, half undergo one of the two and a quarter both.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from cifarlab.base.errors import UserError
from cifarlab.base.schema import check_arguments
from cifarlab.data.augment import ImageOp, PerImage, box, chosen, dirichlet, integers

Images = Float[Tensor, "batch channels height width"]  # normalised
Targets = Float[Tensor, "batch classes"]  # shares, which sum to one


@runtime_checkable
class MixOp(Protocol):
    """A last step of an augmentation policy, after normalisation."""

    def mix(
        self, images: Images, targets: Targets, generator: Generator
    ) -> tuple[Images, Targets]: ...


class MixUp:
    """With probability ``p`` blend an image with its partner; it keeps a share drawn from
    Beta(alpha, alpha) (Zhang et al., arXiv:1710.09412, who draw once a batch)."""

    def __init__(self, alpha: float = 1.0, p: float = 1.0) -> None:
        check_arguments(MixUp, alpha=alpha, p=p)
        self.alpha, self.p = alpha, p

    def mix(self, images: Images, targets: Targets, generator: Generator) -> tuple[Images, Targets]:
        kept = shares(images, self.alpha, self.p, generator)
        mixed = torch.lerp(partners(images), images, kept.view(-1, 1, 1, 1))
        return mixed, torch.lerp(partners(targets), targets, kept[:, None])


class CutMix:
    """With probability ``p`` replace a box of an image by its partner's pixels there (Yun et al.,
    arXiv:1905.04899, who draw once a batch; torchvision's CutMix).

    The box has the image's proportions and the area 1 - share, a share drawn from
    Beta(alpha, alpha); its centre is anywhere in the image, so that it may reach over the edge.
    The label keeps the share of pixels that the image in fact keeps.
    """

    def __init__(self, alpha: float = 1.0, p: float = 1.0) -> None:
        check_arguments(CutMix, alpha=alpha, p=p)
        self.alpha, self.p = alpha, p

    def mix(self, images: Images, targets: Targets, generator: Generator) -> tuple[Images, Targets]:
        side = (1 - shares(images, self.alpha, self.p, generator)).sqrt()
        (row, column), (tall, wide) = zip(
            *((integers(images, n, generator), (side * n / 2).long()) for n in images.shape[2:]),
            strict=True,
        )
        inside = box(images, row - tall, column - wide, row + tall, column + wide)
        kept = 1 - inside.float().mean((2, 3))
        mixed = torch.where(inside, partners(images), images)
        return mixed, torch.lerp(partners(targets), targets, kept)


def shares(images: Images, alpha: float, p: float, generator: Generator) -> PerImage:
    """What each image keeps of itself: from Beta(alpha, alpha) with probability ``p``, else all."""
    kept = dirichlet(images, 2, alpha, generator)[:, 0]
    return kept.where(chosen(images, p, generator).flatten(), 1.0)


def partners(batch: Tensor) -> Tensor:
    """To each image, or target, the one before it; to the first the last."""
    return batch.roll(1, 0)


def partition(
    operations: Sequence[ImageOp | MixOp],
) -> tuple[tuple[ImageOp, ...], tuple[MixOp, ...]]:
    """Operations on images and those that mix, each in order.

    Raises ``UserError`` where one on images comes after one that mixes.
    """
    mixes = [isinstance(operation, MixOp) for operation in operations]
    for first, second, *pair in zip(mixes, mixes[1:], operations, operations[1:], strict=False):
        if first and not second:
            after, before = (type(operation).__name__ for operation in pair)
            raise UserError(
                f"aug: {before} comes after {after}, which mixes whole batches once they are "
                "normalised; put it before"
            )
    return (
        tuple(operation for operation in operations if not isinstance(operation, MixOp)),
        tuple(operation for operation in operations if isinstance(operation, MixOp)),
    )


def one_hot(labels: Int[Tensor, " batch"], num_classes: int) -> Targets:
    return F.one_hot(labels, num_classes).float()
