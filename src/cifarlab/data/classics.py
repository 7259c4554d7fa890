"""SVHN, Fashion-MNIST and CINIC-10 from their authors' files."""

import gzip
import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from cifarlab.base.errors import UserError
from cifarlab.base.options import Statistics
from cifarlab.base.reading import named_path
from cifarlab.data.cache import Images
from cifarlab.data.cifar import CIFAR10
from cifarlab.data.published import check_sum, check_url, fetch, md5, md5_of, read_whole
from cifarlab.data.sources import ImageFolder

Part = tuple[UInt8[np.ndarray, "n size size 3"], Int64[np.ndarray, " n"]]


class PublishedFiles(ABC):
    """A data set of a few files, none of which is read unless its md5 is the published one.

    Args:
        root: folder with them; what is missing there is downloaded.
        url: another address below which the files are; the md5s decide.
        download: whether that may be.
    """

    name: str
    statistics: Statistics
    classes: tuple[str, ...]
    page: str  # the address below which the files are
    folders: tuple[str, ...] = (".",)  # below root, where they are looked for
    train: Mapping[str, str]  # name of each file to its md5
    test: Mapping[str, str]

    def __init__(self, root: str, url: str | None = None, download: bool = True) -> None:
        self.root, self.url, self.download = named_path(f"data.root={root}", root), url, download
        check_url(url)

    def key(self) -> str:
        """Of the published sums."""
        sums = "".join([*self.train.values(), *self.test.values()])
        return f"{type(self).__name__.lower()}-{md5(sums.encode())}"

    def read(self) -> Images:
        """Raises ``UserError``, which names the file, for one that is damaged, or is missing and
        cannot be downloaded."""
        parts = []
        for files in (self.train, self.test):
            found = {name: read_whole(self._place(name), files[name]) for name in files}
            parts.append(self.decode(*found.values()))
        return Images(*parts[0], *parts[1], self.classes)

    @abstractmethod
    def decode(self, *files: bytes) -> Part:
        """Images and labels of a part, from its files in the order of ``train`` or ``test``."""

    def _place(self, name: str) -> Path:
        for folder in self.folders:
            if (path := self.root / folder / name).exists():
                return path
        reason = ""
        if self.download:
            url = f"{(self.url or self.page).rstrip('/')}/{name}"
            try:
                return fetch(self.root, url, lambda found: self._named(name, found, url))
            except OSError as error:
                reason = f", and {url} could not be downloaded ({error})"
        files = ", ".join(f"{n} (md5 {s})" for n, s in {**self.train, **self.test}.items())
        raise UserError(
            f"{self.name}: {name} is not in {self.root}{reason}: put {files} there, or set "
            "data.root to the folder that has them, or data.url to another address to download "
            "them from, or try data=synthetic"
        )

    def _named(self, name: str, found: str, url: str) -> str:
        published = {**self.train, **self.test}[name]
        if found != published:
            raise UserError(f"{url}: not {name} of {self.name}: md5 {found}, should be {published}")
        return name


