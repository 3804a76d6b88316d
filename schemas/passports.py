"""Battery passports: who sees what, what was declared, and how much of it is known."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Name, Outgoing


class Access(StrEnum):
    """Who may see a part of a passport; each sees what those before it see (Annex XIII of
    Regulation (EU) 2023/1542)."""

    PUBLIC = "public"
    LEGITIMATE_INTEREST = "legitimate_interest"
    AUTHORITY = "authority"


class Need(StrEnum):
    MANDATORY = "mandatory"
    VOLUNTARY = "voluntary"
    NONE = "none"


class Level(StrEnum):
    MODEL = "model"
    INDIVIDUAL = "individual"


class Coverage(StrEnum):
    DATA = "data"
    """Filled from what the system holds, at least in part."""
    DECLARED = "declared"
    """Somebody else declares it: the maker for all packs of a model, the operator of the passport,
    or whoever read it from the pack."""
    NOT_HELD = "not_held"


class DeclarationScope(StrEnum):
    OPERATOR = "operator"
    """The lessor, who issues passports: the same in each of them."""
    MODEL = "model"
    """All packs alike in maker, chemistry, cells, voltage and capacity."""
    PACK = "pack"
    """One pack: what its management system says, for instance."""


class DeclarationCreate(Incoming, frozen=True, kw_only=True):
    """A part of a BatteryPass document (Catena-X 6.1.0), and who stands for it."""

    scope: DeclarationScope
    pack_id: UUID | None = None
    """The pack, or one of the model."""
    declared_by: Name
    document: Name
    """Where it is written: a number or an address."""
    declared_on: date
    data: Annotated[dict[str, Any], Meta(min_length=1)]


class DeclarationView(Outgoing, frozen=True):
    id: UUID
    scope: DeclarationScope
    pack_id: UUID | None
    maker: str | None
    chemistry: str | None
    cells_in_series: int | None
    rated_voltage_mv: int | None
    rated_capacity_mah: int | None
    declared_by: str
    document: str
    declared_on: date
    data: dict[str, Any]
    entered_by: str
    entered_at: datetime


class PassportCreate(Incoming, frozen=True, kw_only=True):
    predecessor_id: UUID | None = None
    """Of the passport of the battery this one was made from, where another operator issued it. A
    passport of ours is found without."""


class PassportView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    issued_on: date
    predecessor_id: UUID | None


class BatteryPassport(Outgoing, frozen=True):
    """A passport as one group of readers sees it."""

    view: Access
    withheld: list[str]
    """Paths of the schema that readers of this view do not see."""
    not_held: list[str]
    """Lists of the schema that are empty because nobody declared anything."""
    passport: dict[str, Any]
    """BatteryPass 6.1.0 (Catena-X)."""


class AttributeView(Outgoing, frozen=True):
    number: int
    name: str
    need: Need
    access: Access
    is_dynamic: bool
    level: Level
    coverage: Coverage
    declared_for: list[DeclarationScope]
    paths: list[str]
    """Where it stands in the document."""
    is_given: bool | None
    """Whether the passport of the pack asked for has it; null without a pack."""


class CoverageView(Outgoing, frozen=True):
    schema: str
    counts: dict[str, int]
    """Attributes by coverage."""
    missing: list[str]
    """Values without which the passport of the pack cannot be issued."""
    attributes: list[AttributeView]
