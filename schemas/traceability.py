"""Records of packs' lives put right, and heads of days (溯源)."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import PRINTABLE, Incoming, Outgoing, Sha256

FactName = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z][a-z0-9_]*$(?!\n)")]
FactText = Annotated[str, Meta(max_length=500, pattern=PRINTABLE)]
Count = Annotated[int, Meta(ge=-(2**53), le=2**53)]


class RecordCorrection(Incoming, frozen=True, kw_only=True):
    """What a record should have said. It stays as it is; the correction is a record of its own."""

    reason: Annotated[str, Meta(min_length=1, max_length=500, pattern=PRINTABLE)]
    happened_on: date | None = None
    """The right day, when the day was wrong."""
    facts: Annotated[dict[FactName, FactText | Count | bool | None], Meta(max_length=50)] = {}
    """What was wrong, by its name in the record's `data`, with what is right."""


class TraceHeadView(Outgoing, frozen=True):
    """One hash over the newest record of every pack at the end of a day."""

    as_of: date
    packs: int
    records: int
    sha256: Sha256
    """Of the text that `leasing trace head --out` writes."""
    made_at: datetime


class CorrectionView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    sequence: int
    corrects_id: UUID
    hash: Sha256
