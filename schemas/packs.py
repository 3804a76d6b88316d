"""Packs and their codes."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import PRINTABLE, Incoming, Milliamperehours, Name, Outgoing


class PackState(StrEnum):
    IN_STOCK = "in_stock"
    LEASED = "leased"
    RETURNED = "returned"
    CONDEMNED = "condemned"
    """Declared waste: it waits for a way to a recycler."""
    ROUTED = "routed"
    HANDED_OVER = "handed_over"
    RECYCLED = "recycled"


class CodeScheme(StrEnum):
    GBT34014 = "gbt34014"
    GBT34014_CASCADE = "gbt34014_cascade"
    MAKER_SERIAL = "maker_serial"
    UNRECOGNISED = "unrecognised"


class PackCreate(Incoming, frozen=True, kw_only=True):
    """A pack that was acquired. Chemistry and date of make are read from its code."""

    code: Annotated[str, Meta(min_length=1, max_length=80)]
    """GB/T 34014 battery code: 24 characters, or 19 of a cascade product. Blanks, line breaks
    and lower case are accepted."""
    original_codes: Annotated[
        list[Annotated[str, Meta(max_length=80, pattern=PRINTABLE)]], Meta(max_length=50)
    ] = []
    """Codes the pack, or what it was made of, carried before."""
    cells_in_series: Annotated[int, Meta(ge=1, le=1000)]
    rated_voltage_mv: Annotated[int, Meta(ge=1, le=2_000_000)]
    rated_capacity_mah: Milliamperehours
    full_cell_mv: Annotated[int, Meta(ge=1000, le=5000)] | None = None
    """Cell voltage at which the maker ends a charge. A ternary pack needs it before its capacity
    can be read from charges; LFP does without."""
    mass_kg: Annotated[int, Meta(ge=1, le=20_000, description="Rounded up.")]
    acquired_on: date
    acquired_from: Name


class PackView(Outgoing, frozen=True):
    id: UUID
    code: str
    chemistry: str
    made_on: date
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    full_cell_mv: int | None
    mass_kg: int
    state: PackState
    acquired_on: date
    recycled_on: date | None


class PackCodeView(Outgoing, frozen=True):
    scheme: CodeScheme
    code: str
    is_current: bool


class LifeRecord(Outgoing, frozen=True):
    """One step of a pack's life (溯源)."""

    sequence: int
    kind: str
    happened_on: date
    adcode: str | None
    party_id: UUID | None
    data: dict[str, object]
    actor: str
    recorded_at: datetime


class PackLife(Outgoing, frozen=True):
    pack_id: UUID
    codes: list[PackCodeView]
    records: list[LifeRecord]
