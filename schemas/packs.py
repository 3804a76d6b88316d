"""Packs and their codes."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.batches import MAX_ROWS, Batch
from schemas.common import PRINTABLE, Incoming, Milliamperehours, Name, Outgoing, Sha256


class PackState(StrEnum):
    IN_STOCK = "in_stock"
    LEASED = "leased"
    RETURNED = "returned"
    LOST = "lost"
    """Missing or stolen."""
    BURNT = "burnt"
    """Destroyed by fire; its remains are with the lessor."""
    SOLD = "sold"
    """Bought by its lessee."""
    CONDEMNED = "condemned"
    """Declared waste: it waits for a way to a recycler."""
    ROUTED = "routed"
    HANDED_OVER = "handed_over"
    RECYCLED = "recycled"


class CodeScheme(StrEnum):
    GBT34014 = "gbt34014"
    GBT34014_CASCADE = "gbt34014_cascade"
    GBT45565 = "gbt45565"
    MAKER_SERIAL = "maker_serial"
    UNRECOGNISED = "unrecognised"


CodeText = Annotated[str, Meta(min_length=1, max_length=80, pattern=PRINTABLE)]
"""As scanned or typed: blanks, line breaks, lower case and full-width forms are accepted."""

CellsInSeries = Annotated[int, Meta(ge=1, le=1000)]
Millivolts = Annotated[int, Meta(ge=1, le=2_000_000)]
FullCell = Annotated[int, Meta(ge=1000, le=5000)]
Watthours = Annotated[int, Meta(ge=1, le=4_000_000_000)]
MassKg = Annotated[int, Meta(ge=1, le=20_000, description="Rounded up.")]
VinText = Annotated[str, Meta(max_length=40, pattern=PRINTABLE)]


class PackCreate(Incoming, frozen=True, kw_only=True):
    """A pack that was acquired. Chemistry and date of make are read from its code."""

    code: Annotated[str, Meta(min_length=1, max_length=80)]
    """GB/T 34014 battery code: 24 characters, or 19 of a cascade product. Blanks, line breaks
    and lower case are accepted."""
    original_codes: Annotated[
        list[Annotated[str, Meta(max_length=80, pattern=PRINTABLE)]], Meta(max_length=50)
    ] = []
    """Codes the pack, or what it was made of, carried before."""
    cells_in_series: CellsInSeries
    rated_voltage_mv: Millivolts
    rated_capacity_mah: Milliamperehours
    maker_energy_wh: Watthours | None = None
    """Rated energy where the maker gives its own; else it is voltage times capacity."""
    max_voltage_mv: Millivolts | None = None
    min_voltage_mv: Millivolts | None = None
    full_cell_mv: FullCell | None = None
    """Cell voltage at which the maker ends a charge. A ternary pack needs it before its capacity
    can be read from charges; LFP does without."""
    mass_kg: MassKg
    acquired_on: date
    acquired_from: Name
    acquired_from_id: UUID | None = None
    """The same firm as a party, if it is one: a dismantler has to report that it handed it over."""
    vin: VinText | None = None
    """Of the vehicle in which the pack had its first life."""
    carmaker: Name | None = None
    vehicle_model: Name | None = None
    removed_on: date | None = None
    """The day it was taken out of that vehicle."""


class PackBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[PackCreate], Meta(min_length=1, max_length=MAX_ROWS)]


class PackPatch(Incoming, frozen=True):
    """What can be corrected. A code is replaced, never edited, and a state follows from deeds."""

    cells_in_series: CellsInSeries | UnsetType = UNSET
    rated_voltage_mv: Millivolts | UnsetType = UNSET
    rated_capacity_mah: Milliamperehours | UnsetType = UNSET
    maker_energy_wh: Watthours | UnsetType | None = UNSET
    max_voltage_mv: Millivolts | UnsetType | None = UNSET
    min_voltage_mv: Millivolts | UnsetType | None = UNSET
    full_cell_mv: FullCell | UnsetType | None = UNSET
    mass_kg: MassKg | UnsetType = UNSET
    vin: VinText | UnsetType | None = UNSET
    carmaker: Name | UnsetType | None = UNSET
    vehicle_model: Name | UnsetType | None = UNSET
    removed_on: date | UnsetType | None = UNSET


class PackView(Outgoing, frozen=True):
    id: UUID
    code: str
    """The code that is printed on it now."""
    maker: str | None
    """Who gave that code: its first three characters, four of a GB/T 45565 code."""
    chemistry: str
    made_on: date
    cells_in_series: int
    rated_voltage_mv: int
    rated_capacity_mah: int
    rated_energy_wh: int
    maker_energy_wh: int | None
    max_voltage_mv: int | None
    min_voltage_mv: int | None
    full_cell_mv: int | None
    mass_kg: int
    state: PackState
    acquired_on: date
    recycled_on: date | None
    vin: str | None
    carmaker: str | None
    vehicle_model: str | None
    removed_on: date | None
    version: int


# --- Identifiers ------------------------------------------------------------------------------


class IdentifierCreate(Incoming, frozen=True, kw_only=True):
    value: CodeText
    scheme: CodeScheme | None = None
    """Without one it is read from the value; what no standard can read is `unrecognised`. A
    maker's serial says so itself."""
    assigned_by: Name | None = None
    """Who gave it. A maker's serial needs it: it is unique to its maker only."""
    valid_from: date | None = None
    valid_to: date | None = None
    """The first day on which it is no longer valid."""
    replaces: UUID | None = None
    """The identifier that was printed on the pack until now; the new one takes its place, the
    old one is kept. `valid_from` is today if not given."""


