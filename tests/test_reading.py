"""Files that declare more than can be meant, or are no files: one line, before they fill memory."""

import bz2
import io
import lzma
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from PIL import Image

from cifarlab.base import reading
from cifarlab.base.arrays import read_arrays
from cifarlab.base.cli import _explain as explain
from cifarlab.base.errors import UserError, printable
from cifarlab.base.weights import read_weights
from cifarlab.data.archives import members
from cifarlab.data.cache import cached
from cifarlab.data.cifar import CIFAR10
from cifarlab.data.pictures import contents, decode
from cifarlab.data.sources import ImageFolder
from cifarlab.store import predictions
from cifarlab.store.checkpoint import read_checkpoint
from cifarlab.store.record import RunRecord
from cifarlab.store.run import stored_config

MB = 1 << 20
ZEROS = bytes(MB)


def png(width: int, height: int) -> bytes:
    """The beginning of one: what it declares, and no pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 10) + b"IDAT"


def line(call: Callable[[], object]) -> str:
    with pytest.raises(UserError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file may have 1 MB (10**6 bytes), and a packed one may unpack to that."""
    monkeypatch.setattr(reading, "MAX_BYTES", 10**6)
    monkeypatch.setattr("cifarlab.data.archives.MAX_BYTES", 10**6)


