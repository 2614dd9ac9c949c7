"""The one exception for what a user can put right."""


class UserError(ValueError):
    """What was given is not allowed; the message names it and says what is, in one line."""


def one_of(field: str, given: object, allowed: object) -> UserError:
    """An error for a `field` whose value `given` is not among the names in `allowed`."""
    names = ", ".join(sorted(map(str, allowed)))  # type: ignore[call-overload]
    return UserError(f"{field}: {given!r} is unknown; choose one of {names}")
