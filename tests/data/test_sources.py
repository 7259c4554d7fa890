"""Folders and archives of images, good and bad."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from PIL import Image

from cifarlab.base.errors import UserError
from cifarlab.data.archives import ARCHIVES
from cifarlab.data.cache import Images
from cifarlab.data.sources import ImageFolder, Synthetic
from cifarlab.data.synthetic import CLASSES

SIZE = 8


def colour(split: str, label: str, number: int) -> tuple[int, int, int]:
    digest = hashlib.sha256(f"{split}/{label}/{number}".encode()).digest()
    return digest[0], digest[1], digest[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two classes, four training and two test images each, every image of one colour."""
    root = tmp_path / "pets"
    for split, count in (("train", 4), ("test", 2)):
        for label in ("dog", "cat"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (SIZE, SIZE), colour(split, label, number))
                image.save(folder / f"{number:04d}.png")
    return root


def pack(tree: Path, ending: str) -> Path:
    archive = tree.with_name(f"pets{ending}")
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in sorted(tree.rglob("*")):
                file.write(path, path.relative_to(tree))
        return archive
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.add(tree, "pets")
    raw = buffer.getvalue()
    kind = ending.rpartition(".")[2].removeprefix("t")
    if kind == "zst":
        raw = zstandard.ZstdCompressor().compress(raw)
    elif kind != "ar":
        packed = {"gz": "gzip", "bz2": "bz2", "xz": "lzma"}[kind]
        raw = __import__(packed).compress(raw)
    archive.write_bytes(raw)
    return archive


def check(images: Images) -> None:
    assert images.classes == ("cat", "dog")
    assert images.train_labels.tolist() == [0, 1] * 4, "the classes take turns"
    assert images.test_labels.tolist() == [0, 1] * 2
    assert images.train_images.shape == (8, SIZE, SIZE, 3)
    for split, found in (("train", images.train_images), ("test", images.test_images)):
        for position, pixels in enumerate(found):
            label = images.classes[position % 2]
            expected = colour(split, label, position // 2)
            assert (pixels == np.array(expected)).all(), (split, label, position)


def test_folder(tree: Path) -> None:
    check(ImageFolder(str(tree)).read())


@pytest.mark.parametrize("ending", ARCHIVES)
def test_archives(tree: Path, ending: str) -> None:
    check(ImageFolder(str(pack(tree, ending))).read())


@pytest.mark.parametrize("ending", ARCHIVES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.7])
def test_an_archive_cut_short(tree: Path, ending: str, share: float) -> None:
    archive = pack(tree, ending)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UserError, match=r"pets.*: the archive is damaged or cut short"):
        ImageFolder(str(archive)).read()


def test_a_tar_cut_between_two_members(tree: Path) -> None:
    """tarfile reads it without complaint; half of the images would be missing."""
    archive = pack(tree, ".tar")
    with tarfile.open(archive) as file:
        offsets = [member.offset for member in file]
    archive.write_bytes(archive.read_bytes()[: offsets[-2]])
    with tarfile.open(archive) as file:
        assert len(file.getmembers()) == len(offsets) - 2
    with pytest.raises(UserError, match="cut short"):
        ImageFolder(str(archive)).read()


def test_other_formats_modes_and_files(tree: Path) -> None:
    shutil.rmtree(tree / "train" / "dog")
    (tree / "train" / "dog" / "deeper").mkdir(parents=True)
    Image.new("L", (SIZE, SIZE), 7).save(tree / "train" / "dog" / "grey.bmp")
    Image.new("RGBA", (SIZE, SIZE), (1, 2, 3, 0)).save(
        tree / "train" / "dog" / "alpha.webp", lossless=True, exact=True
    )
    Image.new("P", (SIZE, SIZE)).save(tree / "train" / "dog" / "deeper" / "palette.gif")
    for name in (".DS_Store", "._grey.png", "notes.txt"):
        (tree / "train" / "dog" / name).write_text("no image")
    (tree / "README").write_text("no image")
    images = ImageFolder(str(tree)).read()
    dogs = images.train_images[images.train_labels == 1]
    assert sorted(int(d[0, 0, 0]) for d in dogs) == [0, 7, 255], "transparent is white"


