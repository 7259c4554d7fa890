"""A hundred damaged and hostile files, given to prediction and to the data source in one process:
the right result or one line; nothing is run, and nothing written."""

import io
import os
import pickle
import shutil
import socket
import sys
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.data.archives import is_archive
from cifarlab.data.pictures import find
from cifarlab.data.sources import ImageFolder
from cifarlab.data.synthetic import draw
from cifarlab.use.files import predict_files, write_csv
from tests.data.test_sources import pack
from tests.test_reading import png

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".gif": "GIF", ".tif": "TIFF", ".bmp": "BMP",
    ".webp": "WEBP", ".ppm": "PPM", ".ico": "ICO", ".tga": "TGA", ".jp2": "JPEG2000",
}  # fmt: skip
PIXELS = draw(1, seed=3)[0][0]
IMAGE = Image.fromarray(PIXELS)


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("touch it-ran",)


def stored(format: str) -> bytes:
    file = io.BytesIO()
    IMAGE.save(file, format)
    return file.getvalue()


def zipped(names: list[str], data: bytes, **flags: int) -> bytes:
    """flags: attributes of the members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name twice
        for name in names:
            info = zipfile.ZipInfo(name)
            for key, value in flags.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    return file.getvalue()


def tarred(names: list[str], data: bytes, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            info.size = len(data) if kind == tarfile.REGTYPE else 0
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def harmed(whole: bytes, random: np.random.RandomState) -> Iterator[bytes]:
    """Cut short, and with bytes changed, six of them."""
    for share in (0.3, 0.8):
        yield whole[: int(len(whole) * share)]
    for count in (1, 4, 16, 64):
        damaged = bytearray(whole)
        for place in random.randint(0, len(whole), count):
            damaged[place] = random.randint(256)
        yield bytes(damaged)


def objects() -> bytes:
    file = io.BytesIO()
    np.savez(file, images=np.array([Evil()], dtype=object))
    return file.getvalue()


WHOLE = stored("PNG")
ODD: dict[str, Callable[[], bytes]] = {
    "empty.png": lambda: b"",
    "text.png": lambda: b"no image at all",
    "huge.png": lambda: png(60_000, 60_000),
    "pickle.png": lambda: pickle.dumps(Evil()),
    "objects.npz.png": objects,
    "program.png": lambda: stored("EPS"),
    "drawing.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>x</script></svg>',
    "=1+1.png": lambda: WHOLE,
    "$\\frac$.png": lambda: WHOLE,
    "escape\x1b[31m\n\r\t.png": lambda: WHOLE,
    os.fsdecode(b"bytes\xff\xfe.png"): lambda: WHOLE,
    "png.zip": lambda: WHOLE,
    "zip.png": lambda: zipped(["x.png"], WHOLE),
    "tar.zip": lambda: tarred(["x.png"], WHOLE),
    "zip.tar": lambda: zipped(["x.png"], WHOLE),
    "empty.zip": lambda: b"",
    "empty.tar.xz": lambda: b"",
    "absolute.zip": lambda: zipped(["/tmp/train/a/absolute.png", "C:\\train\\a\\b.png"], WHOLE),
    "above.zip": lambda: zipped(["../../train/../../above.png", "train/../x/above.png"], WHOLE),
    "links.zip": lambda: zipped(["train/a/x.png"], b"/etc/passwd", external_attr=0o120777 << 16),
    "nameless.zip": lambda: zipped([""], WHOLE),
    "twice.zip": lambda: zipped(["train/a/x.png"] * 3, WHOLE),
    "encrypted.zip": lambda: zipped(["train/a/x.png"], WHOLE).replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    ),
    "nested.zip": lambda: zipped(["train/a/x.zip", "y.png"], zipped(["x.png"], WHOLE)),
    "control.zip": lambda: zipped(["train/a\x1b[2J/x\n\x07.png", "train//x.png", "."], WHOLE),
    "long.zip": lambda: zipped([f"train/{'a' * 10_000}/{'x' * 10_000}.png"], WHOLE),
    "objects.zip": lambda: zipped(["train/a/x.png"], objects()),
    "absolute.tar": lambda: tarred(["/tmp/train/a/absolute.png", "/"], WHOLE),
    "above.tar": lambda: tarred(["../../train/../../above.png", "train/../x/above.png"], WHOLE),
    "links.tar": lambda: tarred(["train/a/x.png"], b"", tarfile.SYMTYPE, "/etc/passwd"),
    "hard.tar": lambda: tarred(["train/a/x.png"], b"", tarfile.LNKTYPE, "/etc/passwd"),
    "pipe.tar": lambda: tarred(["train/a/x.png"], b"", tarfile.FIFOTYPE),
    "device.tar": lambda: tarred(["train/a/x.png"], b"", tarfile.CHRTYPE),
    "long.tar": lambda: tarred([f"train/a/{'x' * 10_000}.png"], WHOLE),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of them, the same ones each time."""
    folder, random = tmp_path_factory.mktemp("hostile"), np.random.RandomState(0)
    for ending, format in FORMATS.items():
        for number, data in enumerate(harmed(stored(format), random)):
            (folder / f"{number}{ending}").write_bytes(data)
    tree = folder / "pets"
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (tree / split / label).mkdir(parents=True)
            IMAGE.save(tree / split / label / "x.png")
    for ending in (".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"):
        whole = pack(tree, ending)
        data = whole.read_bytes()
        whole.unlink()
        for number, damaged in enumerate(harmed(data, random)):
            (folder / f"{number}{ending}").write_bytes(damaged)
    shutil.rmtree(tree)
    for name, make in ODD.items():
        (folder / name).write_bytes(make())
    os.mkfifo(folder / "pipe.png")
    os.mkfifo(folder / "pipe.zip")
    (folder / "folder.png").mkdir()
    (folder / "folder.zip").mkdir()
    (folder / "passwd.png").symlink_to("/etc/passwd")
    (folder / "nowhere.png").symlink_to("nowhere")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    assert len(list(folder.iterdir())) > 130
    return folder


