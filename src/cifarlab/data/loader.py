"""Batches from images that lie on the training device, without worker processes or copies."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

from cifarlab.base import shares
from cifarlab.base.seeding import derive
from cifarlab.data.augment import ImageOp, Pixels
from cifarlab.data.mixing import Images, MixOp, Targets, one_hot, partition
from cifarlab.data.scheduled import Origin, ScheduledOp

Labels = Int[Tensor, " batch"]
Inputs = Float[Tensor, "batch ..."]  # images, or features of images
Batch = tuple[Inputs, Labels]
TrainBatch = tuple[Inputs, Labels | Targets]


def scale_and_shift(
    mean: Sequence[float], std: Sequence[float]
) -> tuple[Float[Tensor, "1 channels 1 1"], Float[Tensor, "1 channels 1 1"]]:
    """``(pixels / 255 - mean) / std`` as one multiplication and one addition, by channel."""
    mean_, std_ = (torch.tensor(v, dtype=torch.float64).view(1, -1, 1, 1) for v in (mean, std))
    return (1 / (255 * std_)).float(), (-mean_ / std_).float()


class Normalize:
    """uint8 to floats: ``(pixels / 255 - mean) / std``, by channel, channels last in memory."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.scale, self.shift = (part.to(device) for part in scale_and_shift(mean, std))

    def __call__(self, images: Pixels) -> Images:
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return images.mul_(self.scale).add_(self.shift)


def channels_first(
    images: Shaped[Tensor, "batch height width channels"],
) -> Shaped[Tensor, "batch channels height width"]:
    """Images as they are stored, seen as nets take them; nothing is copied."""
    return images.permute(0, 3, 1, 2)


def as_they_are(rows: Tensor) -> Tensor:
    """Features need neither another view nor normalisation."""
    return rows


class Policy:
    """From pixels to what is trained on: operations on images, normalisation, operations that mix.

    Without one that mixes, labels stay the integers they are; else they become shares of the
    classes.

    Args:
        operations: in order, those that mix last; see ``cifarlab.data.mixing.partition``.
        num_classes: may be left out where nothing mixes.
    """

    def __init__(
        self,
        operations: Sequence[ImageOp | MixOp],
        normalize: Callable[[Tensor], Tensor],
        num_classes: int | None = None,
    ) -> None:
        self.image_ops, self.mix_ops = partition(operations)
        assert num_classes or not self.mix_ops, "mixing makes targets of num_classes columns"
        self.normalize, self.num_classes = normalize, num_classes
        self.size: int | None = None  # height and width that images are brought to; None: as is

    def __call__(
        self,
        images: Shaped[Tensor, "batch ..."],
        labels: Labels,
        generator: Generator,
        origin: Origin | None = None,
    ) -> TrainBatch:
        """origin: of the images, for operations that want to know; without one they draw."""
        for operation in self.image_ops:
            if origin is not None and isinstance(operation, ScheduledOp):
                images = operation.at(images, origin)
            else:
                images = operation(images, generator)
        if self.size is not None and images.shape[2] != self.size:
            images = functional.resize(images, [self.size, self.size], antialias=True)
        batch = self.normalize(images)
        if not self.mix_ops:
            return batch, labels
        assert self.num_classes is not None
        targets = one_hot(labels, self.num_classes)
        for mixing in self.mix_ops:
            batch, targets = mixing.mix(batch, targets, generator)
        return batch, targets


