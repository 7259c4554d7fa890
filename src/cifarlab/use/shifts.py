"""How much a net's answers change when images are moved by a few pixels.

After Zhang (2019), "Making Convolutional Networks Shift-Invariant Again", who counts how often the
answer stays the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from cifarlab.base.errors import UserError
from cifarlab.base.progress import followed
from cifarlab.inspection.features import penultimate

PADDINGS = ("reflect", "black")
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up

Pixels = UInt8[Tensor, "n channels height width"]


@dataclass(frozen=True)
class Sensitivity:
    """How a net answers to images shifted by one distance: means over four directions and all
    images.

    shift: the distance in pixels.
    acc: the share of right answers.
    same: the share of answers that are the same as without a shift.
    features: the length of their change relative to theirs; they go into the last dense layer.
    logits: the same for the logits.
    """

    shift: int
    acc: float
    same: float
    features: float
    logits: float


@dataclass(frozen=True)
class _Answers:
    features: Float[Tensor, "n width"]
    logits: Float[Tensor, "n classes"]


def shifted(images: Pixels, down: int, right: int, padding: str) -> Pixels:
    """The images moved by ``down`` and ``right`` pixels, which may be negative.

    padding: ``reflect`` fills the edges with the mirrored image, ``black`` with 0.
    """
    for axis, distance in ((2, down), (3, right)):
        size = images.shape[axis]
        source = torch.arange(size, device=images.device) - distance
        outside = (source < 0) | (source >= size)
        source = size - 1 - (size - 1 - source.abs()).abs()
        images = images.index_select(axis, source)
        if padding == "black":
            images.index_fill_(axis, outside.nonzero().flatten(), 0)
    return images


def measure(
    net: nn.Module,
    images: Pixels,
    labels: Int[Tensor, " n"],
    normalize: Callable[[Tensor], Tensor],
    most: int,
    padding: str,
    batch_size: int = 500,
) -> list[Sensitivity]:
    """Measure how a net answers to images that are shifted by 0 to ``most`` pixels.

    Raises ``UserError`` if ``most`` is not below the size of the images, if the padding is unknown,
    or if the net has no dense layer.

    net: in eval mode, on the device of the images.
    normalize: from uint8 images to what the net takes.
    padding: as for ``shifted``.
    """
    smallest = min(images.shape[2:])
    if not 0 <= most < smallest:
        raise UserError(f"most={most}: must be from 0 to {smallest - 1} pixels")
    if padding not in PADDINGS:
        raise UserError(f"padding={padding}: must be one of {', '.join(PADDINGS)}")
    still = _answers(net, images, normalize, batch_size)
    results = [_compare(still, [still], labels, 0)]
    for distance in followed(range(1, most + 1), "shifting"):
        moved = [
            _answers(
                net, shifted(images, y * distance, x * distance, padding), normalize, batch_size
            )
            for y, x in DIRECTIONS
        ]
        results.append(_compare(still, moved, labels, distance))
    return results


def _compare(
    still: _Answers, moved: list[_Answers], labels: Int[Tensor, " n"], distance: int
) -> Sensitivity:
    answer = still.logits.argmax(dim=1)

    def mean(values: list[Tensor]) -> float:
        return float(torch.stack([value.double().mean() for value in values]).mean())

    return Sensitivity(
        distance,
        mean([m.logits.argmax(dim=1) == labels for m in moved]),
        mean([m.logits.argmax(dim=1) == answer for m in moved]),
        mean([_relative(m.features, still.features) for m in moved]),
        mean([_relative(m.logits, still.logits) for m in moved]),
    )


def _relative(moved: Float[Tensor, "n width"], still: Float[Tensor, "n width"]) -> Tensor:
    """The relative change for each image; if all features are 0, the length of the change
    itself."""
    length = still.norm(dim=1)
    return (moved - still).norm(dim=1) / torch.where(length > 0, length, 1.0)


def _answers(
    net: nn.Module, images: Pixels, normalize: Callable[[Tensor], Tensor], batch_size: int
) -> _Answers:
    with torch.inference_mode():
        batches = (normalize(batch) for batch in images.split(batch_size))
        return _Answers(*penultimate(net, batches))
