"""What is read of files that others may have made: regular files alone, and of what they declare no
more than can be meant. Looked at before anything is decoded, expanded or given memory (standard
library only)."""

import contextlib
import stat
from io import BufferedReader
from pathlib import Path

from cifarlab.base.errors import UserError

MAX_PIXELS = 89_478_485  # of an image: a quarter GiB as RGB, from where on Pillow warns
MAX_BYTES = 500_000_000  # of one file that is taken into memory whole
MAX_GROWTH = 100  # times its own size that a packed file may unpack to; to MAX_BYTES in any case
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def named_path(told: str, name: str | Path) -> Path:
    """The path that a user named, ``~`` replaced. Raises ``UserError``, which begins with ``told``,
    for what can be none: too long, of a user that there is not, or where nobody may look."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{told}: {(reason or type(error).__name__).lower()}") from error
    return path


def run_folders(root: Path) -> list[Path]:
    """The folders of runs below a folder, or itself, by path. What a run's folder holds is none:
    Weights & Biases keeps a ``config.yaml`` of its own in it."""
    found = {path.parent for path in root.rglob("config.yaml")}
    return sorted(folder for folder in found if found.isdisjoint(folder.parents))


def size_of(path: Path) -> int:
    """Bytes of a regular file. Raises ``UserError`` for a folder, a pipe, a socket or a device,
    which might be read for ever, and ``OSError`` as ``stat``."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no regular file")
        raise UserError(f"{path}: cannot be read ({kind}, where a file is expected)")
    return found.st_size


def open_regular(path: Path) -> BufferedReader:
    """A regular file to read; raises as ``size_of``."""
    size_of(path)
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """All of a regular file. Raises ``UserError`` for another kind and for more than ``MAX_BYTES``,
    ``OSError`` as ``open``."""
    check_bytes(path, size_of(path))
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def read_text(path: Path) -> str:
    """The same as UTF-8; ``UnicodeDecodeError`` where it is none."""
    return read_bytes(path).decode()


def check_bytes(name: object, declared: int) -> None:
    """Raise ``UserError`` unless one file of that size may be taken into memory."""
    if declared > MAX_BYTES:
        raise UserError(
            f"{name}: {in_bytes(declared)}; at most {in_bytes(MAX_BYTES)} of one file are read"
        )


def most_unpacked(packed: int) -> int:
    """Bytes that a packed file of ``packed`` bytes may unpack to."""
    return max(MAX_BYTES, MAX_GROWTH * packed)


def check_unpacked(name: object, unpacked: int, packed: int) -> None:
    """Raise ``UserError`` unless a file of ``packed`` bytes may unpack to ``unpacked``."""
    if unpacked > most_unpacked(packed):
        raise UserError(
            f"{name}: unpacks to {in_bytes(unpacked)} or more from {in_bytes(packed)}; the limit "
            f"is {MAX_GROWTH} times that, or {in_bytes(MAX_BYTES)} if that is more; if it is meant "
            "so, unpack it and name the folder"
        )


def in_bytes(count: float) -> str:
    """``3.6 GB``."""
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"


def check_memory(what: str, needed: int, free: int | None, remedy: str = "") -> None:
    """Raise ``UserError`` unless ``needed`` bytes are free (``None``: not known)."""
    if free is not None and needed > free:
        told = f"{what}: {in_bytes(needed)} of memory are needed, and {in_bytes(free)} are free"
        raise UserError(f"{told}; {remedy}" if remedy else told)


def free_memory() -> int | None:
    """Bytes that this process may still take, by Linux's count and its container's limit; ``None``:
    not known."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    return min(found, default=None)
