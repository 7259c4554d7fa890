"""The user's mistakes: one line that says what was given, what is allowed and what to do."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake in the input, not in the program: the command line prints it alone, exit code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def told(error: BaseException) -> BaseException:
    """The user's mistake within ``error``, which Hydra may have wrapped; else ``error`` itself."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            return link
        link = link.__cause__
    return error


def nearest(given: str, known: Iterable[str], prefix: str = "") -> str:
    """What may have been meant, and all that is allowed: ``did you mean ...? allowed: ...``."""
    allowed = f"allowed: {', '.join(sorted(known))}"
    close = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {prefix}{close[0]}? {allowed}" if close else allowed
