"""Exceptions that programs report in one line."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """Says in one line what was given and what is allowed.

    What cannot be printed, in a name that was given, is escaped: a line's end would make two lines of it.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else _escaped(c) for c in message))


class ProgramEnd(BaseException):
    """Ends a program with a line and an exit status.

    It is no `Exception`, as `KeyboardInterrupt` is none: nobody is to catch it as a failure.
    """

    def __init__(self, message: str, status: int):
        super().__init__(message)
        self.status = status


def unknown_choice(field: str, given: object, allowed: object) -> UserError:
    """Returns an error for a `field` whose value `given` is not among the names in `allowed`."""
    names = ", ".join(sorted(map(str, allowed)))  # type: ignore[call-overload]
    return UserError(f"{field}: {given!r} is unknown; choose one of {names}")


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Names the extra to install if an import in the context finds a module of others missing.

    Raises:
      UserError: it is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "ntm_jax":
            raise
        raise UserError(
            f"{error.name} is not installed; pip install 'ntm_jax[{extra}]' installs it"
        ) from None


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
