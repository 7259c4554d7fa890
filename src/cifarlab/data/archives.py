"""The files of an image tree, read straight from a folder or an archive, in no particular order."""

import bz2
import functools
import gzip
import io
import lzma
import os
import stat
import struct
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
from cifarlab.base.reading import (
    MAX_BYTES,
    check_bytes,
    check_unpacked,
    in_bytes,
    most_unpacked,
    size_of,
)

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
    ValueError,
    IndexError,  # zipfile, of a member without a name
    struct.error,
    NotImplementedError,  # zipfile, where a header names an unknown version
)
_TAR_BLOCK = 512
_PIECE = 1 << 16  # bytes unpacked at once
_ENCRYPTED = 1  # of a zip member's flags
# What folders of a tree are called, and which images are in them
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# Kept beside images by macOS, network drives and Windows; what begins with a dot is hidden anyway
_HIDDEN = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information")


@dataclass(frozen=True)
class File:
    """One image of class ``label``, or, with no ``data``, the bare folder of that class.

    part: the name of the folder that the class folder is in, of ``PARTS``; empty in a flat tree.
    inside: the image's path below its class folder.
    """

    part: str
    label: str
    inside: str
    name: str
    data: Path | io.BytesIO | None


def folder_files(root: Path) -> Iterator[File]:
    """Every ``train/<class>/**``, ``valid/<class>/**`` and ``test/<class>/**`` image below
    ``root``; every ``<class>/**`` image of a flat tree."""
    for part, folder, path, found in placed(root):
        data = path if stat.S_ISREG(found.st_mode) else None
        inside = path.relative_to(folder).as_posix()
        yield File(part, folder.name, inside, path.relative_to(root).as_posix(), data)


def placed(root: Path) -> Iterator[tuple[str, Path, Path, os.stat_result]]:
    """Part, class folder, path and stat of every class folder below ``root`` and of every image in
    it.

    Links are followed; what is hidden is left out. Raises ``UserError`` for a link that leads
    nowhere or back to a folder that it is in.
    """
    for part in folder_parts(root):
        for folder, found in _entries(root / part):
            if stat.S_ISDIR(found.st_mode):
                yield part, folder, folder, found
                for path, of_image in _images_below(folder):
                    yield part, folder, path, of_image


def folder_parts(root: Path) -> list[str]:
    """The folders of ``root`` that hold class folders; of a flat tree an empty name alone.

    A tree is flat if none of its folders is called as one of ``PARTS``, or if those that are hold
    no folders and stand beside others: then they are classes.
    """
    folders = [path for path, found in _entries(root) if stat.S_ISDIR(found.st_mode)]
    parts = [path for path in folders if path.name in PARTS]
    if len(parts) < len(folders) and not any(map(_has_folders, parts)):
        return [""]
    return [name for name in PARTS if name in {path.name for path in parts}]


def archive_files(archive: Path) -> Iterator[File]:
    """As ``folder_files``, wherever in the archive the tree lies.

    Raises ``UserError`` as ``members``, and if there are several such trees, or an image twice:
    they would be taken for one.
    """
    flat = _flat_root(archive)
    first: PurePosixPath | None = None
    seen: set[str] = set()
    for name, data in members(archive, is_image):
        file = _placed(name, data) if flat is None else _in_flat(name, data, flat)
        if file is None:
            continue
        parts = PurePosixPath(name).parts
        if flat is None:
            tree = PurePosixPath(*parts[: parts.index(file.part)])
            if first is not None and tree != first:
                raise UserError(
                    f"{archive}: has train and test folders in two places, {first} and {tree}, "
                    "which would be taken for one; pack one of them"
                )
            first = tree
        if file.data is not None and file.name in seen:
            raise UserError(f"{archive}: holds {file.name} twice; pack each image once")
        seen.add(file.name)
        yield file


def members(archive: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes | None]]:
    """Name and bytes of the files in an archive whose names are ``wanted``, and ``None`` for each
    folder, in the archive's order.

    Nothing is written. Raises ``UserError`` if the archive is damaged or ends before its end, has a
    password or a link in place of an image, and, before that fills the memory, if it or a file in
    it unpacks to more than can be meant.
    """
    lower = archive.name.lower()
    try:
        read = _zip_members if lower.endswith(".zip") else _tar_members
        yield from read(archive, size_of(archive), wanted)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(
            f"{archive}: the archive is damaged or cut short ({error or type(error).__name__}); "
            "fetch it again"
        ) from error


