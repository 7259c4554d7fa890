"""The user's mistakes: one line that says what was given, what is allowed and what to do."""


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
