"""The user's mistakes: one line that says what was given, what is allowed and what to do."""

import difflib
import errno
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the input, not in the program: the command line prints it alone, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def printable(text: str) -> str:
    """The text with what is no letter, sign or space written out, as ``\\x1b``: names of files may
    hold commands to the terminal, line breaks and bytes that are no text at all."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_OF_THE_DISK = frozenset(  # what a user can mend without us
    getattr(errno, name)
    for name in (
        *("EACCES", "EDQUOT", "EEXIST", "EFBIG", "EIO", "EISDIR", "ELOOP", "ENAMETOOLONG"),
        *("ENOSPC", "ENOTDIR", "EPERM", "EROFS", "ESTALE"),
    )
)


def told(error: BaseException) -> BaseException:
    """The user's mistake within ``error``, which Hydra may have wrapped, or what the disk refuses;
    else ``error`` itself."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            return link
        if isinstance(link, OSError) and link.errno in _OF_THE_DISK:
            return UserError(f"{link.filename or 'a file'}: {(link.strerror or '').lower()}")
        link = link.__cause__
    return error


def nearest(given: str, known: Iterable[str], prefix: str = "") -> str:
    """What may have been meant, and all that is allowed: ``did you mean ...? allowed: ...``."""
    allowed = f"allowed: {', '.join(sorted(known))}"
    close = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {prefix}{close[0]}? {allowed}" if close else allowed