class Watch:
    """What this process does while it is ``on``: files opened to be written, things run, asked or
    unpickled. Python keeps the hook for ever, so there is one."""

    on, seen = False, []  # noqa: RUF012
    RUNS = ("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen",
            "socket.connect", "pickle.find_class", "os.mkdir", "os.rename", "os.symlink",
            "os.remove")  # fmt: skip

    @classmethod
    def hook(cls, event: str, arguments: tuple) -> None:
        if not cls.on:
            return
        writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
        if event in cls.RUNS or (event == "open" and (arguments[2] or 0) & writes):
            cls.seen.append((event, arguments))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Watch]]:
    if not hasattr(Watch, "is_hooked"):
        sys.addaudithook(Watch.hook)
        Watch.is_hooked = True
    monkeypatch.chdir(tmp_path)
    Watch.seen = []
    yield Watch
    Watch.on = False


def test_the_watch_sees(watched: type[Watch]) -> None:
    """What the tests below say does not happen."""
    watched.on = True
    pickle.loads(pickle.dumps(Path("x")))
    Path("x").write_text("")
    os.system("true")
    watched.on = False
    assert [event for event, _ in watched.seen] == ["pickle.find_class", "open", "os.system"]


def check_line(error: UserError) -> None:
    assert str(error).isprintable() and 10 < len(str(error)) < 45_000


