"""Files of data sets as their authors give them away: read only if their md5 is the published one,
downloaded where they are not there."""

import contextlib
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from cifarlab.base.download import check_address, download
from cifarlab.base.errors import UserError
from cifarlab.base.reading import read_bytes

log = logging.getLogger("cifarlab")

_SCHEMES = ("https", "http", "ftp", "file")


def check_url(url: str | None) -> None:
    """Raise ``UserError`` unless ``data.url`` is an address, or ``None``."""
    check_address("data.url", url, _SCHEMES)


def read_whole(path: Path, published: str) -> bytes:
    """The bytes of a file. Raises ``UserError``, which names it, where it is missing, cannot be
    read or has another md5 than ``published``."""
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise UserError(f"{path}: missing") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    check_sum(path, md5(data), published)
    return data


def md5(data: bytes) -> str:
    """Of bytes, in hexadecimal."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_of(path: Path) -> str:
    """Of a file of any size. Raises ``UserError`` for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def check_sum(path: Path, found: str, published: str) -> None:
    """Raise ``UserError``, which names the file, unless the two sums are one."""
    if found != published:
        raise UserError(
            f"{path}: damaged (md5 {found}, published is {published}); put a whole one in its "
            "place, or delete it"
        )


def fetch(root: Path, url: str, named: Callable[[str], str]) -> Path:
    """Download a file into ``root``, which is made if need be.

    named: from the md5 that it turned out to have to its name; raises ``UserError`` for one that
        is not wanted. Raises ``OSError`` where the network or the other side fails. Whatever
        fails, the folders that were made for it are taken away again.
    """
    made = [path for path in (root, *root.parents) if not path.exists()]
    try:
        try:
            root.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UserError(f"data.root={root}: must be a folder") from error
        with TemporaryDirectory(prefix=".download-", dir=root) as folder:
            path = Path(folder) / "file"
            log.info("downloading %s", url)
            download(url, path)
            return path.replace(root / named(md5_of(path)))
    except BaseException:  # Ctrl-C, too
        with contextlib.suppress(OSError):
            for path in made:
                path.rmdir()
        raise
