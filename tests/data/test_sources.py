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


def names(images: Images) -> dict[str, list[tuple[int, ...]]]:
    """The colours of each part, which tell which image is where."""
    train, own = images.train_images[:, 0, 0], images.val_count
    cut = len(train) - own
    parts = {"train": train[:cut], "val": train[cut:], "test": images.test_images[:, 0, 0]}
    return {part: sorted(map(tuple, found.tolist())) for part, found in parts.items()}


@pytest.mark.parametrize("ending", ["", ".tar.gz", ".zip"])
@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_validation_images_of_its_own(tree: Path, name: str, ending: str) -> None:
    shutil.copytree(tree / "test", tree / name)
    images = ImageFolder(str(pack(tree, ending) if ending else tree)).read()
    assert images.layout == f"train/{name}/test" and images.val_count == 4
    assert images.train_labels.tolist() == [0, 1] * 6
    assert np.array_equal(images.train_images[8:], images.test_images), "behind those that train"
    assert images.only(["dog"]).val_count == 2 and images.grey().val_count == 4


@pytest.mark.parametrize(
    ("layout", "ending"),
    [("train", ""), ("train/valid", ".zip"), ("flat", ""), ("flat", ".tar.gz"), ("flat", ".zip")],
)
def test_a_test_part_is_held_out(tree: Path, layout: str, ending: str) -> None:
    """By a seed of its own: of each class a share, the same from a folder and from an archive."""
    if layout == "train/valid":
        (tree / "test").rename(tree / "valid")
    else:
        shutil.rmtree(tree / "test")
    if layout == "flat":
        for label in ("cat", "dog"):
            (tree / "train" / label).rename(tree / label)
        (tree / "train").rmdir()
    before = names(ImageFolder(str(tree)).read())
    images = ImageFolder(str(pack(tree, ending) if ending else tree)).read()
    assert images.layout == (
        f"{layout}; 0.2 of each class held out for test (data.test_size=0.2 data.test_seed=0)"
    )
    assert names(images) == before
    assert images.test_labels.tolist() == [0, 1] and len(before["train"]) == 6
    every = {colour("train", label, i) for label in ("cat", "dog") for i in range(4)}
    assert {*before["train"], *before["test"]} == every, "none is in both"
    half = ImageFolder(str(tree), test_size=0.5).read()
    assert half.test_labels.tolist() == [0, 1] * 2
    assert {*before["test"]} <= {*names(half)["test"]}
    others = [names(ImageFolder(str(tree), test_seed=seed).read())["test"] for seed in range(5)]
    assert len({tuple(test) for test in others}) > 1 and others[0] == before["test"]
    keys = {ImageFolder(str(tree), test_seed=seed).key() for seed in range(3)}
    assert len(keys | {ImageFolder(str(tree), test_size=0.5).key()}) == 4


def test_one_image_cannot_be_held_out_and_trained_on(tree: Path) -> None:
    shutil.rmtree(tree / "test")
    for number in (1, 2, 3):
        (tree / "train" / "dog" / f"000{number}.png").unlink()
    with pytest.raises(UserError, match="class dog has one image, and needs one to train on and"):
        ImageFolder(str(tree)).read()


def test_a_class_that_is_called_train(tree: Path) -> None:
    """Beside other folders, and without class folders in it, it is one of a flat tree."""
    shutil.rmtree(tree / "test")
    for label, name in (("cat", "car"), ("dog", "tram")):
        (tree / "train" / label).rename(tree / name)
    (tree / "tram").rename(tree / "train" / "tram")
    for path in (tree / "train" / "tram").iterdir():
        path.rename(tree / "train" / path.name)
    (tree / "train" / "tram").rmdir()
    assert ImageFolder(str(tree)).read().classes == ("car", "train")


@pytest.mark.parametrize("ending", ["", ".zip"])
@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (("test", "val", "valid"), "has val and valid, and both are names of validation images;"),
        (("train", "valid"), "no train/<class>/ folders with images in it"),
        (("test/cat", "test/bird"), "the class folder test/cat is missing|train/bird is missing"),
    ],
)
def test_trees_that_are_not_whole(
    tree: Path, rename: tuple[str, ...], said: str, ending: str
) -> None:
    old, *new = rename
    for name in new:
        shutil.copytree(tree / old, tree / name)
    shutil.rmtree(tree / old)
    with pytest.raises(UserError, match=said):
        ImageFolder(str(pack(tree, ending) if ending else tree)).read()


