"""Order, shards and resumption of the training loader; exactness of the evaluation loader."""

import numpy as np
import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.data.augment import GaussianBlur, HFlip, RandomCrop
from cifarlab.data.colour import ColorJitter
from cifarlab.data.erasing import RandomErasing
from cifarlab.data.loader import EvalLoader, Normalize, Policy, TrainLoader, balanced
from cifarlab.data.mixing import CutMix, MixUp
from cifarlab.data.policies import RandAugment

CPU = torch.device("cpu")
PLAIN = Normalize((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), CPU)  # pixels come out as they are


def data(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is full of i (modulo 256); its label is i."""
    values = torch.arange(n)
    return values.to(torch.uint8).view(n, 1, 1, 1).expand(n, 4, 4, 3).contiguous(), values


def train_loader(n: int, batch_size: int, **options) -> TrainLoader:
    return TrainLoader(*data(n), np.arange(n), batch_size, PLAIN, **options)


def labels(loader) -> list[int]:
    return torch.cat([batch[1] for batch in loader]).tolist()


def test_normalize_by_hand() -> None:
    images = torch.tensor([[[[0]], [[255]], [[51]]]], dtype=torch.uint8)
    out = Normalize((0.5, 0.2, 0.1), (0.5, 0.4, 0.2), CPU)(images)
    torch.testing.assert_close(out.flatten(), torch.tensor([-1.0, 2.0, 0.5]))
    batch = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    assert PLAIN(batch).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("n", "batch_size"), [(100, 10), (103, 10), (7, 10), (102, 50)])
def test_each_image_once_an_epoch_in_a_new_order(n: int, batch_size: int) -> None:
    loader = train_loader(n, batch_size)
    first = labels(loader)
    whole = n // batch_size * batch_size or n
    assert len(set(first)) == len(first) == whole
    assert len(list(loader)) == len(loader)
    assert labels(loader) == first, "a function of the epoch"
    loader.set_epoch(1)
    second = labels(loader)
    assert len(set(second)) == len(second) == whole and second != first


def test_images_left_out_of_one_epoch_come_in_another() -> None:
    loader = train_loader(19, 10)
    seen = set()
    for epoch in range(20):
        loader.set_epoch(epoch)
        seen |= set(labels(loader))
    assert seen == set(range(19))


def test_images_and_labels_stay_together() -> None:
    for images, numbers in train_loader(50, 7, augment=[HFlip(0.5)]):
        assert torch.equal(images[:, 0, 0, 0].long(), numbers)


def test_all_batches_have_one_size() -> None:
    assert [len(batch[1]) for batch in train_loader(109, 10)] == [10] * 10
    assert [len(batch[1]) for batch in train_loader(7, 10)] == [7], "fewer than one batch"


def test_a_smaller_last_batch_where_it_is_not_dropped() -> None:
    loader = train_loader(109, 10, drop_last=False)
    assert [len(batch[1]) for batch in loader] == [10] * 10 + [9] and len(loader) == 11
    assert labels(loader)[:100] == labels(train_loader(109, 10)), "else the same batches"
    assert sorted(labels(loader)) == list(range(109))
    assert len(list(train_loader(100, 10, drop_last=False))) == 10
    assert len(list(train_loader(7, 10, drop_last=False))) == 1


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize("n", [240, 243, 250, 13])
@pytest.mark.parametrize("drop_last", [True, False])
def test_shards_make_up_the_batches_of_one_process(
    world_size: int, n: int, drop_last: bool
) -> None:
    alone = list(train_loader(n, 24, drop_last=drop_last))
    ranks = [
        list(train_loader(n, 24, rank=rank, world_size=world_size, drop_last=drop_last))
        for rank in range(world_size)
    ]
    assert len({len(batches) for batches in ranks}) == 1
    too_few = len(alone[-1][1]) < world_size
    assert len(ranks[0]) == len(alone) - too_few, "a batch that is too small for all is nobody's"
    for together, *parts in zip(alone, *ranks, strict=False):
        seen = sorted(torch.cat([part[1] for part in parts]).tolist())
        assert set(seen) <= set(together[1].tolist()) and len(seen) == len(set(seen))
        assert len(seen) == len(together[1]) // world_size * world_size
        assert len({len(part[1]) for part in parts}) == 1, "equal shares, so gradients average"


@pytest.mark.parametrize("world_size", [2, 3, 4])
@pytest.mark.parametrize(
    "augment",
    [
        [],
        [RandomCrop(1), HFlip(0.5)],
        [RandomCrop(1), GaussianBlur(), ColorJitter(brightness=0.5, hue=0.1), RandAugment()],
        [RandomErasing(value="random"), MixUp(p=0.5), CutMix()],
    ],
)
def test_each_image_gets_what_it_gets_in_one_process(world_size: int, augment: list) -> None:
    """The processes' batches, in turns, are those of one process, to the last bit."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (60, 8, 8, 3), dtype=torch.uint8, generator=generator)

    def batches(**place: int) -> list:
        loader = TrainLoader(
            images, torch.arange(60) % 5, np.arange(60), 24, PLAIN, augment, 3, num_classes=5,
            **place,
        )  # fmt: skip
        loader.set_epoch(2)
        return list(loader)

    ranks = [batches(rank=rank, world_size=world_size) for rank in range(world_size)]
    for (whole, targets), *parts in zip(batches(), *ranks, strict=True):
        for rank, (mine, my_targets) in enumerate(parts):
            assert torch.equal(mine, whole[rank::world_size])
            assert torch.equal(my_targets, targets[rank::world_size])
            assert mine.is_contiguous(memory_format=torch.channels_last)


def test_batch_size_must_divide() -> None:
    with pytest.raises(AssertionError):
        train_loader(100, 10, world_size=3)


def test_seed_decides_order_and_augmentation() -> None:
    def epoch(seed: int) -> tuple[list[int], torch.Tensor]:
        batches = list(train_loader(64, 64, seed=seed, augment=[RandomCrop(2)]))
        return batches[0][1].tolist(), batches[0][0]

    assert epoch(0)[0] == epoch(0)[0] and torch.equal(epoch(0)[1], epoch(0)[1])
    assert epoch(0)[0] != epoch(1)[0]


def test_augmentation_differs_by_epoch_batch_and_rank() -> None:
    """The corner pixels of equal images tell where each was cut."""
    images = torch.arange(64, dtype=torch.uint8).view(1, 8, 8, 1).expand(40, 8, 8, 3).contiguous()
    zeros = torch.zeros(40, dtype=torch.long)

    def corners(epoch: int, rank: int) -> list[list[float]]:
        loader = TrainLoader(
            images, zeros, np.arange(40), 20, PLAIN, [RandomCrop(3)], rank=rank, world_size=2
        )
        loader.set_epoch(epoch)
        return [batch[0][:, 0, 4, 4].tolist() for batch in loader]

    drawn = [*corners(0, 0), *corners(0, 1), *corners(1, 0)]
    assert len({tuple(batch) for batch in drawn}) == len(drawn)


def test_labels_are_whole_numbers_where_nothing_mixes() -> None:
    for _, numbers in train_loader(30, 10, augment=[HFlip()], num_classes=30):
        assert numbers.dtype == torch.int64 and numbers.shape == (10,)


@pytest.mark.parametrize("augment", [[MixUp()], [HFlip(), MixUp()], [RandomCrop(0), CutMix()]])
def test_mixed_labels_are_those_of_mixed_images(augment: list) -> None:
    """Image i is full of i, so a blend's mean is the mean of its labels' numbers."""
    for images, targets in train_loader(30, 10, augment=augment, num_classes=30):
        assert targets.shape == (10, 30) and targets.dtype == torch.float32
        torch.testing.assert_close(images.mean((1, 2, 3)), targets @ torch.arange(30.0))
        assert images.is_contiguous(memory_format=torch.channels_last)
        assert (targets.max(1).values < 1).any()


def test_mixing_comes_after_normalisation() -> None:
    class Seen:
        def mix(self, images, targets, generator):
            self.mean = images.mean().item()
            return images, targets

    seen, halved = Seen(), Normalize((0.0,) * 3, (2 / 255,) * 3, CPU)
    policy = Policy([HFlip(), seen], halved, num_classes=4)
    pixels = torch.full((4, 3, 2, 2), 100, dtype=torch.uint8)
    _, targets = policy(pixels, torch.tensor([0, 1, 3, 3]), torch.Generator())
    assert seen.mean == pytest.approx(50)
    assert targets.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]


