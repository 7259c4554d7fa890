"""kornia's augmentation, which draws for each image apart, as ours does, but the operations of its
policies once for a batch: an extra, ``bench``."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from cifarlab.data import augment, colour, policies, scheduled


def counterparts() -> dict[type, Callable[[Any], nn.Module]]:
    """kornia's (0.9) module for an operation of ours, on batches of floats in [0, 1]; empty where
    kornia is not installed."""
    if importlib.util.find_spec("kornia") is None:
        return {}
    from kornia import augmentation as k
    from kornia.augmentation import auto

    return {
        augment.HFlip: lambda op: k.RandomHorizontalFlip(p=op.p),
        augment.RandomCrop: lambda op: k.RandomCrop((32, 32), op.padding, p=1.0),
        augment.RandomShift: lambda op: k.RandomCrop(
            (32, 32), op.pixels, padding_mode="reflect", p=1.0
        ),
        augment.Rotation: lambda op: k.RandomRotation(op.degrees, p=1.0),
        augment.GaussianNoise: lambda op: k.RandomGaussianNoise(std=op.sigma, p=1.0),
        augment.GaussianBlur: lambda op: k.RandomGaussianBlur(
            (op.kernel, op.kernel), tuple(op.sigma), p=op.p
        ),
        scheduled.AlternatingFlip: lambda _: k.RandomHorizontalFlip(p=0.5),
        colour.Grayscale: lambda op: k.RandomGrayscale(p=op.p),
        colour.ColorJitter: lambda op: k.ColorJitter(**op.strengths, p=op.p),
        policies.RandAugment: lambda op: auto.RandAugment(op.num_ops, op.magnitude),
        policies.TrivialAugment: lambda _: auto.TrivialAugment(),
    }


def policy(operations: Sequence[Any], mean: Sequence[float], std: Sequence[float]) -> Any:
    """The operations and normalisation, ``None`` where kornia, or a counterpart, is missing."""
    known = counterparts()
    if not operations or any(type(operation) not in known for operation in operations):
        return None
    from kornia.augmentation import Normalize

    steps = [known[type(operation)](operation) for operation in operations]
    return nn.Sequential(*steps, Normalize(list(mean), list(std), p=1.0))