def test_nothing_but_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match="no train/<class>/ folders with images in it, nor"):
        ImageFolder(str(tmp_path)).read()


@pytest.mark.parametrize("ending", ["", ".tar.gz", ".zip"])
@pytest.mark.parametrize(
    "hidden",
    [
        "train/.ipynb_checkpoints/0000.png",
        "train/cat/.ipynb_checkpoints/0000.png",
        "train/@eaDir/0000.png",
        "train/cat/@eaDir/0000.png/thumb.png",
        "train/cat/deeper/._0000.png",
        ".cache/train/cat/0000.png",
        ".cache/train/lion/0000.png",
        "__MACOSX/train/cat/0000.png",
        "__MACOSX/train/lion/._0000.png",
    ],
)
def test_what_is_hidden_is_left_out(tree: Path, hidden: str, ending: str) -> None:
    before = ImageFolder(str(tree)).key()
    (tree / hidden).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIZE, SIZE)).save(tree / hidden)
    check(ImageFolder(str(pack(tree, ending) if ending else tree)).read())
    assert ImageFolder(str(tree)).key() == before


@pytest.mark.parametrize("ending", [".tar.gz", ".zip"])
def test_an_archive_of_two_trees(tree: Path, ending: str) -> None:
    shutil.copytree(tree / "train", tree / "copy" / "train")
    with pytest.raises(
        UserError, match=r"has train and test folders in two places, \S*copy and \S+, .*; pack"
    ):
        ImageFolder(str(pack(tree, ending))).read()


def test_an_image_twice_in_an_archive(tree: Path) -> None:
    archive = pack(tree, ".tar")
    with tarfile.open(archive, "a") as file:
        file.add(tree / "train" / "cat" / "0001.png", "./pets/train/cat/0001.png")
    with pytest.raises(UserError, match="holds pets/train/cat/0001.png twice"):
        ImageFolder(str(archive)).read()


def test_linked_folders_and_images(tree: Path, tmp_path: Path) -> None:
    """They are images of the set, and it changes with them."""
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tree / "train" / "cat", elsewhere / "cats")
    (elsewhere / "more").mkdir()
    shutil.move(elsewhere / "cats" / "0003.png", elsewhere / "more" / "0003.png")
    (tree / "train" / "cat").symlink_to(elsewhere / "cats")
    (elsewhere / "cats" / "x").symlink_to(elsewhere / "more")
    shutil.move(tree / "train" / "dog" / "0000.png", elsewhere / "dog.png")
    (tree / "train" / "dog" / "0000.png").symlink_to(elsewhere / "dog.png")
    check(ImageFolder(str(tree)).read())
    before = ImageFolder(str(tree)).key()
    Image.new("RGB", (SIZE, SIZE)).save(elsewhere / "more" / "0004.png")
    assert ImageFolder(str(tree)).key() != before
    assert len(ImageFolder(str(tree)).read().train_images) == 9


@pytest.mark.parametrize("name", ["train/cat/gone.png", "train/cat/gone", "train/bird"])
@pytest.mark.parametrize("target", ["nowhere", "self"])
def test_a_link_that_leads_nowhere(tree: Path, name: str, target: str) -> None:
    (tree / name).symlink_to(tree / name if target == "self" else tree / "nowhere")
    for ask in (ImageFolder(str(tree)).key, ImageFolder(str(tree)).read):
        with pytest.raises(UserError, match=f"{name}: a link that leads nowhere .*; mend or"):
            ask()


def test_a_link_back(tree: Path) -> None:
    (tree / "train" / "cat" / "back").symlink_to("..")
    for ask in (ImageFolder(str(tree)).key, ImageFolder(str(tree)).read):
        with pytest.raises(UserError, match="cat/back/cat: a link back to a folder that it is in"):
            ask()


