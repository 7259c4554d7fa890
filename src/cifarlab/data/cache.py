"""Decoded images on disk, so that only the first start decodes.

A cache file is an uncompressed ``.npz``: whole (written aside, then renamed) and checked (the zip
format carries a CRC-32 of every array, which is compared whenever one is read).
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from filelock import FileLock

from cifarlab.base.arrays import DAMAGE, read_arrays
from cifarlab.base.errors import UserError, nearest


@dataclass(frozen=True)
class Images:
    """A data set in memory.

    train_images, test_images: uint8 ``(n, height, width, 3)``, values 0 to 255.
    train_labels, test_labels: int64 ``(n,)``, positions in ``classes``.
    val_count: how many of the training images, the last ones, the set has set aside to validate on.
    layout: how the set was found and what was done to it, in words; empty where there was no
        choice.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]
    val_count: int = 0
    layout: str = ""

    def only(self, names: Sequence[str | int] | None) -> "Images":
        """The images of these classes alone, which get this order; of all, for ``None``.

        Raises ``UserError`` for a class that there is not.
        """
        if names is None:
            return self
        chosen = tuple(map(str, names))
        for name in chosen:
            if name not in self.classes:
                raise UserError(f"data.classes: no class {name}; {nearest(name, self.classes)}")
        position = np.full(len(self.classes), -1)
        position[[self.classes.index(name) for name in chosen]] = np.arange(len(chosen))
        train, test = position[self.train_labels], position[self.test_labels]
        return Images(
            self.train_images[train >= 0],
            train[train >= 0],
            self.test_images[test >= 0],
            test[test >= 0],
            chosen,
            int((train[len(train) - self.val_count :] >= 0).sum()),
            self.layout,
        )

    def grey(self) -> "Images":
        """The same in shades of grey, the three channels alike (ITU-R 601-2, as Pillow's ``L``)."""
        return replace(
            self,
            train_images=_grey(self.train_images),
            test_images=_grey(self.test_images),
        )


def _grey(images: np.ndarray) -> np.ndarray:
    found = np.empty_like(images)
    for start in range(0, len(images), 5000):
        part = images[start : start + 5000].astype(np.uint32)
        # Pillow's integers: a grey pixel stays what it is
        shades = (part @ np.array([19595, 38470, 7471], np.uint32) + 0x8000) >> 16
        found[start : start + 5000] = shades[..., None]
    return found


log = logging.getLogger("cifarlab")

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_FACTS = ("classes", "val_count", "layout")


def cached(cache_dir: str | Path, key: str, make: Callable[[], Images]) -> Images:
    """The images stored under ``key``, made and stored first where there are none.

    ``key`` must name the content: other content, other key. Several processes may ask at once; one
    makes, the others wait. Raises ``UserError`` if the stored file is damaged, or where none can be
    stored.
    """
    path = Path(cache_dir).expanduser() / f"{key}.npz"
    if not path.is_file():
        lock = FileLock(path.with_suffix(".lock"))
        with _writable(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            if not path.is_file():
                log.info("decoding the images, once: kept in %s", path)
                images = make()
                with _writable(path.parent):
                    for left in path.parent.glob(f"{key}.*.tmp"):  # of a process that was killed
                        left.unlink()
                    _write(path, images)
        finally:
            lock.release()
    return _read(path)


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"data.cache_dir={folder}: cannot be written ({error.strerror or error}); set "
            "data.cache_dir to a folder that can"
        ) from error


def _write(path: Path, images: Images) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            arrays = {name: getattr(images, name) for name in _ARRAYS}
            arrays |= {name: np.array(getattr(images, name)) for name in _FACTS}
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path) -> Images:
    try:
        arrays = read_arrays(path)
        classes = tuple(str(name) for name in arrays["classes"])
        return Images(
            **{name: arrays[name] for name in _ARRAYS},
            classes=classes,
            # of before there was one: such sets have neither
            val_count=int(arrays.get("val_count", 0)),
            layout=str(arrays.get("layout", "")),
        )
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{path}: the cached images are damaged ({type(error).__name__}: {error}); "
            "delete this file and run again"
        ) from error