def test_images_cannot_be_changed_after_mixing() -> None:
    with pytest.raises(UserError, match="aug: RandomCrop comes after MixUp, .*; put it before"):
        train_loader(30, 10, augment=[HFlip(), MixUp(), RandomCrop()], num_classes=30)


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_goes_on_from_any_batch(stop: int) -> None:
    whole = list(train_loader(50, 10, augment=[RandomCrop(1), HFlip(0.5)]))
    cut = train_loader(50, 10, augment=[RandomCrop(1), HFlip(0.5)])
    iterator = iter(cut)
    for _ in range(stop):
        next(iterator)
    resumed = train_loader(50, 10, augment=[RandomCrop(1), HFlip(0.5)])
    resumed.load_state_dict(cut.state_dict())
    rest = list(resumed)
    expected = whole[stop:] or whole  # after the last batch the next epoch begins
    assert len(rest) == len(expected)
    for (images, numbers), (images_, numbers_) in zip(rest, expected, strict=True):
        assert torch.equal(images, images_) and torch.equal(numbers, numbers_)
    assert len(list(resumed)) == 5, "the epoch after that is whole"


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("n", [257, 256, 10, 3])
def test_evaluation_sees_each_image_once(world_size: int, n: int) -> None:
    images, numbers = data(n)
    shards = [
        EvalLoader(images, numbers, np.arange(n), 32, PLAIN, rank, world_size)
        for rank in range(world_size)
    ]
    assert len({len(shard) for shard in shards}) == 1, "as many batches on every rank"
    assert sorted(sum((labels(shard) for shard in shards), [])) == list(range(n))
    assert all(len(batch[1]) <= 32 for shard in shards for batch in shard)
    if world_size == 1:
        assert labels(shards[0]) == list(range(n)), "in order"


def test_indices_choose() -> None:
    images, numbers = data(20)
    loader = EvalLoader(images, numbers, np.array([3, 5, 19]), 2, PLAIN)
    assert labels(loader) == [3, 5, 19]
    assert [batch[0][0, 0, 0, 0].item() for batch in loader] == [3, 19]


def test_balanced_by_counting() -> None:
    labels = torch.tensor([0] * 70 + [1] * 20 + [2] * 11)
    order = balanced(labels, torch.Generator().manual_seed(0))
    assert sorted(torch.bincount(labels[order]).tolist()) == [33, 34, 34]
    times = torch.bincount(order, minlength=101)
    assert times[:70].max() == 1, "of a large class no image twice"
    assert set(times[70:90].tolist()) == {1, 2}, "of a small one each before any comes again"
    assert set(times[90:].tolist()) == {3, 4} or set(times[90:].tolist()) == {3}
    again = balanced(labels, torch.Generator().manual_seed(0))
    assert torch.equal(order, again)
    other = balanced(labels, torch.Generator().manual_seed(1))
    assert not torch.equal(order, other)
