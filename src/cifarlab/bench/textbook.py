"""What every tutorial builds: PIL images, transforms one by one, a ``DataLoader`` with workers."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.transforms import v2

from cifarlab.base.errors import UserError
from cifarlab.data import augment, colour, erasing, policies, scheduled

# torchvision's transform of an operation of ours, on single PIL images as on batches of tensors
COUNTERPARTS: dict[type, Callable[[Any], Any]] = {
    augment.HFlip: lambda op: v2.RandomHorizontalFlip(op.p),
    augment.RandomCrop: lambda op: v2.RandomCrop(32, padding=op.padding),
    augment.RandomShift: lambda op: v2.RandomCrop(32, op.pixels, padding_mode="reflect"),
    augment.Rotation: lambda op: v2.RandomRotation(op.degrees, v2.InterpolationMode.BILINEAR),
    augment.GaussianBlur: lambda op: v2.RandomApply([v2.GaussianBlur(op.kernel, op.sigma)], op.p),
    colour.Grayscale: lambda op: v2.RandomGrayscale(op.p),
    colour.ColorJitter: lambda op: v2.RandomApply([v2.ColorJitter(**op.strengths)], op.p),
    policies.RandAugment: lambda op: v2.RandAugment(op.num_ops, op.magnitude),
    policies.TrivialAugment: lambda _: v2.TrivialAugmentWide(),
    policies.AugMix: lambda op: v2.AugMix(op.severity, op.width, op.depth, op.alpha),
    scheduled.AlternatingFlip: lambda _: v2.RandomHorizontalFlip(0.5),
    erasing.RandomErasing: lambda op: v2.RandomErasing(op.p, op.scale),
}


def transforms(operations: Sequence[Any]) -> list[Any]:
    """torchvision's counterparts, in order. Raises ``UserError`` where an operation has none."""
    for operation in operations:
        if type(operation) not in COUNTERPARTS:
            raise UserError(f"aug: {type(operation).__name__} has no textbook counterpart here")
    return [COUNTERPARTS[type(operation)](operation) for operation in operations]


class Images(Dataset):
    """Training images of a data module, one PIL image at a time, transformed and normalised."""

    def __init__(self, data: Any, indices: np.ndarray, steps: Sequence[Any]) -> None:
        self.data, self.indices = data, indices
        to_tensor = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
        self.transform = v2.Compose([*steps, *to_tensor, v2.Normalize(data.mean, data.std)])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        index, images = self.indices[position], self.data.images
        image = Image.fromarray(images.train_images[index])
        return self.transform(image), int(images.train_labels[index])


def train_loader(data: Any, workers: int) -> DataLoader:
    images = Images(data, data.train_indices, transforms(data.augment))
    return DataLoader(
        images,
        batch_size=data.batch_size,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        collate_fn=as_pair,
    )


def val_loader(data: Any) -> DataLoader:
    images = Images(data, data.val_indices, ())
    return DataLoader(images, batch_size=data.eval_batch_size, collate_fn=as_pair)


def as_pair(rows: list[Any]) -> tuple[Any, ...]:
    """A batch as ours are, not a list."""
    return tuple(default_collate(rows))
