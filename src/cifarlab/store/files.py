"""Files of a run and of a sweep: written in one step, with a checksum that is checked on reading.

``SHA256SUMS`` in a folder has the SHA-256 of its files, in the format of the tool of that name, so
that anybody can check them: ``sha256sum -c SHA256SUMS``. The sums are not in the files themselves,
since JSON and CSV have no place for them that other programs ignore.

A file and its line in ``SHA256SUMS`` cannot change in one step. So the new sum is written first,
above the sum of the file that is still there, which becomes a comment; then the new file replaces
the old one. Whenever the process is killed, or the power fails, the file has one of the sums in its
lines. A file without a line, as in folders of earlier versions, is not checked.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from filelock import FileLock

from cifarlab.base.errors import UserError
from cifarlab.base.reading import check_bytes, open_regular, size_of

SUMS = "SHA256SUMS"
SUMS_LOCK = f".{SUMS}.lock"  # a search's two processes write into one folder
_WRITTEN: dict[Path, tuple[tuple[int, int, int], str]] = {}  # by this process: state, checksum
_LINE = re.compile(r"(?:# )?([0-9a-f]{64})  (.+)")  # a comment: the version before


def write_atomic(path: Path, text: str, *, summed: bool = False) -> None:
    """Write a text file in one step: a reader, or a crash, finds the old or the new one, never a
    part.

    summed: whether its checksum is kept, too, for what ``read_checked`` reads.
    """
    with written_whole(path, summed=summed) as file:
        file.write(text.encode())


def copy_whole(source: Path, path: Path) -> None:
    """Write ``path`` as a copy of ``source``, a file in the same folder that has a checksum.

    This process must have just written ``source``: its checksum is taken over, not computed anew.
    """
    digest = _sums(path.parent)[source.name][0]
    with written_whole(path, summed=digest) as file, source.open("rb") as original:
        shutil.copyfileobj(original, file, 1 << 20)


@contextlib.contextmanager
def written_whole(path: Path, *, summed: bool | str = False) -> Iterator[IO[bytes]]:
    """A file to write, which replaces ``path`` when it is complete and on the disk.

    If anything fails, the old file stays and nothing is left beside it. If the disk is the cause,
    an ``OSError`` with ``path`` is raised, whatever torch has made of the error.

    summed: as in ``write_atomic``; or the checksum itself, if it is known.
    """
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        if summed:
            digest = summed if isinstance(summed, str) else _digest(Path(temporary))
            with _noted(path, digest):
                Path(temporary).replace(path)
                _WRITTEN[path] = _state(path), digest
        else:
            Path(temporary).replace(path)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        link: BaseException | None = error
        while link is not None and isinstance(error, OSError | RuntimeError):
            if isinstance(link, OSError):
                raise OSError(link.errno, link.strerror, str(path)) from error
            link = link.__cause__ or link.__context__
        raise


def open_checked(path: Path) -> BufferedReader:
    """Open a file, after comparing it with its checksum if there is one.

    Raises ``FileNotFoundError``, and ``UserError`` if the file is not the one that was written.
    """
    seen = None
    while True:
        file = open_regular(path)
        try:
            if path.name not in _sums(path.parent):
                return file
            found = hashlib.file_digest(file, "sha256").hexdigest()
            if found in _sums(path.parent).get(path.name, [found]):
                file.seek(0)
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        if found == seen:
            raise UserError(
                f"{path}: not as it was written (its checksum is not that of {SUMS}), so it is "
                f"damaged, or edited; if you edited it on purpose, delete its line there"
            )
        seen = found  # once more: it may have been replaced before its sum was read


def read_checked(path: Path) -> bytes:
    """The content of a file, after comparing it with its checksum if there is one.

    Raises what ``open_checked`` raises, and ``UserError`` for a file of absurd size.
    """
    check_bytes(path, size_of(path))
    with open_checked(path) as file:
        return file.read()


def remove(path: Path) -> None:
    """Delete a file, if it is there, and its line in ``SHA256SUMS``."""
    if not path.exists():
        return
    with FileLock(path.parent / SUMS_LOCK):
        path.unlink(missing_ok=True)
        sums = _sums(path.parent)
        if sums.pop(path.name, None):
            _write_sums(path.parent, sums)


@contextlib.contextmanager
def _noted(path: Path, new: str) -> Iterator[None]:
    """Write ``new``, the sum of what will replace ``path``, into ``SHA256SUMS``, and hold its
    lock."""
    with FileLock(path.parent / SUMS_LOCK):
        sums = _sums(path.parent)
        known, noted = sums.get(path.name), [new]
        if path.is_file():
            state, old = _WRITTEN.get(path, (None, ""))
            if state != _state(path):  # another process wrote it
                old = _digest(path)
            noted += [old] if old not in noted and (known is None or old in known) else []
        _write_sums(path.parent, sums | {path.name: noted})
        yield


def _sums(folder: Path) -> dict[str, list[str]]:
    """The checksums by the name of the file, the newest version's first; other lines are
    ignored."""
    try:
        text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    sums: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            sums.setdefault(match[2], []).append(match[1])
    return sums


def _write_sums(folder: Path, sums: dict[str, list[str]]) -> None:
    lines = [
        f"{'# ' if number else ''}{digest}  {name}\n"
        for name, digests in sorted(sums.items())
        for number, digest in enumerate(digests)
    ]
    write_atomic(folder / SUMS, "".join(lines))


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
