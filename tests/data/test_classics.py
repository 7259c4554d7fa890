"""SVHN, Fashion-MNIST and CINIC-10 in small: the authors' forms, with sums of their own."""

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from scipy.io import savemat

from cifarlab.base.errors import UserError
from cifarlab.data.cache import Images
from cifarlab.data.cifar import CIFAR10
from cifarlab.data.classics import CINIC10, SVHN, FashionMNIST, PublishedFiles
from cifarlab.data.published import md5

COUNTS = {"train": 30, "test": 20}


def drawn(part: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random, count = np.random.RandomState(COUNTS[part]), COUNTS[part]
    return random.randint(0, 256, (count, *shape), np.uint8), np.arange(count) % 10


def mat(part: str) -> dict[str, bytes]:
    images, labels = drawn(part, (32, 32, 3))
    file = io.BytesIO()
    y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
    savemat(file, {"X": images.transpose(1, 2, 3, 0), "y": y}, do_compression=True)
    return {f"{part}_32x32.mat": file.getvalue()}


def idx(part: str) -> dict[str, bytes]:
    images, labels = drawn(part, (28, 28))
    name = {"train": "train", "test": "t10k"}[part]
    heads = [np.array(n, ">i4").tobytes() for n in ([2051, len(images), 28, 28], [2049, 20])]
    return {
        f"{name}-images-idx3-ubyte.gz": gzip.compress(heads[0] + images.tobytes()),
        f"{name}-labels-idx1-ubyte.gz": gzip.compress(heads[1] + labels.astype("u1").tobytes()),
    }


FORMS = {SVHN: (mat, (32, 32, 3)), FashionMNIST: (idx, (28, 28))}


class Small:
    """A source whose published sums are those of a few random images, and its files."""

    def __init__(self, base: type[PublishedFiles]) -> None:
        make, self.shape = FORMS[base]
        parts = {part: make(part) for part in COUNTS}
        self.files = {**parts["train"], **parts["test"]}
        assert list(self.files) == [*base.train, *base.test]
        sums = {part: {name: md5(of[name]) for name in of} for part, of in parts.items()}
        self.source = type(base.__name__, (base,), sums)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)

    def check(self, images: Images) -> None:
        for part in COUNTS:
            pixels, labels = drawn(part, self.shape)
            pixels = pixels if pixels.ndim == 4 else np.stack([pixels] * 3, axis=3)
            assert np.array_equal(getattr(images, f"{part}_images"), pixels)
            assert np.array_equal(getattr(images, f"{part}_labels"), labels)
        assert images.classes == self.source.classes and images.layout == ""


@pytest.fixture(params=FORMS, ids=lambda source: source.__name__)
def small(request: pytest.FixtureRequest) -> Small:
    return Small(request.param)


def test_images_and_labels(small: Small, tmp_path: Path) -> None:
    for folder in small.source.folders:
        small.write(tmp_path / folder)
        small.check(small.source(str(tmp_path), download=False).read())
        for name in small.files:
            (tmp_path / folder / name).unlink()


def test_a_damaged_file_is_named_before_it_is_decoded(small: Small, tmp_path: Path) -> None:
    small.write(tmp_path)
    name = list(small.files)[-1]
    (tmp_path / name).write_bytes(small.files[name][:-9])
    with pytest.raises(UserError, match=rf"{name}: damaged \(md5 \w+, published is"):
        small.source(str(tmp_path)).read()


def test_a_missing_file_is_named(small: Small, tmp_path: Path) -> None:
    small.write(tmp_path)
    name = next(iter(small.files))
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=rf"{name} is not in .*: put .*{name} \(md5 \w+\)"):
        small.source(str(tmp_path), download=False).read()
    url = (tmp_path / "nowhere").as_uri()
    with pytest.raises(UserError, match=f"{url}/{name} could not be downloaded"):
        small.source(str(tmp_path), url=url).read()
    with pytest.raises(UserError, match=r"data.url=gopher://x: must begin with one of https"):
        small.source(str(tmp_path), url="gopher://x")


def test_files_are_downloaded_and_kept(small: Small, tmp_path: Path) -> None:
    small.write(tmp_path / "there")
    url, root = (tmp_path / "there").as_uri(), tmp_path / "here"
    small.check(small.source(str(root), url=f"{url}/").read())
    assert sorted(path.name for path in root.iterdir()) == sorted(small.files)
    name = next(iter(small.files))
    (root / name).unlink()
    (tmp_path / "there" / name).write_bytes(b"a page that says: not found")
    with pytest.raises(UserError, match=f"{url}/{name}: not {name} of .*: md5 .*, should be"):
        small.source(str(root), url=url).read()
    assert not (root / name).exists()


def test_sums_and_classes_are_torchvisions() -> None:
    theirs = torchvision.datasets
    for part, found in (("train", SVHN.train), ("test", SVHN.test)):
        url, name, published = theirs.SVHN.split_list[part]
        assert found == {name: published} and url == f"{SVHN.page}/{name}"
    assert {**FashionMNIST.train, **FashionMNIST.test} == dict(theirs.FashionMNIST.resources)
    assert [*FashionMNIST.classes] == theirs.FashionMNIST.classes
    assert f"{FashionMNIST.page}/" in theirs.FashionMNIST.mirrors


def cinic(root: Path, each: int = 20) -> Path:
    for number, part in enumerate(("train", "valid", "test")):
        for label, name in enumerate(CIFAR10.classes):
            (root / part / name).mkdir(parents=True)
            for i in range(each // 10):
                shade = Image.new("RGB", (32, 32), (number, label, i))
                shade.save(root / part / name / f"{i}.png")
    return root


def test_cinic10(tmp_path: Path) -> None:
    """From the archive, from its folder, with its own validation images."""
    folder = cinic(tmp_path / "unpacked")
    packed = tmp_path / "CINIC-10.tar.gz"
    with tarfile.open(packed, "w:gz") as file:
        for part in ("train", "valid", "test"):
            file.add(folder / part, part)
    own = {"each": 20, "archive_md5": md5(packed.read_bytes())}
    source = type("CINIC10", (CINIC10,), own)
    for root in (tmp_path, folder):
        images = source(str(root)).read()
        assert images.classes == CIFAR10.classes and images.layout == "train/valid/test"
        assert images.val_count == 20 and len(images.train_labels) == 40
        assert images.train_images[:20, 0, 0, 0].max() == 0
        assert images.train_images[20:, 0, 0, 0].tolist() == [1] * 20
    assert source(str(tmp_path)).key() == f"cinic10-{own['archive_md5']}"
    assert source(str(tmp_path)).key() != source(str(folder)).key()
    with pytest.raises(UserError, match="not the whole of CINIC-10: 20, 20, 20 images .* 90,000"):
        CINIC10(str(folder)).read()
    fetched = source(str(tmp_path / "new"), url=packed.as_uri()).read()
    assert np.array_equal(fetched.test_images, images.test_images)
    packed.write_bytes(packed.read_bytes()[:-5])
    with pytest.raises(UserError, match="CINIC-10.tar.gz: damaged"):
        source(str(tmp_path)).read()
    with pytest.raises(UserError, match=r"not an archive of CINIC-10: md5"):
        source(str(tmp_path / "newer"), url=packed.as_uri()).read()
    with pytest.raises(UserError, match=r"CINIC-10 is not in .*: put CINIC-10.tar.gz \(md5 "):
        source(str(tmp_path / "newer"), download=False).read()
