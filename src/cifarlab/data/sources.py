"""Where images come from. A source names its content (``key``) and reads it (``read``); the data
module keeps what was read in the cache under that name."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.base.options import Statistics
from cifarlab.base.progress import followed
from cifarlab.base.reading import check_memory, free_memory, named_path, size_of
from cifarlab.data import synthetic
from cifarlab.data.archives import (
    ARCHIVES,
    File,
    archive_files,
    folder_files,
    is_archive,
    placed,
)
from cifarlab.data.cache import Images
from cifarlab.data.cifar import CIFAR10, CIFAR100
from cifarlab.data.pictures import decode

__all__ = ["CIFAR10", "CIFAR100", "ImageFolder", "Source", "Synthetic"]

_COPIES = 2  # of the images in memory while they are put in order
_DECODING = 3  # counts the changes in which files become which pixels: older caches are not read


@runtime_checkable
class Source(Protocol):
    """``statistics``: published mean and standard deviation of the training images in [0, 1], by
    channel, or ``None``."""

    statistics: Statistics | None

    def key(self) -> str:
        """A file name that changes whenever the content does."""
        ...

    def read(self) -> Images:
        """Decode everything. Raises ``UserError`` for whatever the user can mend."""
        ...


class ImageFolder:
    """``root/train/<class>/*`` and ``root/test/<class>/*``, as folders or as one archive of them.

    Classes are the folder names in alphabetical order. Within train and test the classes take
    turns (first image of each class by name, second of each, ...), so that the last images, which
    ``data.split=tail`` takes, hold all classes. What is hidden (``.cache``, ``__MACOSX``,
    ``@eaDir``, ...) is left out; in folders links are followed.

    Args:
        root: the folder, or a .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst or .zip file.
        image_size: resize to this many pixels squared (bilinear, antialiased); ``None``: all images
            must have one square size.
    """

    statistics: Statistics | None = None

    def __init__(self, root: str, image_size: int | None = None) -> None:
        self.root = named_path(f"data.root={root}", root)
        self.image_size = image_size
        if not self.root.exists():
            raise UserError(f"data.root={root}: no such folder or archive")
        if not self.root.is_dir():
            size_of(self.root)
        if self.root.is_file() and not is_archive(self.root):
            raise UserError(f"data.root={root}: must be a folder or end with {', '.join(ARCHIVES)}")

    def key(self) -> str:
        """Of an archive: place, size and date. Of a folder: those of every image in it."""
        what = f"{self.root.resolve()}|{self.image_size}|{_DECODING}"
        digest = hashlib.sha256(what.encode())
        if self.root.is_file():
            stats = [(self.root.name, self.root.stat())]
        else:
            files = [(str(path), found) for _, _, path, found in placed(self.root)]
            images = (item for item in files if stat.S_ISREG(item[1].st_mode))
            stats = sorted(images, key=itemgetter(0))
        for name, found in stats:
            digest.update(os.fsencode(f"|{name}|{found.st_size}|{found.st_mtime_ns}"))
        return f"image_folder-{digest.hexdigest()[:16]}"

    def read(self) -> Images:
        """Raises ``UserError`` also where the images do not fit in memory: of a folder before they
        are decoded, of an archive, which is not known to its end, before they fill it."""
        free, size = free_memory(), self.image_size
        if self.root.is_dir():
            files: Iterable[File] = list(folder_files(self.root))
            count = sum(file.data is not None for file in files)
        else:
            files, count = archive_files(self.root), 0
        number = 0
        found: dict[str, dict[str, list[tuple[str, np.ndarray]]]] = {"train": {}, "test": {}}
        for file in followed(files, f"decoding {self.root.name}", count):
            images = found[file.split].setdefault(file.label, [])
            if file.data is None:  # an empty class folder
                continue
            number += 1
            if size is not None:
                self._check_memory(max(count, number), size, free)
            pixels = _decode(file, self.root, self.image_size)
            if size is None:
                size = pixels.shape[0]
            if pixels.shape != (size, size, 3):
                raise UserError(
                    f"{self.root}: {file.name} has {pixels.shape[1]}x{pixels.shape[0]} px where "
                    f"{size}x{size} is expected; data.image_size={size} resizes all images"
                )
            images.append((file.name, pixels))
        classes = self._classes(found)
        train_images, train_labels = _in_turns(found["train"], classes)
        test_images, test_labels = _in_turns(found["test"], classes)
        return Images(train_images, train_labels, test_images, test_labels, classes)

    def _check_memory(self, count: int, size: int, free: int | None) -> None:
        """count: of the images, as far as it is known."""
        check_memory(
            f"{self.root}: at least {count:,} images of {size}x{size} pixels",
            _COPIES * count * size * size * 3,
            free,
            "a smaller data.image_size, or fewer images, take less",
        )

    def _classes(self, found: dict[str, dict[str, list]]) -> tuple[str, ...]:
        for split, labels in found.items():
            if not labels:
                raise UserError(f"{self.root}: no {split}/<class>/ folders with images in it")
            for label, images in labels.items():
                if not images:
                    raise UserError(f"{self.root}: the class folder {split}/{label} has no images")
        for label in sorted(set(found["train"]) ^ set(found["test"])):
            split = "test" if label in found["train"] else "train"
            raise UserError(f"{self.root}: the class folder {split}/{label} is missing")
        if len(found["train"]) == 1:
            raise UserError(
                f"{self.root}: one class, {next(iter(found['train']))}, leaves nothing to tell "
                "apart; train and test need a folder for each of two classes or more"
            )
        return tuple(sorted(found["train"]))


class Synthetic:
    """Ten drawn classes; see ``cifarlab.data.synthetic``.

    Args:
        num_train, num_test: how many images, spread evenly over the classes.
    """

    statistics: Statistics | None = None

    def __init__(self, num_train: int = 10_000, num_test: int = 2_000) -> None:
        if min(num_train, num_test) < len(synthetic.CLASSES):
            raise UserError(
                f"data.num_train={num_train}, data.num_test={num_test}: "
                f"at least {len(synthetic.CLASSES)} each, one of every class"
            )
        self.num_train, self.num_test = num_train, num_test

    def key(self) -> str:
        """The drawing code is part of the content: another drawing, another cache."""
        code = hashlib.sha256(Path(synthetic.__file__).read_bytes()).hexdigest()[:12]
        return f"synthetic-{self.num_train}-{self.num_test}-{code}"

    def read(self) -> Images:
        train = synthetic.draw(self.num_train, seed=1)
        test = synthetic.draw(self.num_test, seed=2)
        return Images(*train, *test, synthetic.CLASSES)


def _decode(file: File, root: Path, image_size: int | None) -> np.ndarray:
    """uint8 ``(height, width, 3)`` of one image file."""
    assert file.data is not None
    image = decode(file.data, f"{root}: {file.name}")
    if image_size is not None and image.size != (image_size, image_size):
        image = image.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _in_turns(
    found: dict[str, list[tuple[str, np.ndarray]]], classes: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, the classes in turns."""

    def order() -> Iterator[tuple[int, int, np.ndarray]]:
        for label, name in enumerate(classes):
            for rank, (_, pixels) in enumerate(sorted(found[name], key=lambda item: item[0])):
                yield rank, label, pixels

    ordered = sorted(order(), key=lambda item: item[:2])
    images = np.stack([pixels for _, _, pixels in ordered])
    return images, np.array([label for _, label, _ in ordered], dtype=np.int64)
