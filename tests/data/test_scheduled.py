"""Augmentation that knows the image and the epoch."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from cifarlab.data.loader import TrainLoader
from cifarlab.data.scheduled import AlternatingFlip, Origin, ScheduledOp


def halves(count: int) -> Tensor:
    """Images with a number of their own on the left and 0 on the right: (n, 2, 2, 1)."""
    images = torch.zeros(count, 2, 2, 1, dtype=torch.uint8)
    images[:, :, 0, 0] = torch.arange(1, count + 1, dtype=torch.uint8)[:, None]
    return images


def mirrored(images: Tensor) -> Tensor:
    return images[:, 0, 0, 0] == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_other_half_is_mirrored_in_the_next_epoch(seed: int) -> None:
    operation, images = AlternatingFlip(), halves(200).permute(0, 3, 1, 2)
    shown = [
        mirrored(operation.at(images, Origin(torch.arange(200), 200, epoch, seed)))
        for epoch in range(4)
    ]
    assert torch.equal(shown[0], ~shown[1])
    assert torch.equal(shown[0], shown[2]) and torch.equal(shown[1], shown[3])
    assert 70 < shown[0].sum() < 130, "about half"


def test_not_in_turns_it_is_drawn_anew() -> None:
    operation, images = AlternatingFlip(alternate=False), halves(200).permute(0, 3, 1, 2)
    shown = [
        mirrored(operation.at(images, Origin(torch.arange(200), 200, epoch, 0)))
        for epoch in (0, 1, 2, 0)
    ]
    assert torch.equal(shown[0], shown[3])
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert 60 < (shown[one] == shown[two]).sum() < 140


def test_seeds_mirror_other_images_first() -> None:
    operation, images = AlternatingFlip(), halves(200).permute(0, 3, 1, 2)
    one, two = (
        mirrored(operation.at(images, Origin(torch.arange(200), 200, 0, seed))) for seed in (0, 1)
    )
    assert 60 < (one == two).sum() < 140


def test_an_image_is_known_wherever_it_stands_in_the_batch() -> None:
    operation, images = AlternatingFlip(), halves(100).permute(0, 3, 1, 2)
    order = torch.randperm(100, generator=Generator().manual_seed(3))
    whole = operation.at(images, Origin(torch.arange(100), 100, 0, 0))
    again = operation.at(images[order], Origin(order, 100, 0, 0))
    assert torch.equal(again, whole[order])


def test_without_an_epoch_it_draws() -> None:
    images = halves(200).permute(0, 3, 1, 2)
    drawn = AlternatingFlip()(images, Generator().manual_seed(0))
    assert 70 < mirrored(drawn).sum() < 130
    assert isinstance(AlternatingFlip(), ScheduledOp)


def test_the_loader_says_where_a_batch_comes_from() -> None:
    images, labels = halves(40), torch.arange(40)
    loader = TrainLoader(
        images, labels, np.arange(40), 8, torch.Tensor.float, [AlternatingFlip()], seed=5
    )
    seen = []
    for epoch in (0, 1):
        loader.set_epoch(epoch)
        batches = [(mirrored(batch), numbers) for batch, numbers in loader]
        flat = torch.cat([numbers for _, numbers in batches]).argsort()
        seen.append(torch.cat([flips for flips, _ in batches])[flat])
    assert torch.equal(seen[0], ~seen[1]), "each image is shown both ways in two epochs"


def test_the_size_of_training_images_can_be_set() -> None:
    pixels = torch.full((16, 32, 32, 3), 100, dtype=torch.uint8)
    loader = TrainLoader(pixels, torch.arange(16), np.arange(16), 8, torch.Tensor.float)
    assert next(iter(loader))[0].shape == (8, 3, 32, 32)
    loader.augment.size = 20
    images, _ = next(iter(loader))
    assert images.shape == (8, 3, 20, 20) and (images == 100).all()
