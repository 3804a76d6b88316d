"""Two editors at once: the second learns that the first was there."""

from leasing.kit.errors import PreconditionFailed


class VersionChanged(PreconditionFailed):
    code = "version_changed"
    title = "Somebody changed this in the meantime"


def refuse_unless_current(current: int, expected: int) -> None:
    """Raise `VersionChanged` when an edit is based on another version than the present one."""
    if current != expected:
        raise VersionChanged(f"you edited version {expected}, it is at {current}; read it again")