class EvalLoader:
    """Each image once, in order, unchanged.

    Under ``world_size`` processes each reads its own images, none padded or repeated, and all the
    same number of batches (buffers are synchronised batch by batch).

    Args:
        images: uint8 ``(n, height, width, channels)`` on the device that the batches are for; or
            features ``(n, d)``, with another ``view`` and ``normalize``.
        labels: int64 ``(n,)``, there too.
        indices: which of them, int64.
        batch_size: the most images a batch and process may have.
        view: from rows of ``images`` to what ``normalize`` takes.
    """

    def __init__(
        self,
        images: Shaped[Tensor, "n ..."],
        labels: Int[Tensor, " n"],
        indices: np.ndarray,
        batch_size: int,
        normalize: Callable[[Tensor], Tensor],
        rank: int = 0,
        world_size: int = 1,
        view: Callable[[Tensor], Tensor] = channels_first,
    ) -> None:
        self.images, self.labels = images, labels
        self.view, self.normalize = view, normalize
        share = -(-len(indices) // world_size)
        mine = torch.from_numpy(indices[rank::world_size]).to(images.device)
        self.batches = mine.tensor_split(-(-share // batch_size))

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for chosen in self.batches:
            yield self.normalize(self.view(self.images[chosen])), self.labels[chosen]


class TrainLoader:
    """A new order of the images each epoch, augmented, in batches of one size.

    The images that do not fill a last batch are left out of the epoch, others each time, unless
    ``drop_last`` is ``False``. A last batch of 8, say, weighs its images eight times as much as a
    batch of 64 does, and it does so just before validation: docs/measured.md has what that did.
    Fewer images than ``batch_size`` make one batch.

    The order of an epoch is a function of (seed, epoch), the augmentation of a batch one of (seed,
    epoch, batch): nothing depends on what was drawn before, so a run can go on from anywhere.

    ``batch_size`` is that of one optimizer step over all ``world_size`` processes. Each of them
    makes the whole batch, augmented and mixed, and takes turns with the others in it, so that more
    devices change the speed and not the training: their batches together are that of one process,
    to the last bit. Only of a smaller batch those too few for a further one to each process are
    left out.

    Args:
        images: uint8 ``(n, height, width, channels)`` on the device that the batches are for; or
            features ``(n, d)``, with another ``view`` and ``normalize``.
        labels: int64 ``(n,)``, there too.
        indices: which of them, int64.
        batch_size: images a step, a multiple of ``world_size``.
        normalize: applied after operations on images, before those that mix.
        augment: operations, applied in order.
        seed: of order and augmentation.
        num_classes: length of the targets where an operation mixes.
        view: from rows of ``images`` to what the first operation or ``normalize`` takes.
        balanced: an epoch has each class as often as the others, see ``balanced``.
        drop_last: ``False`` has the images that do not fill a last batch make a smaller one.
        reorder: ``False`` keeps the order of the first epoch, so that each has the same batches.
    """

    def __init__(
        self,
        images: Shaped[Tensor, "n ..."],
        labels: Int[Tensor, " n"],
        indices: np.ndarray,
        batch_size: int,
        normalize: Callable[[Tensor], Tensor],
        augment: Sequence[ImageOp | MixOp] = (),
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        num_classes: int | None = None,
        view: Callable[[Tensor], Tensor] = channels_first,
        reorder: bool = True,
        balanced: bool = False,
        drop_last: bool = True,
    ) -> None:
        assert batch_size % world_size == 0, (batch_size, world_size)
        self.images, self.labels, self.view = images, labels, view
        self.augment = Policy(augment, normalize, num_classes)
        self.indices = torch.from_numpy(indices)
        self.batch_size, self.seed = batch_size, seed
        self.balanced, self.drop_last = balanced, drop_last
        self.rank, self.world_size, self.reorder = rank, world_size, reorder
        self.epoch = 0
        self.batch = 0  # how many of this epoch have been handed out
        self.start = 0  # how many of the next epoch to pass over
        # which images of a batch are trained on; None: all
        self.choose: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        whole, rest = divmod(len(self.indices), self.batch_size)
        has_smaller = not self.drop_last and rest >= self.world_size
        return max(1, whole + has_smaller)

    @property
    def sampler(self) -> "TrainLoader":
        """Lightning calls ``loader.sampler.set_epoch(epoch)`` before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """Where the epoch stands, to be kept in a checkpoint."""
        return {"batch": self.batch % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.start = state["batch"]

    def __iter__(self) -> Iterator[TrainBatch]:
        # A generator: Lightning calls iter() before set_epoch(), the body runs at the first next()
        order = self._order().to(self.images.device)
        start, self.start = self.start, 0
        generator = Generator(device=self.images.device)
        for number in range(start + 1, len(self) + 1):
            self.batch = number
            first = (self.batch - 1) * self.batch_size
            chosen = order[first : first + self.batch_size]
            if self.choose is not None:
                chosen = self.choose(chosen)
            images = self.view(self.images[chosen])
            # 0: the process, when each drew for itself; single ones go on drawing what they drew
            generator.manual_seed(derive("augment", self.seed, self.epoch, self.batch, 0))
            origin = Origin(chosen, len(self.images), self.epoch, self.seed)
            images, labels = self.augment(images, self.labels[chosen], generator, origin)
            if self.world_size > 1:
                place = (self.rank, self.world_size)
                images, labels = shares.own(images, *place), shares.own(labels, *place)
            yield images, labels

    def _order(self) -> Int[Tensor, " n"]:
        """Drawn on the CPU, so that it is the same on every device."""
        epoch = self.epoch if self.reorder else 0
        generator = Generator().manual_seed(derive("order", self.seed, epoch))
        if self.balanced:
            return self.indices[balanced(self.labels.cpu()[self.indices], generator)]
        return self.indices[torch.randperm(len(self.indices), generator=generator)]


def balanced(labels: Int[Tensor, " n"], generator: Generator) -> Int[Tensor, " n"]:
    """Positions of ``n`` images in random order, of each class as many as of the others, or one
    more. No image of a class comes a second time before all of them have come once."""
    classes = labels.unique()
    classes = classes[torch.randperm(len(classes), generator=generator)]
    parts = []
    for number, each in enumerate(classes):
        members = torch.nonzero(labels == each).flatten()
        count = (len(labels) - number - 1) // len(classes) + 1
        rounds = -(-count // len(members))
        orders = [torch.randperm(len(members), generator=generator) for _ in range(rounds)]
        parts.append(members[torch.cat(orders)[:count]])
    order = torch.cat(parts)
    return order[torch.randperm(len(order), generator=generator)]
