"""One data module for every source: what is read, how it is split, normalised and batched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from cifarlab.base.errors import UserError
from cifarlab.base.options import NORMALIZATIONS, Statistics
from cifarlab.data import splits
from cifarlab.data.augment import ImageOp
from cifarlab.data.cache import Images, cached
from cifarlab.data.loader import (
    EvalLoader,
    Normalize,
    TrainLoader,
    as_they_are,
    channels_first,
)
from cifarlab.data.mixing import MixOp, partition
from cifarlab.data.sources import Source


@dataclass(frozen=True)
class Rows:
    """What a loader takes batches from: images, or features of images, on a device.

    items: uint8 images ``(n, height, width, channels)`` or features ``(n, d)``; view, normalize:
        what makes of some of them a batch.
    """

    items: torch.Tensor
    labels: torch.Tensor
    view: Callable[[torch.Tensor], torch.Tensor]
    normalize: Callable[[torch.Tensor], torch.Tensor]

    def encoded(self, encode: Callable[[torch.Tensor], torch.Tensor], batch_size: int) -> "Rows":
        """Features of normalised images; they are not normalised themselves."""
        chunks = self.items.split(batch_size)
        features = [encode(self.normalize(self.view(chunk))) for chunk in chunks]
        return Rows(torch.cat(features), self.labels, as_they_are, as_they_are)


class CIFAR10DataModule(LightningDataModule):
    """CIFAR-10, or any source of its form, resident on the training device.

    Training batches are augmented; validation and test images never are. The test set is counted:
    ``test_reads`` says how often a test loader was handed out.

    Args:
        source: where the images come from.
        name: of the data set, for the record.
        cache_dir: folder of the decoded images.
        val_size, split, split_seed: see ``cifarlab.data.splits.split``.
        folds, fold: see ``cifarlab.data.splits.fold``; with folds, val_size has no say.
        fraction: share of the training images, after the split, that is trained on; see
            ``cifarlab.data.splits.subset``.
        validation: ``own`` validates on the images that the source has set aside for that, where it
            has some and there are no folds; ``split`` has them train, too, and takes a part of all.
        channels: 1 makes the images shades of grey, of which the net gets one channel; 3.
        classes: which of the source's classes there are, in this order; ``None``: all.
        sampling: ``balanced`` for an epoch in which each class comes as often as the others.
        drop_last: whether images that do not fill a last batch of an epoch are left out of it.
        normalize: ``dataset`` (the source's published statistics), ``imagenet``, ``half`` (mean and
            standard deviation 0.5), ``computed`` (from the training images of the split).
        batch_size: images an optimizer step, over all devices together.
        eval_batch_size: images a batch in evaluation, on each device.
        augment: operations in order; the names are the keys of the configuration.
        seed: of order and augmentation.
        options: other keys of the configuration, which belong to the source (``root``, ...).
    """

    def __init__(
        self,
        source: Source,
        name: str,
        cache_dir: str,
        val_size: float = 0.1,
        split: str = "random",
        split_seed: int = 0,
        folds: int | None = None,
        fold: int = 0,
        validation: str = "own",
        fraction: float = 1.0,
        channels: int = 3,
        classes: Sequence[str | int] | None = None,
        sampling: str | None = None,
        drop_last: bool = True,
        normalize: str = "dataset",
        batch_size: int = 64,
        eval_batch_size: int = 500,
        augment: Mapping[str, ImageOp | MixOp] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.source, self.name, self.cache_dir = source, name, cache_dir
        self.val_size, self.split, self.split_seed = val_size, split, split_seed
        self.folds, self.fold, self.fraction = folds, fold, fraction
        self.validation, self.channels = validation, channels
        self.only, self.sampling, self.drop_last = classes, sampling, drop_last
        if classes is not None:  # other data than all of them, and so another name
            self.name = f"{name}[{','.join(map(str, classes))}]"
        self.normalize, self.seed = normalize, seed
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.augment = tuple((augment or {}).values())
        partition(self.augment)  # an impossible order is told before anything is read
        self.images: Images | None = None
        self.test_reads = 0
        self._encode: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._resident: dict[tuple[str, torch.device], Rows] = {}

    def setup(self, stage: str | None = None) -> None:
        """Read, split, find mean and standard deviation; done once however often it is called.

        Any process may come first: the cache lets one decode and the others wait.
        """
        if self.images is not None:
            return
        every = cached(self.cache_dir, self.source.key(), self.source.read)
        chosen = every.only(self.only)
        self.images = chosen if self.channels == 3 else chosen.grey()
        labels, how, seed = self.images.train_labels, self.split, self.split_seed
        if self.folds is not None:
            train, self.val_indices = splits.fold(labels, how, self.folds, self.fold, seed)
        elif self.has_own_validation:
            train, self.val_indices = np.split(
                np.arange(len(labels)), [len(labels) - self.images.val_count]
            )
        else:
            train, self.val_indices = splits.split(labels, how, self.val_size, seed)
        self.train_indices = splits.subset(labels, train, how, self.fraction, seed)
        self.mean, self.std = self._statistics()

    def keep_features(self, encode: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Batches become ``encode(normalised images)``, computed once an image when first wanted.

        encode: normalised images to features ``(batch, d)``. Raises ``UserError`` where images are
        augmented: there is no "the" image to encode then.
        """
        if self.augment:
            raise UserError(
                "transfer.cache_features=true: features are computed once, so nothing may be "
                "random before them: aug=none"
            )
        self._encode = encode

    @property
    def classes(self) -> tuple[str, ...]:
        return self._loaded().classes

    @property
    def image_size(self) -> int:
        """Height and width in pixels."""
        return self._loaded().train_images.shape[1]

    @property
    def has_own_validation(self) -> bool:
        """Whether the images that validate are those that the source has set aside for it."""
        own = self._loaded().val_count > 0 and self.validation == "own"
        return own and self.folds is None

    @property
    def layout(self) -> str:
        """How the images were found and shared out, in words; empty where there was no choice."""
        told = [self._loaded().layout]
        if self._loaded().val_count and not self.has_own_validation:
            told.append("its validation images train, too")
        if self.channels == 1:
            told.append("1 channel")
        return "; ".join(filter(None, told))

    @property
    def split_hash(self) -> str:
        return splits.split_hash(self.train_indices, self.val_indices)

    def examples(self, count: int) -> torch.Tensor:
        """The first ``count`` training images of the split, normalised, ``(count, channels, size,
        size)`` in 32 bits on the CPU."""
        chosen = torch.from_numpy(self._loaded().train_images[self.train_indices[:count]])
        return Normalize(self.mean, self.std, chosen.device)(channels_first(chosen))

    def train_dataloader(self) -> TrainLoader:
        rank, world_size, device = self._place()
        return self.train_loader(device, rank, world_size)

    def val_dataloader(self) -> EvalLoader:
        rank, world_size, device = self._place()
        return self.eval_loader("val", device, rank, world_size)

    def test_dataloader(self) -> EvalLoader:
        rank, world_size, device = self._place()
        return self.eval_loader("test", device, rank, world_size)

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """They lie there: Lightning need not look through them."""
        return batch

    def train_loader(self, device: torch.device, rank: int = 0, world_size: int = 1) -> TrainLoader:
        """Loader of the training images, augmented, on ``device``."""
        rows = self._on("train", device)
        return TrainLoader(
            rows.items,
            rows.labels,
            self.train_indices,
            self.batch_size,
            rows.normalize,
            self.augment,
            self.seed,
            rank,
            world_size,
            len(self.classes),
            rows.view,
            # trainer.overfit_batches means the same batches over and over
            reorder=not getattr(self.trainer, "overfit_batches", 0),
            balanced=self.sampling == "balanced",
            drop_last=self.drop_last,
        )

    def eval_loader(
        self, name: str, device: torch.device, rank: int = 0, world_size: int = 1
    ) -> EvalLoader:
        """Loader of ``train``, ``val`` or ``test`` without augmentation."""
        rows = self._on("test" if name == "test" else "train", device)
        if name == "test":
            self.test_reads += 1
            indices = np.arange(len(rows.labels))
        else:
            indices = {"train": self.train_indices, "val": self.val_indices}[name]
        return EvalLoader(
            rows.items,
            rows.labels,
            indices,
            self.eval_batch_size,
            rows.normalize,
            rank,
            world_size,
            rows.view,
        )

    def _loaded(self) -> Images:
        assert self.images is not None, "call setup() first"
        return self.images

    def _place(self) -> tuple[int, int, torch.device]:
        if self.trainer is None:
            return 0, 1, torch.device("cpu")
        trainer = self.trainer
        return trainer.global_rank, trainer.world_size, trainer.strategy.root_device

    def _on(self, part: str, device: torch.device) -> "Rows":
        """``train`` or ``test`` on the device, copied there, or encoded, once."""
        if (part, device) not in self._resident:
            arrays = (getattr(self._loaded(), f"{part}_{kind}") for kind in ("images", "labels"))
            images, labels = (torch.from_numpy(array).to(device) for array in arrays)
            rows = Rows(images, labels, channels_first, Normalize(self.mean, self.std, device))
            if self._encode is not None:
                rows = rows.encoded(self._encode, self.eval_batch_size)
            self._resident[part, device] = rows
        return self._resident[part, device]

    def _statistics(self) -> Statistics:
        if self.normalize == "computed":
            return measure(self._loaded().train_images, self.train_indices)
        if self.normalize == "dataset" and self.source.statistics is None:
            raise UserError(
                f"data.normalize=dataset: {self.name} has no published mean and standard "
                "deviation; take computed, imagenet or half"
            )
        if self.normalize not in NORMALIZATIONS:
            allowed = ", ".join(NORMALIZATIONS)
            raise UserError(f"data.normalize={self.normalize}: must be one of {allowed}")
        statistics = NORMALIZATIONS[self.normalize] or self.source.statistics
        assert statistics is not None
        if self.channels == 1 and any(len(set(part)) > 1 for part in statistics):
            raise UserError(
                f"data.normalize={self.normalize}: has a mean and standard deviation for each "
                "colour, and data.channels=1 has none; take computed or half"
            )
        return statistics


def measure(images: np.ndarray, indices: np.ndarray) -> Statistics:
    """Mean and standard deviation by channel of uint8 images, exact, from value counts."""
    mean, std = [], []
    for channel in range(images.shape[3]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(indices), 5000):
            chunk = images[indices[start : start + 5000], :, :, channel]
            counts += np.bincount(chunk.reshape(-1), minlength=256)
        values = np.arange(256) / 255
        total = counts.sum()
        mean.append(float((counts * values).sum() / total))
        spread = float(np.sqrt((counts * (values - mean[-1]) ** 2).sum() / total))
        std.append(spread or 1.0)  # a channel of one value becomes zeros, not NaN
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])