class IdentifierEnd(Incoming, frozen=True):
    ended_on: date
    """The first day on which it is no longer valid."""


class IdentifierView(Outgoing, frozen=True):
    id: UUID
    scheme: CodeScheme
    value: str
    assigned_by: str | None
    valid_from: date | None
    """Null when nobody knows."""
    valid_to: date | None
    is_printed: bool
    """It is, or was in its days, the code printed on the pack."""
    is_current: bool


class PackIdentifiers(Outgoing, frozen=True):
    pack_id: UUID
    identifiers: list[IdentifierView]


# --- Search -----------------------------------------------------------------------------------


class FoundBy(StrEnum):
    IDENTIFIER = "identifier"
    PART = "part"
    ORIGIN = "origin"
    """What the pack was made from."""


class PackMatch(Outgoing, frozen=True):
    pack: PackView
    found_by: FoundBy
    scheme: CodeScheme
    value: str
    is_exact: bool
    until: date | None
    """The day on which the identifier ended, or the part left the pack; null while it has not."""


class Suggestion(Outgoing, frozen=True):
    value: str
    reason: str
    pack_id: UUID | None
    """The pack that has this identifier; null when none is known."""


class PackSearch(Outgoing, frozen=True):
    sought: str
    """The question as it was compared: capitals without blanks."""
    matches: list[PackMatch]
    """Exact ones first."""
    more: bool
    """There are more than are shown; ask for a longer beginning."""
    suggestions: list[Suggestion]
    """What may have been meant, when nothing matches."""


# --- Parts and origins ------------------------------------------------------------------------


class PartKind(StrEnum):
    MODULE = "module"
    CELL = "cell"


class PartCreate(Incoming, frozen=True, kw_only=True):
    kind: PartKind
    code: CodeText
    scheme: CodeScheme | None = None
    """Without one it is read from the code."""
    assigned_by: Name | None = None
    within: CodeText | None = None
    """Code of the module it is in: one of this request, or one of the pack. Without it the part
    is directly in the pack."""


