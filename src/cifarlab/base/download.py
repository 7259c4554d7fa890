"""Files from other machines."""

import functools
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from cifarlab.base.errors import UserError
from cifarlab.base.progress import followed

PATIENCE = 60.0  # s without a byte, after which the other side is taken for dead
_PIECE = 1_000_000  # bytes


def check_address(key: str, url: str | None, schemes: tuple[str, ...]) -> None:
    """Raise ``UserError``, which names the option, unless ``url`` is an address, or ``None``."""
    try:
        good = url is None or urlsplit(url).scheme in schemes
    except ValueError as error:  # such as [ without ] around the host
        raise UserError(f"{key}={url}: not an address ({error})") from error
    if not good:
        raise UserError(f"{key}={url}: must begin with one of {', '.join(schemes)}")


def download(url: str, path: Path) -> None:
    """Write what is at ``url`` into ``path``; whether it is what was meant is left to the caller.

    Raises ``OSError`` for whatever the network or the other side does: no answer, one that stops or
    is cut short, or one that is none.
    """
    try:
        request = Request(url, headers={"User-Agent": "cifarlab"})  # noqa: S310  for check_address
        with urlopen(request, timeout=PATIENCE) as answer, path.open("wb") as file:  # noqa: S310
            size = int(answer.headers.get("Content-Length") or 0)
            pieces = iter(functools.partial(answer.read, _PIECE), b"")
            for piece in followed(pieces, "downloading", -(-size // _PIECE), " MB"):
                file.write(piece)
            if (count := file.tell()) < size:
                raise OSError(f"{count:,} of {size:,} bytes came")
    except (HTTPException, ValueError) as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
