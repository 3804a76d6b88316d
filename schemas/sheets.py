"""Spreadsheets of sites, vehicles and packs: what came of an import, row by row."""

from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from schemas.common import Amount, Code, Incoming, Milliamperehours, Name, Outgoing
from schemas.contracts import Slot


class SheetKind(StrEnum):
    SITES = "sites"
    VEHICLES = "vehicles"
    PACKS = "packs"


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
