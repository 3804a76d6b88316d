"""The errors our rules and services raise. They know nothing of HTTP.

A context subclasses the kind that fits and gives it a code of its own:

    class PackAlreadyLeased(Conflict):
        code = "pack_already_leased"
        title = "The pack is already leased"

    raise PackAlreadyLeased(f"pack {pack.code} is leased until {ends_on}", pack_id=pack.id)

The kind says whose move it is (`Invalid`: yours, change the payload; `Conflict`: the world
disagrees), and the web's edge gives each kind its status. The code is a promise to clients:
once published it is never renamed.
"""

from collections.abc import Iterable
from typing import ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One thing wrong with one place in what was sent.

    `pointer` is a JSON pointer (RFC 6901) into the body, such as "/lines/3/monthly_rent";
    "" is the body as a whole. `code` is for programs, `message` for people.
    """

    pointer: str
    code: str
    message: str


class DomainError(Exception):
    """What went wrong, in the trade's words. Raise a subclass of one of the kinds below.

    `title` is the same each time, `detail` tells this case, `extra` carries values a program
    may want (ids, the state found, the limit passed). All of it is shown to the caller.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self, detail: str = "", *, fields: Iterable[FieldError] = (), **extra: object
    ) -> None:
        self.detail = detail or self.title
        self.fields = tuple(fields)
        self.extra = extra
        super().__init__(self.detail)


class Invalid(DomainError):
    """What was sent can never be accepted, whatever the state of the world."""

    code = "invalid"
    title = "The request is not valid"


class Unauthorized(DomainError):
    """We do not know who is asking."""

    code = "unauthorized"
    title = "Sign in first"


class Forbidden(DomainError):
    """We know who is asking, and they may not. Use NotFound to hide that a thing exists."""

    code = "forbidden"
    title = "You may not do this"


class NotFound(DomainError):
    """Not there, or not theirs: the two look alike from outside."""

    code = "not_found"
    title = "Not found"


class Gone(DomainError):
    """It was there and has ended; it will not come back."""

    code = "gone"
    title = "This has ended"


class Conflict(DomainError):
    """The request is sound, but the world disagrees; another time it may pass."""

    code = "conflict"
    title = "This cannot be done now"


class PreconditionFailed(DomainError):
    """The caller decided on an older version than the one we hold."""

    code = "precondition_failed"
    title = "This was changed by someone else in the meantime"


class PreconditionRequired(DomainError):
    """The caller must say which version they decided on."""

    code = "precondition_required"
    title = "Say which version you are changing"


class TooLarge(DomainError):
    """More than we take at once."""

    code = "too_large"
    title = "Too much at once"


class UnsupportedType(DomainError):
    """The content is of a type that we do not take, or not of the type it is said to be."""

    code = "unsupported_type"
    title = "We do not take content of this type"


class Unprocessable(DomainError):
    """Only for an Idempotency-Key used again with another body."""

    code = "unprocessable"
    title = "This idempotency key was used with another body"


class Unavailable(DomainError):
    """Neither side is wrong; the same request may pass later."""

    code = "unavailable"
    title = "Not available at the moment"

    retry_after_s: ClassVar[int | None] = None


def all_error_codes() -> dict[str, type[DomainError]]:
    """Every code of the modules imported so far, for the docs."""

    def walk(error: type[DomainError]) -> Iterable[type[DomainError]]:
        yield error
        for child in error.__subclasses__():
            yield from walk(child)

    codes: dict[str, type[DomainError]] = {}
    for error in walk(DomainError):
        codes.setdefault(error.code, error)
    return dict(sorted(codes.items()))
