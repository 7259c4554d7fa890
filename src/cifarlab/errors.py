"""The user's mistakes: one line that says what was given, what is allowed and what to do."""


class UserError(ValueError):
    """A mistake in the input, not in the program. The command line prints it alone and exits with 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