class PartsCreate(Incoming, frozen=True, kw_only=True):
    installed_on: date | None = None
    """Without it the pack's day of make."""
    parts: Annotated[list[PartCreate], Meta(min_length=1, max_length=2000)]


class PartRemoval(Incoming, frozen=True):
    removed_on: date


class PartView(Outgoing, frozen=True):
    id: UUID
    kind: PartKind
    scheme: CodeScheme
    code: str
    assigned_by: str | None
    within_id: UUID | None
    """The module it is in; null when it is directly in the pack."""
    depth: int
    """1 when it is directly in the pack."""
    installed_on: date
    removed_on: date | None


class PackParts(Outgoing, frozen=True):
    """What is in a pack, each part behind what it is in."""

    pack_id: UUID
    parts: list[PartView]


class OriginCreate(Incoming, frozen=True, kw_only=True):
    """One of the two."""

    pack_id: UUID | None = None
    code: CodeText | None = None
    """A code that a pack of ours carries leads to that pack."""


class OriginsCreate(Incoming, frozen=True):
    origins: Annotated[list[OriginCreate], Meta(min_length=1, max_length=200)]


class OriginView(Outgoing, frozen=True):
    made_id: UUID
    """What was made from it: the pack itself, or an origin in between."""
    pack_id: UUID | None
    scheme: CodeScheme | None
    code: str | None
    generation: int
    """1 for what the pack was made from, 2 for what that was made from, and so on."""


class PackOrigins(Outgoing, frozen=True):
    pack_id: UUID
    origins: list[OriginView]


# --- Capacity tests ---------------------------------------------------------------------------


class CapacityMethod(StrEnum):
    GBT34015 = "gbt34015"
    SITE_CHECK_DISCHARGE = "site_check_discharge"
    """On the real load; stopped at 30 to 40 % so that the site is never without backup."""
    MAKER = "maker"
    OTHER = "other"


class CapacityExtent(StrEnum):
    FULL = "full"
    PARTIAL = "partial"


class CapacityTestCreate(Incoming, frozen=True, kw_only=True):
    tested_on: date
    method: CapacityMethod
    temperature_c: Annotated[float, Meta(ge=-40, le=85)]
    c_rate: Annotated[float, Meta(gt=0, le=20)]
    depth_percent: Annotated[int, Meta(ge=1, le=100)]
    """How far it was discharged. Below 100 the test is a partial one."""
    discharged_mah: Milliamperehours
    """What was drawn. Only in a full test is that the capacity."""
    energy_wh: Watthours | None = None
    internal_resistance_uohm: Annotated[int, Meta(ge=1, le=2_000_000_000)] | None = None
    laboratory: Name
    report_number: Name
    document_sha256: Sha256 | None = None
    signatory: Name


class CapacityTestView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    tested_on: date
    method: CapacityMethod
    temperature_c: float
    c_rate: float
    extent: CapacityExtent
    depth_percent: int
    discharged_mah: int
    capacity_mah: int | None
    """Of a full test; a partial one has none."""
    energy_wh: int | None
    internal_resistance_uohm: int | None
    laboratory: str
    report_number: str
    document_sha256: str | None
    signatory: str
    created_at: datetime


# --- Life -------------------------------------------------------------------------------------


class PackCodeView(Outgoing, frozen=True):
    scheme: CodeScheme
    code: str
    is_current: bool


class LifeRecord(Outgoing, frozen=True):
    """One step of a pack's life (溯源), linked to the one before it: docs/traceability.md."""

    id: UUID
    sequence: int
    kind: str
    happened_on: date
    adcode: str | None
    party_id: UUID | None
    corrects_id: UUID | None
    """The record that a correction puts right."""
    data: dict[str, object]
    actor: str
    recorded_at: datetime
    previous_hash: Sha256 | None
    """Null on the first."""
    hash: Sha256


class PackLife(Outgoing, frozen=True):
    pack_id: UUID
    codes: list[PackCodeView]
    records: list[LifeRecord]
