"""From a database row to a struct."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from asyncpg import Record

T = TypeVar("T")


def convert(row: Record | Mapping[str, Any], type_: type[T]) -> T:
    """A row whose columns are named like the struct's fields."""
    return msgspec.convert(dict(row), type_)


def convert_all(rows: Iterable[Record], type_: type[T]) -> list[T]:
    return [convert(row, type_) for row in rows]


def given(patch: msgspec.Struct) -> dict[str, Any]:
    """The fields that a patch really names; the others are `UNSET`."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(patch).items()
        if value is not msgspec.UNSET
    }
