"""What a battery's code says, field by field, and what codes are related to it."""

from datetime import date
from uuid import UUID

from schemas.common import Outgoing
from schemas.packs import CodeScheme, PartKind


class CodeField(Outgoing, frozen=True):
    name: str
    first: int
    """Position of its first character, counted from 1."""
    last: int
    text: str
    meaning: str | None
    """What a table of the standard says of it; null for what is the maker's own."""


class DecodedCode(Outgoing, frozen=True):
    code: str
    """Without blanks and in capitals: the one to store and to compare."""
    scheme: CodeScheme
    level: str
    """Cell, module, pack, cluster or system."""
    is_second_life: bool
    fields: list[CodeField]
    doubts: list[str]
    """What a person should look at before the code is trusted: a date to come."""


class FamilyMember(Outgoing, frozen=True):
    generation: int
    """Below zero for what the pack was made from, above for what was made from it; the nearest
    where there are several ways."""
    pack_id: UUID | None
    """Null for what is known by its code alone."""
    scheme: CodeScheme
    code: str


class FamilyLink(Outgoing, frozen=True):
    made: str
    """Code of what was made."""
    origin: str
    """Code of what it was made from."""


class FamilyPart(Outgoing, frozen=True):
    """Where a part was that ever was in the pack, also when that was elsewhere."""

    part_id: UUID
    kind: PartKind
    code: str
    pack_id: UUID | None
    """Null while it was loose."""
    within_id: UUID | None
    """The module it was in."""
    from_on: date
    to_on: date | None


class PackFamily(Outgoing, frozen=True):
    """What a pack was made from and what was made from it, however far; and its parts, with where
    else they were."""

    pack_id: UUID
    members: list[FamilyMember]
    links: list[FamilyLink]
    parts: list[FamilyPart]
    more: bool
    """There is more than is shown: 2,000 links and 2,000 stays of parts."""
