"""Records as they are checked, what may be wrong with them, and the errors of traceability."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound


class Written(msgspec.Struct, frozen=True):
    """A record as it stands in the table; `data` is its text, letter for letter."""

    id: UUID
    pack_id: UUID
    sequence: int
    kind: str
    happened_on: date
    adcode: str | None
    party_id: UUID | None
    corrects_id: UUID | None
    actor: str
    recorded_at: datetime
    data: str
    previous_hash: bytes | None
    hash: bytes


class Fault(StrEnum):
    CHANGED = "changed"
    """It does not say what was hashed."""
    UNLINKED = "unlinked"
    """It does not name the hash of the record before it: one of the two was written anew, put in
    between, or in another place."""
    MISSING = "missing"
    """Numbers before this one are not there."""
    NUMBERED_TWICE = "numbered_twice"
    CUT_SHORT = "cut_short"
    """A published head knows a later record."""
    REWRITTEN = "rewritten"
    """A published head knows this record by another hash."""
    NO_RECORDS = "no_records"
    """A pack without a life: every one has been acquired."""
    OTHER_HEAD = "other_head"
    """The records that were there at the end of a day have another head than was stored."""


class Finding(msgspec.Struct, frozen=True):
    fault: Fault
    detail: str
    pack_id: UUID | None = None
    sequence: int | None = None


class Newest(msgspec.Struct, frozen=True):
    """The newest record of a pack at the end of a day, as a head lists it."""

    pack_id: UUID
    sequence: int
    hash: bytes


class Head(msgspec.Struct, frozen=True):
    as_of: date
    packs: int
    records: int
    hash: bytes


class NoSuchLife(NotFound):
    code = "pack_not_found"
    title = "There is no such pack"


class NoSuchRecord(NotFound):
    code = "record_not_found"
    title = "The pack has no such record"


class BadCorrection(Invalid):
    code = "bad_correction"
    title = "The correction corrects nothing, or cannot be right"


class CorrectedTwice(Conflict):
    code = "record_corrected"
    title = "The record was corrected before; correct the correction"


class DayNotOver(Invalid):
    code = "day_not_over"
    title = "A day has a head when it is over"


class BadHead(Invalid):
    code = "bad_head"
    title = "The file is not a head"


class OtherHead(Conflict):
    code = "other_head"
    title = "The records have another head than was stored for the day"


CONSTRAINTS = {"trace_record_corrected_once": CorrectedTwice}
