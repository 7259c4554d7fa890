"""CIFAR-10 and CIFAR-100 from their authors' files, in either form that they are given away in."""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64, UInt8

from cifarlab.base.errors import UserError
from cifarlab.base.reading import named_path
from cifarlab.data.archives import members
from cifarlab.data.cache import Images
from cifarlab.data.published import check_sum, check_url, fetch, md5, md5_of, read_whole

log = logging.getLogger("cifarlab")

_PAGE = "https://www.cs.toronto.edu/~kriz"
_PIXELS = 3 * 32 * 32
Batch = tuple[UInt8[np.ndarray, "n 32 32 3"], Int64[np.ndarray, " n"]]


@dataclass(frozen=True)
class Version:
    """One form of a data set, as published: a folder of batch files, or the archive of it.

    train, test: name of each batch file to its md5, in the official order.
    decode: the bytes of a batch file to its images and labels.
    """

    folder: str
    archive: str
    archive_md5: str
    train: Mapping[str, str]
    test: Mapping[str, str]
    decode: Callable[[bytes], Batch]

    @property
    def names(self) -> tuple[str, ...]:
        return *self.train, *self.test

    def read(self, place: Path, classes: tuple[str, ...]) -> Images:
        """All images of the folder or archive ``place``.

        Nothing is decoded, and so no pickle opened, whose md5 is not the published one. Raises
        ``UserError`` that names the file for one that is missing, damaged or cannot be read.
        """
        found = self._archive_files(place) if place.is_file() else self._folder_files(place)
        batches = {name: self.decode(data) for name, data in found}
        for name in self.names:
            if name not in batches:
                raise UserError(f"{place / name}: missing")
        parts = [[batches[name] for name in names] for names in (self.train, self.test)]
        train, test = ([np.concatenate(a) for a in zip(*part, strict=True)] for part in parts)
        return Images(train[0], train[1], test[0], test[1], classes)

    def _folder_files(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        for name, published in {**self.train, **self.test}.items():
            yield name, read_whole(folder / name, published)

    def _archive_files(self, archive: Path) -> Iterator[tuple[str, bytes]]:
        check_sum(archive, md5_of(archive), self.archive_md5)
        sums = {**self.train, **self.test}
        for path, data in members(archive, lambda path: PurePosixPath(path).name in sums):
            name = PurePosixPath(path).name
            if data is not None:
                check_sum(archive / path, md5(data), sums[name])
                yield name, data


def decode_binary(label_bytes: int) -> Callable[[bytes], Batch]:
    """Of the binary version: records of ``label_bytes`` labels, the last of which counts, and 1,024
    red, green and blue bytes each, row by row."""

    def decode(data: bytes) -> Batch:
        records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + _PIXELS)
        labels = records[:, label_bytes - 1].astype(np.int64)
        return _images(records[:, label_bytes:]), labels

    return decode


def decode_python(key: str) -> Callable[[bytes], Batch]:
    """Of the python version: a pickled dictionary with ``data`` and, below ``key``, the labels."""

    def decode(data: bytes) -> Batch:
        batch = pickle.loads(data, encoding="latin1")  # noqa: S301  its md5 has been checked
        return _images(batch["data"]), np.array(batch[key], dtype=np.int64)

    return decode


class CIFAR10:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 images of 32x32 pixels in ten classes.

    Whichever version is found, binary or python, folder or archive, gives the same images in the
    same order, the official one. Where there are several, the first whole one is read, and what is
    wrong with those before it is logged.

    Args:
        root: folder with one of them; the binary archive is downloaded there where none is.
        url: of either version's archive, for another place to download it from; the md5 decides.
        download: whether that may be.
    """

    name = "CIFAR-10"
    statistics = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    classes: tuple[str, ...] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    versions: tuple[Version, ...] = (
        Version(
            "cifar-10-batches-bin",
            "cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            {
                "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
                "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
                "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
                "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
                "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
            },
            {"test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d"},
            decode_binary(1),
        ),
        Version(
            "cifar-10-batches-py",
            "cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            {
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            },
            {"test_batch": "40351d587109b95175f43aff81a1287e"},
            decode_python("labels"),
        ),
    )

    def __init__(self, root: str, url: str | None = None, download: bool = True) -> None:
        self.root, self.url, self.download = named_path(f"data.root={root}", root), url, download
        check_url(url)

    def key(self) -> str:
        """That of the python archive, for all versions: their images are the same."""
        return f"{type(self).__name__.lower()}-{self.versions[-1].archive_md5}"

    def read(self) -> Images:
        """Raises ``UserError`` where no version is whole, and none can be downloaded."""
        faults: list[UserError] = []
        for version, place in self._places():
            try:
                images = version.read(place, self.classes)
            except UserError as fault:
                faults.append(fault)
                continue
            for passed in faults:
                log.warning("%s; read %s instead", passed, place)
            return images
        if faults:
            raise UserError("; ".join(map(str, faults)))
        return self._fetched()

    def _places(self) -> Iterator[tuple[Version, Path]]:
        """What there is, in the order of trust: the binary version needs no pickle."""
        for version in self.versions:
            for name in (version.folder, version.archive):
                place = self.root / name
                if place.exists() or place.is_symlink():  # one that leads nowhere is told
                    yield version, place

    def _fetched(self) -> Images:
        """Download an archive and read it. Raises ``UserError`` where that is not possible."""
        url = self.url or f"{_PAGE}/{self.versions[0].archive}"
        reason = ""
        if self.download:
            try:
                place = fetch(self.root, url, lambda found: self._archive_of(found, url))
            except OSError as error:
                reason = f", and {url} could not be downloaded ({error})"
            else:
                version = next(v for v in self.versions if v.archive == place.name)
                return version.read(place, self.classes)
        forms = [
            f"{version.folder}/ or {version.archive} (md5 {version.archive_md5})"
            for version in self.versions
        ]
        raise UserError(
            f"{self.name} is not in {self.root}{reason}: put {', or '.join(forms)} there, or set "
            "data.root to the folder that has one of them, or data.url to another place to "
            "download an archive from, or try data=synthetic"
        )

    def _archive_of(self, found: str, url: str) -> str:
        """Which version's archive ``url`` turned out to be. Raises ``UserError`` if it is none."""
        for version in self.versions:
            if found == version.archive_md5:
                return version.archive
        known = " or ".join(f"{version.archive_md5}" for version in self.versions)
        raise UserError(f"{url}: not an archive of {self.name}: md5 {found}, should be {known}")


class CIFAR100(CIFAR10):
    """CIFAR-100 (Krizhevsky, 2009), the 100 fine labels."""

    name = "CIFAR-100"
    statistics = ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
    classes = (
        "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle",
        "bicycle", "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can",
        "castle", "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud",
        "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant",
        "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
        "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree",
        "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
        "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate",
        "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
        "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
        "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
        "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
        "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
    )  # fmt: skip
    versions = (
        Version(
            "cifar-100-binary",
            "cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            {"train.bin": "6172c7755cfe09b2fe270c85cebc1b15"},
            {"test.bin": "4499cfba6c016c1be1438163640a0898"},
            decode_binary(2),
        ),
        Version(
            "cifar-100-python",
            "cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            {"train": "16019d7e3df5f24257cddd939b257f8d"},
            {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
            decode_python("fine_labels"),
        ),
    )


def _images(rows: UInt8[np.ndarray, "n 3072"]) -> UInt8[np.ndarray, "n 32 32 3"]:
    """Colour planes to pixels."""
    return np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
