"""What a battery passport is made of, and what is refused on the way."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from schemas.packs import PackState
from schemas.passports import Access, Coverage, DeclarationScope, Level, Need

Json = dict[str, Any]


class Attribute(msgspec.Struct, frozen=True):
    """One of the 93 attributes of a battery passport (DIN DKE SPEC 99100)."""

    number: int
    name: str
    need: Need
    """For a stationary battery of more than 2 kWh."""
    access: Access
    is_dynamic: bool
    level: Level


class Field(msgspec.Struct, frozen=True):
    """A part of the BatteryPass document: everything at and below a path."""

    path: tuple[str, ...]
    attributes: tuple[int, ...]
    access: Access
    from_data: bool
    declared_for: frozenset[DeclarationScope]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the database holds of a pack."""

    id: UUID
    code: str
    maker: str | None
    chemistry: str
    made_on: date
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    rated_energy_wh: int
    min_voltage_mv: int | None
    max_voltage_mv: int | None
    mass_kg: int
    state: PackState
    recycled_on: date | None
    vin: str | None
    removed_on: date | None
    is_cascade: bool
    """It carries, or carried, a code of a cascade product, or was made from another pack."""
    other_codes: list[str]
    """What it was known by before, and what it was made from was."""
    into_service_on: date | None
    soc_percent: float | None
    soc_at: datetime | None
    capacity_mah: int | None
    capacity_at: datetime | None
    resistance_uohm: int | None
    resistance_at: datetime | None
    accidents: list[Json]
    last_recorded_at: datetime | None
    ended_by: UUID | None
    """The record of its recycling."""


class Issued(msgspec.Struct, frozen=True):
    """A passport that was issued."""

    id: UUID
    pack_id: UUID
    issued_on: date
    predecessor_id: UUID | None


class Declaration(msgspec.Struct, frozen=True):
    scope: DeclarationScope
    data: Json


class Covered(msgspec.Struct, frozen=True):
    attribute: Attribute
    coverage: Coverage
    declared_for: list[DeclarationScope]
    paths: list[str]


class NoSuchPassportPack(NotFound):
    code = "pack_not_found"
    title = "There is no such pack"


class OutOfScope(NotFound):
    code = "passport_out_of_scope"
    title = "A pack of this size needs no battery passport"


class NotIssued(NotFound):
    code = "passport_not_issued"
    title = "No passport was issued for this pack"


class IssuedAlready(Conflict):
    code = "passport_issued_already"
    title = "The pack has a passport"


class PackIsRecycled(Conflict):
    code = "pack_is_recycled"
    title = "The pack was recycled: its passport has ended"


class Incomplete(Conflict):
    """Values that the schema demands and that nobody holds. `extra["missing"]` lists each."""

    code = "passport_incomplete"
    title = "The passport lacks values that only somebody else can declare"


class BadDeclaration(Invalid):
    code = "bad_declaration"
    title = "The declaration cannot be taken"

    def __init__(self, faults: Sequence[FieldError]) -> None:
        super().__init__("; ".join(fault.message for fault in faults[:3]), fields=list(faults))


CONSTRAINTS = {"passport_once": IssuedAlready}
