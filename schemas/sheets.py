"""Spreadsheets of sites, vehicles, packs, outlets and prices: what came of an import, row by
row."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import (
    Adcode,
    Amount,
    Code,
    Incoming,
    Latitude,
    Longitude,
    Milliamperehours,
    Name,
    Outgoing,
)
from schemas.contracts import Slot
from schemas.outlets import (
    Chemistries,
    ChemistryLetter,
    ContactPhone,
    Hazards,
    Hours,
    OutletKind,
    StoreDays,
    StoreKg,
)
from schemas.recyclers import OfferDisposition


class SheetKind(StrEnum):
    SITES = "sites"
    VEHICLES = "vehicles"
    PACKS = "packs"
    OUTLETS = "outlets"
    OFFERS = "offers"
    """What recyclers pay."""


class SheetFormat(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"


class SheetLanguage(StrEnum):
    EN = "en"
    ZH = "zh"


class RowResult(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


class CellFault(Outgoing, frozen=True):
    """One reason why a row is refused. `column` is the header as the file has it, "" for the row
    as a whole."""

    column: str
    field: str
    code: str
    message: str


class CellChange(Outgoing, frozen=True):
    """One field of a row that differs, as a sheet would show it before and after."""

    field: str
    before: str
    after: str


class RowOutcome(Outgoing, frozen=True):
    """What becomes of one row. `row` counts as the spreadsheet shows it, the header included."""

    row: int
    result: RowResult
    key: str
    changes: list[CellChange]
    faults: list[CellFault]


class RollOutRow(Incoming, frozen=True, kw_only=True):
    """A position of a contract in a file, with the pack that is handed over if there is one."""

    site: Code
    slot: Slot
    rated_capacity_mah: Milliamperehours
    rent_amount: Amount
    from_on: date | None = None
    pack: Annotated[str, Meta(max_length=80)] | None = None
    accepted_on: date | None = None
    tested_capacity_mah: Milliamperehours | None = None
    lessor_signatory: Name | None = None
    lessee_signatory: Name | None = None


class OutletRow(Incoming, frozen=True, kw_only=True):
    """An outlet in a file. `recycler` is what the row says, `party_id` whom that means."""

    code: Code
    name_zh: Name
    name_en: Name
    kind: OutletKind
    adcode: Adcode
    longitude: Longitude
    latitude: Latitude
    recycler: Name
    chemistries: Chemistries
    hazards: Hazards
    store_limit_kg: StoreKg | None = None
    store_days: StoreDays | None = None
    address: Name | None = None
    contact_name: Name | None = None
    contact_phone: ContactPhone | None = None
    opening_hours: Hours | None = None
    party_id: UUID | None = None


class OfferRow(Incoming, frozen=True, kw_only=True):
    """What a recycler pays, in a file."""

    recycler: Name
    chemistry: ChemistryLetter
    disposition: OfferDisposition = OfferDisposition.RECYCLE
    valid_from: date
    valid_to: date | None = None
    cny_per_kg: Annotated[float, Meta(ge=-1000, le=1000)]
    material_cny_per_kg: Annotated[float, Meta(ge=0, le=1000)] = 0.0
    source: Name
    party_id: UUID | None = None


class ImportResult(Outgoing, frozen=True):
    kind: SheetKind
    format: SheetFormat
    read_as: str
    """How the file was read: encoding and delimiter of a CSV, the sheet's name of an XLSX."""
    dry_run: bool
    written: bool
    """Whether anything was kept. A dry run keeps nothing; neither does a file with a refused row,
    unless `partial` was asked for."""
    created: int
    changed: int
    unchanged: int
    refused: int
    outcomes: list[RowOutcome]
    """The rows that are not unchanged, refused ones first to be listed when there are too many."""
    outcomes_left_off: int