@pytest.mark.parametrize("content", [b"", b"no image at all", "cut"])
def test_an_image_that_does_not_decode(tree: Path, content: bytes | str) -> None:
    bad = tree / "train" / "cat" / "0002.png"
    if content == "cut":
        noise = np.random.RandomState(0).randint(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
        Image.fromarray(noise).save(bad)
        content = bad.read_bytes()[: bad.stat().st_size // 2]
    bad.write_bytes(content)
    message = "train/cat/0002.png is not an image that can be read"
    with pytest.raises(UserError, match=message):
        ImageFolder(str(tree)).read()
    with pytest.raises(UserError, match=message):
        ImageFolder(str(pack(tree, ".tar.gz"))).read()


@pytest.mark.parametrize("ending", ["", ".tar.xz", ".zip"])
def test_a_class_folder_that_is_empty(tree: Path, ending: str) -> None:
    for path in (tree / "test" / "dog").iterdir():
        path.unlink()
    root = pack(tree, ending) if ending else tree
    with pytest.raises(UserError, match="the class folder test/dog has no images"):
        ImageFolder(str(root)).read()


@pytest.mark.parametrize("ending", ["", ".tar.xz", ".zip"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_class_folder_that_is_missing(tree: Path, ending: str, split: str) -> None:
    shutil.rmtree(tree / split / "cat")
    root = pack(tree, ending) if ending else tree
    with pytest.raises(UserError, match=f"the class folder {split}/cat is missing"):
        ImageFolder(str(root)).read()


@pytest.mark.parametrize("ending", ["", ".tar.gz"])
def test_no_test_folder(tree: Path, ending: str) -> None:
    shutil.rmtree(tree / "test")
    root = pack(tree, ending) if ending else tree
    with pytest.raises(UserError, match="no test/<class>/ folders"):
        ImageFolder(str(root)).read()


def test_sizes(tree: Path) -> None:
    Image.new("RGB", (12, 9), (1, 2, 3)).save(tree / "train" / "dog" / "0000.png")
    with pytest.raises(
        UserError, match="dog/0000.png has 12x9 px where 8x8 is expected; data.image_size=8"
    ):
        ImageFolder(str(tree)).read()
    assert ImageFolder(str(tree), image_size=16).read().train_images.shape == (8, 16, 16, 3)


def test_wrong_roots(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder or archive"):
        ImageFolder(str(tmp_path / "nowhere"))
    (tmp_path / "images.rar").write_bytes(b"")
    with pytest.raises(UserError, match=r"must be a folder or end with .tar, .*\.zip"):
        ImageFolder(str(tmp_path / "images.rar"))


def test_the_key_follows_the_content(tree: Path) -> None:
    before = ImageFolder(str(tree)).key()
    assert ImageFolder(str(tree)).key() == before
    assert ImageFolder(str(tree), image_size=16).key() != before
    Image.new("RGB", (SIZE, SIZE)).save(tree / "train" / "dog" / "9999.png")
    assert ImageFolder(str(tree)).key() != before
    archive = pack(tree, ".zip")
    before = ImageFolder(str(archive)).key()
    archive.write_bytes(archive.read_bytes() + b"\0")
    assert ImageFolder(str(archive)).key() != before


def test_synthetic_is_deterministic_and_balanced() -> None:
    one, two = Synthetic(200, 50).read(), Synthetic(200, 50).read()
    assert np.array_equal(one.train_images, two.train_images)
    assert np.bincount(one.train_labels).tolist() == [20] * 10
    assert one.classes == CLASSES and len(CLASSES) == 10
    assert not np.array_equal(one.train_images[:50], one.test_images)
    with pytest.raises(UserError, match="at least 10 each"):
        Synthetic(5, 50)


@pytest.mark.parametrize("name", ["pipe", "pipe.zip"])
def test_a_pipe_is_no_archive(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name}: cannot be read \(a named pipe, where a file"):
        ImageFolder(str(tmp_path / name))


def test_odd_entries_of_a_folder(tree: Path) -> None:
    """Links that lead nowhere or round in a circle, a pipe, a name that is no text."""
    before = ImageFolder(str(tree)).key()
    cats = tree / "train" / "cat"
    (cats / "round").symlink_to(tree / "train")
    (cats / "again").symlink_to(cats)
    (cats / "loop.png").symlink_to("loop.png")
    (cats / "nowhere.png").symlink_to("nowhere")
    check(ImageFolder(str(tree)).read())
    os.mkfifo(cats / "pipe.png")
    Path(os.fsdecode(os.fsencode(cats) + b"/\xff.txt")).write_text("no image")
    assert ImageFolder(str(tree)).key() != before
    check(ImageFolder(str(tree)).read())
