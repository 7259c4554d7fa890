"""The files of an image tree, read straight from a folder or an archive, in no particular order."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, runtime_checkable

import zstandard
from PIL import Image

from cifarlab.base.errors import UserError

ARCHIVES = (
    ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".zip",
)  # fmt: skip
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    OSError,
    NotImplementedError,  # zipfile, where a header names an unknown compression
)
_TAR_BLOCK = 512


@dataclass(frozen=True)
class File:
    """One image of class ``label``, or, with no ``data``, the bare folder of that class."""

    split: str
    label: str
    name: str
    data: io.BytesIO | None


def folder_files(root: Path) -> Iterator[File]:
    """Every ``train/<class>/**`` and ``test/<class>/**`` image below ``root``."""
    for split in ("train", "test"):
        for folder in sorted((root / split).glob("*/")):
            if folder.name.startswith("."):
                continue
            yield File(split, folder.name, f"{split}/{folder.name}", None)
            for path in sorted(folder.rglob("*")):
                if path.is_file() and is_image(path.name):
                    data = io.BytesIO(path.read_bytes())
                    yield File(split, folder.name, path.relative_to(root).as_posix(), data)


def archive_files(archive: Path) -> Iterator[File]:
    """The same of an archive, wherever in it the ``train`` and ``test`` folders lie.

    Raises ``UserError`` if the archive is damaged or ends before its end.
    """
    for name, data in members(archive):
        if (file := _placed(name, data)) is not None:
            yield file


def members(archive: Path) -> Iterator[tuple[str, bytes | None]]:
    """Name and bytes of everything in an archive, ``None`` for a folder, in the archive's order.

    Raises ``UserError`` if the archive is damaged or ends before its end.
    """
    lower = archive.name.lower()
    try:
        yield from (_zip_members if lower.endswith(".zip") else _tar_members)(archive)
    except _DAMAGE as error:
        raise UserError(
            f"{archive}: the archive is damaged or cut short ({error or type(error).__name__}); "
            "fetch it again"
        ) from error


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image which Pillow can open, and not hidden."""
    known = Image.registered_extensions()
    kind = known.get(PurePosixPath(name).suffix.lower())
    return kind in Image.OPEN and not PurePosixPath(name).name.startswith(".")


def _placed(name: str, data: bytes | None) -> File | None:
    parts = PurePosixPath(name).parts
    place = next((i for i, part in enumerate(parts) if part in ("train", "test")), None)
    if place is None or len(parts) < place + 2 or parts[place + 1].startswith("."):
        return None
    split, label = parts[place : place + 2]
    if data is None:
        return File(split, label, name, None) if len(parts) == place + 2 else None
    if len(parts) == place + 2 or not is_image(parts[-1]):
        return None
    return File(split, label, name, io.BytesIO(data))


def _zip_members(archive: Path) -> Iterator[tuple[str, bytes | None]]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            yield info.filename, None if info.is_dir() else file.read(info)


@runtime_checkable
class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Tail(io.RawIOBase):
    """Passes reads on and remembers the last block: a whole tar file ends with zeros, and tarfile
    takes one that was cut between two members for whole."""

    def __init__(self, stream: _Stream) -> None:
        self.stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.last = (self.last + data)[-_TAR_BLOCK:]
        return data


def _zstd(raw: IO[bytes]) -> _Stream:
    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)


_OPENERS: dict[str, Callable[[IO[bytes]], _Stream]] = {
    ".tar": lambda raw: raw,
    **dict.fromkeys((".gz", ".tgz"), gzip.open),
    **dict.fromkeys((".bz2", ".tbz2"), bz2.open),
    **dict.fromkeys((".xz", ".txz"), lzma.open),
    **dict.fromkeys((".zst", ".tzst"), _zstd),
}


def _tar_members(archive: Path) -> Iterator[tuple[str, bytes | None]]:
    with archive.open("rb") as raw:
        tail = _Tail(_OPENERS[archive.suffix.lower()](raw))
        with tarfile.open(fileobj=tail, mode="r|") as file:
            for member in file:
                if member.isfile():
                    data = file.extractfile(member)
                    yield member.name, data.read() if data else b""
                elif member.isdir():
                    yield member.name, None
        while tail.read(1 << 16):  # to the end, where the compressors keep their checksums
            pass
        if tail.last.strip(b"\0"):
            raise tarfile.ReadError("no end of the archive")
