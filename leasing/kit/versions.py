"""Two editors at once: the second learns that the first was there."""

from collections.abc import Mapping
from typing import Any

from asyncpg import Record

from leasing.kit.errors import PreconditionFailed


class VersionChanged(PreconditionFailed):
    code = "version_changed"
    title = "Somebody changed this in the meantime"


def refuse_unless_current(
    current: int, expected: int, present: Mapping[str, Any] | Record, wanted: Mapping[str, Any]
) -> None:
    """Raise `VersionChanged` when an edit is based on another version than the present one. The
    error says for each field that the edit names what is there now and what was wanted."""
    if current != expected:
        raise VersionChanged(
            f"you edited version {expected}, it is at {current}; read it again",
            version=current,
            diff=[
                {"field": field, "present": present.get(field), "wanted": value}
                for field, value in wanted.items()
                if present.get(field) != value
            ],
        )