def is_archive(path: Path) -> bool:
    return path.name.lower().endswith(ARCHIVES)


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image which Pillow can open, and not hidden."""
    kind = Image.registered_extensions().get(PurePosixPath(name).suffix.lower())
    return kind in formats() and not PurePosixPath(name).name.startswith(".")


@functools.cache
def formats() -> tuple[str, ...]:
    """What Pillow opens by itself: EPS is a program, which it would hand to Ghostscript."""
    Image.init()
    return tuple(name for name in Image.OPEN if name != "EPS")


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name, without a path, is one that no user put there."""
    return (name.startswith(".") and name != "..") or name in _HIDDEN


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What is in a folder, by name, and is not hidden, with the stat of what it leads to."""
    with os.scandir(folder) as entries:
        shown = sorted((e for e in entries if not is_hidden(e.name)), key=lambda e: e.name)
    for entry in shown:
        try:
            yield Path(entry.path), entry.stat()
        except OSError as error:
            if not entry.is_symlink():
                raise
            raise UserError(
                f"{entry.path}: a link that leads nowhere ({error.strerror}); mend or delete it"
            ) from error


def _images_below(
    folder: Path, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[Path, os.stat_result]]:
    """above: device and inode of the folders that this one is in."""
    own = folder.stat()
    place = own.st_dev, own.st_ino
    if place in above:
        raise UserError(f"{folder}: a link back to a folder that it is in; delete it")
    for path, found in _entries(folder):
        if stat.S_ISDIR(found.st_mode):
            yield from _images_below(path, above | {place})
        elif stat.S_ISREG(found.st_mode) and is_image(path.name):
            yield path, found


def _has_folders(folder: Path) -> bool:
    return any(stat.S_ISDIR(found.st_mode) for _, found in _entries(folder))


def _placed(name: str, data: bytes | None) -> File | None:
    parts = PurePosixPath(name).parts
    place = next((i for i, part in enumerate(parts) if part in PARTS), None)
    if place is None or any(map(is_hidden, parts)):
        return None
    return _below(parts[place], place + 1, name, data)


def _in_flat(name: str, data: bytes | None, root: PurePosixPath) -> File | None:
    path = PurePosixPath(name)
    if not path.is_relative_to(root) or any(map(is_hidden, path.parts)):
        return None
    return _below("", len(root.parts), name, data)


def _below(part: str, place: int, name: str, data: bytes | None) -> File | None:
    """The file, where the name of the class is its path's part number ``place``."""
    path = PurePosixPath(name)
    inside = PurePosixPath(*path.parts[place + 1 :])
    if len(path.parts) <= place or (data is None) != (inside == PurePosixPath()):
        return None
    content = None if data is None else io.BytesIO(data)
    return File(part, path.parts[place], inside.as_posix(), path.as_posix(), content)


def _flat_root(archive: Path) -> PurePosixPath | None:
    """The folder, in an archive, in which the class folders of a flat tree lie; ``None`` if an
    image is in a part's class folder. Read on its own: what the tree is decides what is decoded."""
    folders: list[tuple[str, ...]] = []

    def in_a_part(name: str) -> bool:
        parts = PurePosixPath(name).parts
        if not is_image(name) or any(map(is_hidden, parts)):
            return False
        folders.append(parts[:-1])
        return _placed(name, b"") is not None

    if any(data is not None for _, data in members(archive, in_a_part)):
        return None
    shared = os.path.commonprefix(folders)  # part by part: these are tuples
    return PurePosixPath(*shared)


def _zip_members(
    archive: Path, packed: int, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes | None]]:
    with zipfile.ZipFile(archive) as file:
        check_unpacked(archive, sum(info.file_size for info in file.infolist()), packed)
        for info in file.infolist():
            if info.is_dir():
                yield info.filename, None
            elif wanted(info.filename):
                yield info.filename, _unzipped(file, info, archive)


def _unzipped(file: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path) -> bytes:
    """One file of a zip, in pieces: read at once, it would be unpacked whole before it is seen to
    be more than was declared. zipfile has no pieces for other compressions."""
    name = f"{archive}: {info.filename}"
    if info.flag_bits & _ENCRYPTED:
        raise UserError(f"{name} is encrypted; unpack the archive and name the folder")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
            f"{name} is packed by method {info.compress_type} where 0 and 8 (deflate) are read; "
            "unpack the archive and name the folder"
        )
    check_bytes(name, info.file_size)
    with file.open(info) as member:
        return b"".join(iter(functools.partial(member.read, _PIECE), b""))


@runtime_checkable
class _Stream(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Unpacked(io.RawIOBase):
    """Passes reads on, as many as can be meant, and remembers the last block: a whole tar file ends
    with zeros, and tarfile takes one that was cut between two members for whole.

    expected: bytes up to which tarfile may read before it has another member, whose header itself
        may declare anything.
    """

    def __init__(self, stream: _Stream, archive: Path, packed: int) -> None:
        self.stream, self.archive, self.packed = stream, archive, packed
        self.last = b""
        self.count, self.expected = 0, MAX_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self.stream.read(size)
        self.last = (self.last + data)[-_TAR_BLOCK:]
        self.count += len(data)
        check_unpacked(self.archive, self.count, self.packed)
        if self.count > self.expected:
            raise tarfile.ReadError(f"a header of more than {in_bytes(MAX_BYTES)}")
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


def _tar_members(
    archive: Path, packed: int, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes | None]]:
    with archive.open("rb") as raw:
        stream = _Unpacked(_OPENERS[archive.suffix.lower()](raw), archive, packed)
        with tarfile.open(fileobj=stream, mode="r|") as file:
            for member in file:
                check_unpacked(archive, member.offset_data + member.size, packed)
                stream.expected = member.offset_data + member.size + MAX_BYTES
                if member.isdir():
                    yield member.name, None
                elif member.isfile() and wanted(member.name):
                    check_bytes(f"{archive}: {member.name}", member.size)
                    data = file.extractfile(member)
                    yield member.name, data.read() if data else b""
                elif wanted(member.name):
                    raise UserError(
                        f"{archive}: {member.name} is a link and not an image; pack what links "
                        "lead to: tar --dereference --hard-dereference"
                    )
        stream.expected = most_unpacked(packed)
        while stream.read(_PIECE):  # to the end, where the compressors keep their checksums
            pass
        if stream.last.strip(b"\0"):
            raise tarfile.ReadError("no end of the archive")