# Kinds of files


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("x.png", lambda path: decode(path, "x.png")),
        ("x.zip", lambda path: list(contents(path))),
        ("x.tar.xz", lambda path: list(contents(path))),
        ("x.npz", read_arrays),
        ("predictions.npz", lambda path: predictions.load(path.parent)),
        ("x.ckpt", read_checkpoint),
        ("x.pth", lambda path: read_weights(path, "no weights")),
        ("result.json", lambda path: RunRecord.load(path.parent)),
        ("config.yaml", lambda path: stored_config(path.parent)),
        (
            "cifar-10-batches-bin/data_batch_1.bin",
            lambda path: CIFAR10(str(path.parents[1]), download=False).read(),
        ),
    ],
)
def test_what_is_no_file_is_not_read(
    kind: str,
    name: str,
    read: Callable[[Path], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        monkeypatch.chdir(path.parent)  # an address has at most 107 bytes
        server = socket.socket(socket.AF_UNIX)
        server.bind(path.name)
        server.close()
    named = {"pipe": "a named pipe"}.get(kind, f"a {kind}")
    said = line(lambda: read(path))
    assert f"{path}: cannot be read ({named}, where a file is expected)" in said


# Images


@pytest.mark.parametrize(("width", "height"), [(13_000, 13_000), (9_460, 9_460), (65_535, 65_535)])
def test_an_image_of_too_many_pixels_is_not_decoded(width: int, height: int) -> None:
    """Below and above where Pillow itself refuses."""
    said = line(lambda: decode(io.BytesIO(png(width, height)), "x.png"))
    assert said == (
        f"x.png is not an image that can be read ({width * height:,} pixels; at most 89,478,485 "
        "are, so make it smaller first)"
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_nor_where_pillows_warning_is_ignored() -> None:
    said = line(lambda: decode(io.BytesIO(png(13_000, 13_000)), "x.png"))
    assert "(169,000,000 pixels; at most 89,478,485 are" in said


def test_a_program_is_no_image(tmp_path: Path) -> None:
    """Pillow would have Ghostscript run it."""
    Image.new("RGB", (4, 4)).save(tmp_path / "x.eps")
    for name in ("x.eps", "x.png"):
        said = line(lambda name=name: decode((tmp_path / "x.eps").rename(tmp_path / name), name))
        assert "is not an image that can be read (cannot identify image file" in said
        (tmp_path / name).rename(tmp_path / "x.eps")


# Archives


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_a_zip_that_declares_too_much(tmp_path: Path) -> None:
    """40 members of 16 MB from 650 kB: told before one is read."""
    path = zipped(tmp_path / "x.zip", {f"{i}.bmp": bytes(16 * MB) for i in range(40)})
    assert path.stat().st_size < MB
    read = []
    said = line(lambda: read.extend(contents(path)))
    assert said.startswith(f"{path}: unpacks to 671.1 MB or more from ") and read == []
    assert "kB; the limit is 100 times that, or 500.0 MB if that is more; if it is" in said


def lying(path: Path, declared: int) -> Path:
    """A zip whose one member says that it unpacks to less than it does."""
    whole = bytearray(zipped(path, {"x.bmp": 64 * ZEROS}).read_bytes())
    size, said = struct.pack("<I", len(64 * ZEROS)), struct.pack("<I", declared)
    assert whole.count(size) == 2
    path.write_bytes(whole.replace(size, said))
    return path


def test_a_zip_that_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is unpacked than it declares and the pieces that zipfile reads."""
    path, unpacked = lying(tmp_path / "x.zip", 1000), []
    read1 = zipfile.ZipExtFile._read1

    def counted(self: zipfile.ZipExtFile, n: int) -> bytes:
        unpacked.append(n)
        return read1(self, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", counted)
    assert "the archive is damaged" in line(lambda: list(contents(path)))
    assert unpacked and max(unpacked) <= 1 << 16


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_cannot_be_read_in_pieces(method: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"x.bmp": ZEROS}, method)
    assert f"x.bmp is packed by method {method} where 0 and 8" in line(lambda: list(contents(path)))


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", {"x.png": b"secret"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[6] |= 1  # flags of the member and of the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "x.png is encrypted; unpack the archive" in line(lambda: list(contents(path)))


def tarred(files: dict[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PACKERS = {
    ".tar.xz": lzma.compress,
    ".tar.bz2": bz2.compress,
    ".tar.gz": lambda raw: zlib.compress(raw, wbits=31),
    ".tar.zst": lambda raw: zstandard.ZstdCompressor().compress(raw),
}


@pytest.mark.parametrize("ending", PACKERS)
def test_a_tar_that_unpacks_to_too_much(ending: str, tmp_path: Path, little: None) -> None:
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKERS[ending](tarred({f"{i}.bmp": bytes(400_000) for i in range(60)})))
    read: list = []
    said = line(lambda: read.extend(contents(path)))
    assert said.startswith(f"{path}: unpacks to ") and " or more from " in said
    assert len(read) < 30, "what comes before the limit"


@pytest.mark.parametrize("ending", [".tar", ".tar.xz"])
def test_a_tar_that_declares_too_much(ending: str, tmp_path: Path) -> None:
    """A member of 8 GB in a header, and nothing behind it."""
    info = tarfile.TarInfo("x.bmp")
    info.size = 8 << 30
    path = tmp_path / f"x{ending}"
    path.write_bytes(PACKERS.get(ending, bytes)(info.tobuf(tarfile.GNU_FORMAT)))
    assert f"{path}: unpacks to 8.6 GB or more from" in line(lambda: list(contents(path)))


def test_one_large_file_in_a_large_archive(tmp_path: Path, little: None) -> None:
    data = np.random.RandomState(0).bytes(1_100_000)
    path = tmp_path / "x.tar"
    path.write_bytes(tarred({"film.mp4": data, "x.png": b"small", "large.png": data}))
    read: list = []
    said = line(lambda: read.extend(contents(path)))
    assert [name for name, _ in read] == [f"{path}/x.png"], "what is not wanted may be large"
    assert said == f"{path}: large.png: 1.1 MB; at most 1.0 MB of one file are read"
    path = zipped(tmp_path / "x.zip", {"x.png": b"small", "large.png": data})
    assert said.replace("x.tar", "x.zip") == line(lambda: list(contents(path)))


def test_a_tar_header_that_goes_on_for_ever(tmp_path: Path, little: None) -> None:
    """tarfile takes a long name into memory before there is a member to look at."""
    path = tmp_path / "x.tar"
    path.write_bytes(tarred({"x" * 1_500_000: b""}, tarfile.PAX_FORMAT))
    assert "(a header of more than 1.0 MB)" in line(lambda: list(members(path, lambda _: True)))


def test_an_honest_archive_is_read(tmp_path: Path) -> None:
    """Flat images in an archive of one colour pack well; that is no reason to refuse them."""
    image = io.BytesIO()
    Image.new("RGB", (1000, 1000)).save(image, "BMP")
    path = tmp_path / "x.tar.xz"
    path.write_bytes(lzma.compress(tarred({f"{i}.bmp": image.getvalue() for i in range(20)})))
    assert path.stat().st_size * 1000 < 20 * len(image.getvalue())
    assert [decode(file, name).size for name, file in contents(path)] == [(1000, 1000)] * 20


# Arrays


def npz(path: Path, shape: str, data: bytes = b"", method: int = zipfile.ZIP_STORED) -> Path:
    """One array whose header says ``shape``."""
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    head += b" " * (118 - len(head) - 1) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data
    return zipped(path, {"val_logits.npy": array, "train_images.npy": array}, method)


@pytest.mark.parametrize(
    "shape", ["(2473901162496,)", "(1572864, 1572864)", "(2, 9223372036854775808)"]
)
def test_arrays_that_declare_what_they_have_not(shape: str, tmp_path: Path) -> None:
    said = line(lambda: predictions.load(npz(tmp_path / "predictions.npz", shape).parent))
    assert said.startswith(
        f"{tmp_path}/predictions.npz: damaged (ValueError: val_logits.npy declares"
    )
    assert " TB and has 0 bytes)" in said
    npz(tmp_path / "key.npz", shape)
    said = line(lambda: cached(tmp_path, "key", lambda: pytest.fail("made again")))
    assert "the cached images are damaged" in said and "delete this file" in said


def test_arrays_that_unpack_to_too_much(tmp_path: Path, little: None) -> None:
    path = npz(tmp_path / "x.npz", "(500000,)", bytes(4_000_000), zipfile.ZIP_DEFLATED)
    said = line(lambda: read_arrays(path))
    assert said.startswith(f"{path}: unpacks to 8.0 MB or more from 8.")


def test_arrays_with_objects(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "evil"),)

    np.savez(tmp_path / "predictions.npz", val_logits=np.array([Evil()], dtype=object))
    assert "damaged (ValueError: Object arrays cannot" in line(lambda: predictions.load(tmp_path))
    assert not (tmp_path / "evil").exists()


# Memory


def test_images_that_do_not_fit_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("train", "test"):
        for number in range(5):
            folder = tmp_path / "pets" / split / ("cat", "dog")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.new("RGB", (8, 8))
            image.save(folder / f"{number}.png")
    free = 2 * 10 * 8 * 8 * 3
    source = ImageFolder(str(tmp_path / "pets"))
    monkeypatch.setattr("cifarlab.data.sources.free_memory", lambda: free)
    assert len(source.read().train_images) == 5
    monkeypatch.setattr("cifarlab.data.sources.free_memory", lambda: free - 1)
    decoded: list = []
    monkeypatch.setattr(
        "cifarlab.data.sources._decode",
        lambda *_: decoded.append(1) or Image.new("RGB", (8, 8)),
    )
    said = line(source.read)
    assert said == (
        f"{tmp_path}/pets: at least 10 images of 8x8 pixels: 3.8 kB of memory are needed, and "
        "3.8 kB are free; a smaller data.image_size, or fewer images, take less"
    )
    assert len(decoded) == 1, "one, to see its size"
    said = line(ImageFolder(str(tmp_path / "pets"), image_size=30_000).read)
    assert "10 images of 30000x30000 pixels: 54.0 GB of memory" in said and len(decoded) == 1
    packed = tmp_path / "pets.tar"
    with tarfile.open(packed, "w") as file:
        file.add(tmp_path / "pets", "pets")
    said = line(ImageFolder(str(packed), image_size=8).read)
    assert "at least 1" in said and 5 < len(decoded) <= 10, "an archive's number is not known"


def test_a_cache_that_does_not_fit_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "key.npz", train_images=np.zeros(1000, np.uint8))
    monkeypatch.setattr("cifarlab.base.arrays.free_memory", lambda: 900)
    said = line(lambda: cached(tmp_path, "key", lambda: pytest.fail("made again")))
    assert said == f"{tmp_path}/key.npz: 1.1 kB of memory are needed, and 900 bytes are free"


@pytest.mark.parametrize(
    ("allocate", "said"),
    [
        (lambda: torch.zeros(1 << 43), "35.2 TB asked for"),
        (lambda: torch.zeros(1 << 62), "an array of [4611686018427387904] asked for"),
        (lambda: torch.zeros(10**30), "more than can be counted asked for"),
        (lambda: np.zeros(1 << 43), "64.0 TiB asked for"),
        (lambda: bytearray(1 << 60), "more than there is asked for"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(
    allocate: Callable[[], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises((MemoryError, RuntimeError, TypeError)) as raised:
        allocate()
    told = explain(raised.value, tmp_path)
    assert told is not None and told.startswith(f"out of memory: {said} at once, and ")
    assert told.endswith(" a smaller model, batch_size or image size takes less")


def test_cuda_out_of_memory(tmp_path: Path) -> None:
    text = (
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.25 GiB"
    )
    told = explain(torch.OutOfMemoryError(text), tmp_path)
    assert told is not None and told.startswith("out of memory: 20.00 GiB asked for at once")
    assert explain(RuntimeError("something else"), tmp_path) is None


def test_a_model_that_does_not_fit(train: Callable) -> None:
    done = train("data=synthetic", "data.num_train=300", "model=mlp", "model.hidden=[100000000]")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: out of memory: 1.2 TB asked for at once, and ")
    assert done.stderr.count("\n") == 1


def test_sizes_in_words() -> None:
    sizes = (0, 999, 1500, 3_600_000_000, 18 << 40, 10**18)
    words = ["0 bytes", "999 bytes", "1.5 kB", "3.6 GB", "19.8 TB", "1,000,000.0 TB"]
    assert [reading.in_bytes(size) for size in sizes] == words
    assert printable("a\x1b[31m\udcff\u202eé 犬.png") == "a\\x1b[31m\\udcff\\u202eé 犬.png"
