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
from cifarlab.base.options import Resize, Statistics
from cifarlab.base.progress import followed
from cifarlab.base.reading import check_memory, free_memory, named_path, size_of
from cifarlab.data import synthetic
from cifarlab.data.archives import (
    ARCHIVES,
    PARTS,
    File,
    archive_files,
    folder_files,
    folder_parts,
    is_archive,
    placed,
)
from cifarlab.data.cache import Images
from cifarlab.data.cifar import CIFAR10, CIFAR100
from cifarlab.data.pictures import decode, fit

__all__ = ["CIFAR10", "CIFAR100", "ImageFolder", "Source", "Synthetic"]

Part = dict[str, list[tuple[str, np.ndarray]]]  # class to the names and pixels of its images
Parts = dict[str, Part]  # by the name of the folder that the class folders are in
_COPIES = 2  # of the images in memory while they are put in order
_DECODING = 4  # counts the changes in which files become which pixels: older caches are not read


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
    """A folder, or an archive of one, with a folder of images for each class.

    Found by themselves: ``train/<class>/*`` and ``test/<class>/*``, with or without
    ``valid/<class>/*`` (or ``val``, ``validation``), and the flat ``<class>/*``. Where there is no
    test folder, ``test_size`` of each class's training images become the test images: those whose
    names, hashed with ``test_seed``, come first, so that the choice depends on neither the machine
    nor any other seed, and images that are added later leave most of it as it is.

    Classes are the folder names in alphabetical order. Within each part the classes take turns
    (first image of each class by name, second of each, ...), so that the last images, which
    ``data.split=tail`` takes, hold all classes. What is hidden (``.cache``, ``__MACOSX``,
    ``@eaDir``, ...) is left out; in folders links are followed.

    Args:
        root: the folder, or a .tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst or .zip file.
        image_size: height and width that images get, in pixels (bilinear, antialiased); ``None``:
            all images must have one square size.
        resize: what becomes of images that are not square: ``squash`` or ``crop``, see
            ``cifarlab.data.pictures.fit``.
        test_size: share of each class, in (0, 1), where there is no test folder; at least one
            image, and all but one at most.
        test_seed: of that choice alone.
    """

    statistics: Statistics | None = None

    def __init__(
        self,
        root: str,
        image_size: int | None = None,
        resize: Resize = "squash",
        test_size: float = 0.2,
        test_seed: int = 0,
    ) -> None:
        self.root = named_path(f"data.root={root}", root)
        self.image_size, self.resize = image_size, resize
        self.test_size, self.test_seed = test_size, test_seed
        if not self.root.exists():
            raise UserError(f"data.root={root}: no such folder or archive")
        if not self.root.is_dir():
            size_of(self.root)
        if self.root.is_file() and not is_archive(self.root):
            raise UserError(f"data.root={root}: must be a folder or end with {', '.join(ARCHIVES)}")

    def key(self) -> str:
        """Of an archive: place, size and date. Of a folder: those of every image in it. With them
        all that decides which pixels become which part."""
        options = (self.image_size, self.resize, self.test_size, self.test_seed)
        what = "|".join(map(str, (self.root.resolve(), *options, _DECODING)))
        digest = hashlib.sha256(os.fsencode(what))
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
            found: Parts = {part: {} for part in folder_parts(self.root)}
        else:
            files, count, found = archive_files(self.root), 0, {}
        number, oblong, grey = 0, 0, True
        for file in followed(files, f"decoding {self.root.name}", count):
            images = found.setdefault(file.part, {}).setdefault(file.label, [])
            if file.data is None:  # an empty class folder
                continue
            number += 1
            if size is not None:
                self._check_memory(max(count, number), size, free)
            image = _decode(file, self.root)
            oblong += image.width != image.height
            if self.image_size is None:
                size = size or image.height
                if image.size != (size, size):
                    raise UserError(
                        f"{self.root}: {file.name} has {image.width}x{image.height} px where "
                        f"{size}x{size} is expected; data.image_size={size} resizes all images"
                    )
            assert size is not None
            pixels = fit(image, size, self.resize)
            grey = grey and bool((pixels == pixels[..., :1]).all())
            images.append((file.inside, pixels))
        self._check(found)
        layout = ["/".join(name for name in PARTS if name in found) or "flat"]
        if oblong and self.image_size is not None:
            done = {"squash": "squashed to squares", "crop": "cropped to squares"}[self.resize]
            layout.append(f"{oblong:,} of {number:,} images {done} (data.resize={self.resize})")
        if grey:
            layout.append("all images are grey")
        parts: Parts = {PARTS.get(name, "train"): of for name, of in found.items()}
        if "test" not in parts:
            parts["train"], parts["test"] = self._held_out(parts["train"])
            layout.append(
                f"{self.test_size:.4g} of each class held out for test "
                f"(data.test_size={self.test_size} data.test_seed={self.test_seed})"
            )
        classes = tuple(sorted(parts["train"]))
        own = parts.get("val", {})
        train = _in_turns(classes, *filter(None, (parts["train"], own)))
        test = _in_turns(classes, parts["test"])
        return Images(*train, *test, classes, sum(map(len, own.values())), "; ".join(layout))

    def _check_memory(self, count: int, size: int, free: int | None) -> None:
        """count: of the images, as far as it is known."""
        check_memory(
            f"{self.root}: at least {count:,} images of {size}x{size} pixels",
            _COPIES * count * size * size * 3,
            free,
            "a smaller data.image_size, or fewer images, take less",
        )

    def _check(self, found: "Parts") -> None:
        """Raise ``UserError`` unless each part has images of each of two classes or more."""
        if "" not in found:
            found.setdefault("train", {})
        validates = [name for name in found if PARTS.get(name) == "val"]
        if len(validates) > 1:
            raise UserError(
                f"{self.root}: has {' and '.join(validates)}, and both are names of validation "
                "images; keep one of them"
            )
        for part, labels in found.items():
            if not labels:
                flat = ", nor <class>/ folders" if len(found) == 1 else ""
                of = f"{part}/<class>/" if part else "<class>/"
                raise UserError(f"{self.root}: no {of} folders with images in it{flat}")
            for label, images in labels.items():
                if not images:
                    raise UserError(
                        f"{self.root}: the class folder {_folder(part, label)} has no images"
                    )
        train = next(name for name in found if PARTS.get(name, "train") == "train")
        for part in found:
            for label in sorted(set(found[train]) ^ set(found[part])):
                missing = part if label in found[train] else train
                raise UserError(
                    f"{self.root}: the class folder {_folder(missing, label)} is missing"
                )
        if len(found[train]) == 1:
            (label,) = found[train]
            of = "train and test need" if train else "there has to be"
            inner = self.root / label
            meant = not train and inner.is_dir() and any(folder_parts(inner))
            raise UserError(
                f"{self.root}: one class, {label}, leaves nothing to tell apart; {of} a folder for "
                f"each of two classes or more" + (f"; data.root={inner} has them" if meant else "")
            )

    def _held_out(self, train: "Part") -> tuple["Part", "Part"]:
        """The training images without and with those that are held out for the test."""
        kept: Part = {}
        held: Part = {}
        for label, images in train.items():
            if len(images) == 1:
                raise UserError(
                    f"{self.root}: class {label} has one image, and needs one to train on and one "
                    "to hold out for the test"
                )
            count = min(max(1, round(len(images) * self.test_size)), len(images) - 1)
            order = sorted(images, key=lambda item: self._rank(label, item[0]))
            kept[label], held[label] = order[count:], order[:count]
        return kept, held

    def _rank(self, label: str, inside: str) -> bytes:
        return hashlib.sha256(os.fsencode(f"{self.test_seed}|{label}/{inside}")).digest()


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


def _folder(part: str, label: str) -> str:
    return f"{part}/{label}" if part else label


def _decode(file: File, root: Path) -> Image.Image:
    """The RGB image of one file."""
    assert file.data is not None
    return decode(file.data, f"{root}: {file.name}")


def _in_turns(classes: tuple[str, ...], *parts: Part) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, one part after the other, in each the classes in turns."""

    def order() -> Iterator[tuple[int, int, int, np.ndarray]]:
        for number, found in enumerate(parts):
            for label, name in enumerate(classes):
                for rank, (_, pixels) in enumerate(sorted(found[name], key=itemgetter(0))):
                    yield number, rank, label, pixels

    ordered = sorted(order(), key=itemgetter(0, 1, 2))
    images = np.stack([pixels for *_, pixels in ordered])
    return images, np.array([label for _, _, label, _ in ordered], dtype=np.int64)