@pytest.mark.filterwarnings("ignore:::PIL")
def test_prediction(hostile: Path, watched: type[Watch], trained: Path, tmp_path: Path) -> None:
    model = cifarlab.load(trained, device="cpu")
    expected = model.predict(PIXELS)
    named = [hostile, *hostile.glob("*.png"), hostile / "pipe.zip"]
    named = [path for path in named if not path.is_dir() or path == hostile]
    assert find([hostile])  # what imports more is over
    skipped: list[UserError] = []
    watched.on = True
    files = [path for name in named if os.path.lexists(name) for path in found(name, skipped)]
    predicted = list(predict_files(model, files, 16, skipped.append))
    watched.on = False
    assert watched.seen == []
    for error in skipped:
        check_line(error)
    assert len({item.path for item in predicted}) + len(skipped) > 100
    shown = {item.path.removeprefix(f"{hostile}/"): item for item in predicted}
    right = ["=1+1.png", "$\\frac$.png", "escape\x1b[31m\n\r\t.png"]
    right += [os.fsdecode(b"bytes\xff\xfe.png"), "twice.zip/train/a/x.png"]
    for name in right:
        assert np.array_equal(shown[name].pixels, PIXELS), name
        assert shown[name].prediction.label == expected.label
    told = " ".join(map(str, skipped))
    refused = "empty.png text.png pickle.png program.png objects.npz.png huge.png passwd.png "
    refused += "pipe.png pipe.zip zero.png nowhere.png png.zip zip.png tar.zip zip.tar links.zip "
    refused += "encrypted.zip nameless.zip"
    for name in refused.split():
        assert f"{hostile}/{name}" in told, name
        assert name not in shown
    write_csv(tmp_path / "p.csv", [(i.path, i.prediction) for i in predicted], len(model.classes))
    assert (tmp_path / "p.csv").read_text().count("\n") > len(predicted)
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"], "nothing else is written"


def found(name: Path, skipped: list[UserError]) -> list[Path]:
    try:
        return find([name])
    except UserError as error:
        skipped.append(error)
        return []


@pytest.mark.filterwarnings("ignore:::PIL")
def test_the_data_source(hostile: Path, watched: type[Watch], tmp_path: Path) -> None:
    """Archives as they are; images, each as the one bad one of a folder that is read otherwise."""
    told = 0
    good = tmp_path / "pets"
    for split in ("train", "test"):
        for label in ("a", "b"):
            (good / split / label).mkdir(parents=True)
            IMAGE.save(good / split / label / "x.png")
    before = sorted(tmp_path.rglob("*"))
    assert len(ImageFolder(str(good)).read().train_images) == 2
    for path in sorted(hostile.iterdir()):
        place = path
        if not is_archive(path):
            place = good
            (good / "train" / "a" / path.name).symlink_to(path)
        watched.on = True
        try:
            images = ImageFolder(str(place)).read()
            size = images.train_images.shape[1:]
            assert size[2] == 3 and len(images.train_images) in (2, 3)
        except UserError as error:
            check_line(error)
            told += 1
        finally:
            watched.on = False
            (good / "train" / "a" / path.name).unlink(missing_ok=True)
    assert watched.seen == [] and told > 80
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_names_that_are_no_names(watched: type[Watch]) -> None:
    names = [
        "x" * 10_000,
        "x/" * 5_000,
        "\0",
        "a\0b.png",
        "~nobody-of-this-name/x.png",
        "[",
        "**/**/",
    ]
    names += ["\udcff", "\x1b[2J", " ", "{", "/dev/zero/x", "/proc/self/mem/x", "*" * 300]
    watched.on = True
    for name in names:
        for read in (find, lambda name: ImageFolder(name[0])):
            with pytest.raises(UserError) as raised:
                read([name])
            assert str(raised.value).isprintable(), name
    watched.on = False
    assert watched.seen == []


def test_a_socket_is_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Path
) -> None:
    """Nor does anything wait for what never comes: 20 s are enough for all of these."""
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("x.png")
        os.mkfifo("y.png")
        skipped: list[UserError] = []
        model = cifarlab.load(trained, device="cpu")
        done = threading.Thread(
            target=lambda: list(
                predict_files(model, find(["x.png", "y.png", "/dev/zero"]), 8, skipped.append)
            ),
            daemon=True,
        )
        done.start()
        done.join(20)
        assert not done.is_alive()
    kinds = ("x.png: cannot be read (a socket", "y.png: cannot be read (a named pipe")
    for error, start in zip(skipped, (*kinds, "/dev/zero: cannot be read (a device"), strict=True):
        assert str(error).startswith(start)