@pytest.mark.parametrize("hard", [True, False])
def test_a_link_in_a_tar_is_no_image(tree: Path, hard: bool) -> None:
    linked = tree / "train" / "cat" / "0009.png"
    linked.hardlink_to(tree / "train" / "cat" / "0000.png")
    if not hard:
        linked.unlink()
        linked.symlink_to("0000.png")
    with pytest.raises(UserError, match="cat/000[09].png is a link and not an image; pack what"):
        ImageFolder(str(pack(tree, ".tar"))).read()


def test_a_zip_with_a_password(tree: Path) -> None:
    archive = pack(tree, ".zip")
    raw = bytearray(archive.read_bytes())
    at = -1
    while (at := raw.find(b"PK\x01\x02", at + 1)) >= 0:  # each member in the archive's directory
        raw[at + 8] |= 1  # its flags: encrypted
    archive.write_bytes(raw)
    with pytest.raises(UserError, match="is encrypted; unpack the archive and name the folder"):
        ImageFolder(str(archive)).read()


@pytest.mark.parametrize("ending", ["", ".zip"])
def test_a_single_class(tree: Path, ending: str) -> None:
    for split in ("train", "test"):
        shutil.rmtree(tree / split / "dog")
    root = pack(tree, ending) if ending else tree
    with pytest.raises(UserError, match="one class, cat, leaves nothing to tell apart; train and"):
        ImageFolder(str(root)).read()


def test_a_single_class_of_a_flat_folder(tree: Path) -> None:
    """Where data.root is one folder too high, that is said, but not where there is no other."""
    shutil.rmtree(tree / "train" / "dog")
    with pytest.raises(UserError, match=r"for each of two classes or more$"):
        ImageFolder(str(tree / "train")).read()
    (tree / "train").rename(tree / "all")
    (tree / "all").rename(tree / "test" / "cat" / "train")
    shutil.rmtree(tree / "test" / "dog")
    with pytest.raises(UserError, match=r"or more; data.root=.*/test/cat has them$"):
        ImageFolder(str(tree / "test")).read()


def test_sizes(tree: Path) -> None:
    Image.new("RGB", (12, 9), (1, 2, 3)).save(tree / "train" / "dog" / "0000.png")
    with pytest.raises(
        UserError, match="dog/0000.png has 12x9 px where 8x8 is expected; data.image_size=8"
    ):
        ImageFolder(str(tree)).read()
    assert ImageFolder(str(tree), image_size=16).read().train_images.shape == (8, 16, 16, 3)


def test_images_that_are_not_square(tree: Path) -> None:
    """Half white, half black: squashed, both halves are there; cropped, the middle."""
    wide = Image.new("RGB", (24, 12), "black")
    wide.paste("white", (0, 0, 6, 12))
    wide.save(tree / "train" / "dog" / "0000.png")
    squashed = ImageFolder(str(tree), 12).read()
    cropped = ImageFolder(str(tree), 12, "crop").read()
    assert squashed.layout == (
        "train/test; 1 of 12 images squashed to squares (data.resize=squash)"
    )
    assert "cropped to squares (data.resize=crop)" in cropped.layout
    assert squashed.train_images[1, 6, 0].tolist() == [255] * 3
    assert cropped.train_images[1].max() == 0
    assert ImageFolder(str(tree), 12).key() != ImageFolder(str(tree), 12, "crop").key()


def test_grey_images_are_said_to_be(tree: Path) -> None:
    for path in tree.rglob("*.png"):
        Image.open(path).convert("I;16" if path.stem == "0000" else "L").save(path)
    images = ImageFolder(str(tree)).read()
    assert images.layout == "train/test; all images are grey"
    assert np.array_equal(images.grey().train_images, images.train_images)


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
    """A pipe, a name that is no text; links have tests of their own."""
    before = ImageFolder(str(tree)).key()
    cats = tree / "train" / "cat"
    os.mkfifo(cats / "pipe.png")
    Path(os.fsdecode(os.fsencode(cats) + b"/\xff.txt")).write_text("no image")
    assert ImageFolder(str(tree)).key() == before, "neither is an image"
    check(ImageFolder(str(tree)).read())


def test_the_folder_above_is_named(tree: Path) -> None:
    with pytest.raises(UserError, match=rf"one class, pets, .*; data.root={tree} has them"):
        ImageFolder(str(tree.parent)).read()
