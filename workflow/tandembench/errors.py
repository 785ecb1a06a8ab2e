"""The one kind of error that a user sees: a line that says what, where, and what to do."""

EXIT_DIFFERENT = 1
EXIT_USAGE = 2
EXIT_CORRUPT = 3
EXIT_ENVIRONMENT = 4


class TandemError(Exception):
    """A fault that its reader can mend.

    ``what`` and ``where`` name the fault, ``fix`` the way out; ``exit_code`` is one of the
    EXIT_* constants. ``str(error)`` is the single line that the user reads.
    """

    def __init__(self, what: str, *, where: str, fix: str, exit_code: int = EXIT_USAGE) -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"