class SVHN(PublishedFiles):
    """Street View House Numbers (Netzer et al., 2011), the cropped digits: 73,257 and 26,032 images
    of 32x32 pixels in ten classes; the 531,131 extra ones are not read.

    A digit is another shape when mirrored, so a flip among the augmentations takes away from what
    there is to learn.
    """

    name = "SVHN"
    statistics = ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))
    classes = tuple("0123456789")
    mirrored = False
    page = "http://ufldl.stanford.edu/housenumbers"
    train = {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"}
    test = {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"}

    def decode(self, *files: bytes) -> Part:
        """Of a MATLAB file: ``X``, ``(height, width, 3, n)``, and ``y``, where 0 is written 10."""
        from scipy.io import loadmat

        found = loadmat(io.BytesIO(files[0]), variable_names=["X", "y"])
        images = np.ascontiguousarray(found["X"].transpose(3, 0, 1, 2))
        return images, found["y"].reshape(-1).astype(np.int64) % 10


class FashionMNIST(PublishedFiles):
    """Fashion-MNIST (Xiao et al., 2017): 60,000 and 10,000 grey images of 28x28 pixels in ten
    classes. Their three channels are alike; ``data.channels=1`` hands on one of them."""

    name = "Fashion-MNIST"
    statistics = ((0.2860,) * 3, (0.3530,) * 3)
    classes = (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    )  # fmt: skip
    page = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
    folders = (".", "FashionMNIST/raw", "fashion_mnist")  # the second is torchvision's
    train = {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    }
    test = {
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }

    def decode(self, *files: bytes) -> Part:
        """Of IDX files: a head of 32-bit numbers, the sizes last, then a byte a pixel or label."""
        pixels, labels = map(gzip.decompress, files)
        count, height, width = np.frombuffer(pixels, ">i4", 3, offset=4)
        images = np.frombuffer(pixels, np.uint8, offset=16).reshape(count, height, width, 1)
        return images.repeat(3, axis=3), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


class CINIC10:
    """CINIC-10 (Darlow et al., 2018): CIFAR-10's classes from CIFAR-10 and ImageNet, three parts of
    90,000 images of 32x32 pixels, of which the second validates (``data.validation=own``).

    Args:
        root: folder with the archive or with what it unpacks to, below ``CINIC-10`` or as it is;
            the archive is downloaded there where neither is.
        url: of the archive, for another place to download it from; the md5 decides.
        download: whether that may be.
    """

    name = "CINIC-10"
    statistics: Statistics = ((0.4789, 0.4723, 0.4305), (0.2421, 0.2383, 0.2587))
    classes = CIFAR10.classes
    address = "https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz"
    archive = "CINIC-10.tar.gz"
    archive_md5 = "6ee4d0c996905fe93221de577967a372"
    folder = "CINIC-10"
    each = 90_000  # images of a part

    def __init__(self, root: str, url: str | None = None, download: bool = True) -> None:
        self.root, self.url, self.download = named_path(f"data.root={root}", root), url, download
        check_url(url)

    def key(self) -> str:
        """Of the published sum, or, of a folder, of its images."""
        if (folder := self._unpacked()) is not None:
            return f"cinic10-{ImageFolder(str(folder)).key()}"
        return f"cinic10-{self.archive_md5}"

    def read(self) -> Images:
        """Raises ``UserError`` for a damaged archive, for a folder that is not whole, and where
        there is neither and none can be downloaded."""
        folder = self._unpacked()
        if folder is None:
            archive = self.root / self.archive
            if archive.exists():
                check_sum(archive, md5_of(archive), self.archive_md5)
            else:
                archive = self._fetched()
            return self._whole(archive)
        return self._whole(folder)

    def _whole(self, place: Path) -> Images:
        images = ImageFolder(str(place)).read()
        own = images.val_count
        counts = (len(images.train_labels) - own, own, len(images.test_labels))
        if images.classes != self.classes or set(counts) != {self.each}:
            found = ", ".join(f"{count:,}" for count in counts)
            raise UserError(
                f"{place}: not the whole of {self.name}: {found} images to train, validate and "
                f"test in {len(images.classes)} classes, where {self.each:,} of each in "
                f"{len(self.classes)} are published; unpack {self.archive} anew"
            )
        return images

    def _unpacked(self) -> Path | None:
        for folder in (self.root / self.folder, self.root):
            if all((folder / part).is_dir() for part in ("train", "valid", "test")):
                return folder
        return None

    def _fetched(self) -> Path:
        url, reason = self.url or self.address, ""
        if self.download:
            try:
                return fetch(self.root, url, lambda found: self._named(found, url))
            except OSError as error:
                reason = f", and {url} could not be downloaded ({error})"
        raise UserError(
            f"{self.name} is not in {self.root}{reason}: put {self.archive} (md5 "
            f"{self.archive_md5}), or what it unpacks to, there, or set data.root to the folder "
            "that has one of them, or data.url to another place to download it from, or try "
            "data=synthetic"
        )

    def _named(self, found: str, url: str) -> str:
        if found != self.archive_md5:
            raise UserError(
                f"{url}: not an archive of {self.name}: md5 {found}, should be {self.archive_md5}"
            )
        return self.archive
