"""The user's mistakes: one line that says what was given, what is allowed and what to do."""


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


def told(error: BaseException) -> BaseException:
    """The user's mistake within ``error``, which Hydra may have wrapped; else ``error`` itself."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, UserError):
            return link
        link = link.__cause__
    return error
