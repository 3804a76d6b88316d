"""Lists: keyset pages behind an opaque cursor, and a maximum size.

A cursor is where the last page ended, so a list stays right while rows are added, and the last
page costs what the first does.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from leasing.kit.errors import FieldError, Invalid

Item = TypeVar("Item")

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many at most.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]

FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)


class BadCursor(Invalid):
    code = "bad_cursor"
    title = "The cursor is not one of ours"


class Page(msgspec.Struct, Generic[Item], frozen=True):
    """One page of a list. `next_cursor` is null on the last."""

    items: Sequence[Item]
    next_cursor: str | None


def encode(*position: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).rstrip(b"=").decode()


def decode(cursor: str, type_: type[Item]) -> Item:
    """The position in a cursor, checked against the type of position this list has."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=type_)
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        problem = FieldError("?cursor", "bad_cursor", "take next_cursor of a page as it is")
        raise BadCursor("take next_cursor of a page as it is", fields=[problem]) from error


def after_id(cursor: str | None) -> UUID:
    """Where to go on in a list ordered by id."""
    return FIRST if cursor is None else decode(cursor, tuple[UUID])[0]


def before_id(cursor: str | None) -> UUID:
    """Where to go on in a list ordered by id, the newest first."""
    return LAST if cursor is None else decode(cursor, tuple[UUID])[0]


class HasId(Protocol):
    @property
    def id(self) -> UUID: ...


Identified = TypeVar("Identified", bound=HasId)


def page_by_id(items: Sequence[Identified], limit: int) -> Page[Identified]:
    """A page of a list ordered by id, fetched with one row more than the limit."""
    shown = items[:limit]
    return Page(shown, encode(shown[-1].id) if len(items) > limit else None)


def page_by(items: Sequence[Item], limit: int, key: Callable[[Item], object]) -> Page[Item]:
    """The same for a list that is ordered by something else than an id of its own."""
    shown = items[:limit]
    return Page(shown, encode(key(shown[-1])) if len(items) > limit else None)
