"""A pack's whole life on one page, in one file, and as a signed archive; and the keys that sign."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from schemas.common import Outgoing
from schemas.packs import CodeScheme, PackState


class LifeFileFormat(StrEnum):
    JSON = "json"
    HTML = "html"
    ZIP = "zip"


class GapKind(StrEnum):
    NOT_ACQUIRED = "not_acquired"
    """Its history does not begin with its acquisition."""
    FIRST_LIFE_UNKNOWN = "first_life_unknown"
    """Nothing says what it was before it was acquired: no vehicle, no original code, no origin."""
    DAYS_UNACCOUNTED = "days_unaccounted"
    """Nothing says who had it."""
    STATE_UNEXPLAINED = "state_unexplained"
    """The records say of these days something else than the table of custody does."""
    NOT_COMMISSIONED = "not_commissioned"
    """It was on lease and no joint test at hand-over is there."""
    RETURN_NOT_TESTED = "return_not_tested"
    NOT_INSPECTED = "not_inspected"
    """It was declared waste, or leased again, after a return without an inspection."""
    NOT_RECEIVED = "not_received"
    """It left for a recycler, and nobody wrote down that it arrived."""
    NO_CERTIFICATE = "no_certificate"
    RECORD_AT_FAULT = "record_at_fault"
    """A record was changed, is missing or is not linked to the one before it."""


class GapView(Outgoing, frozen=True):
    kind: GapKind
    from_on: date | None
    to_on: date | None
    """The first day after it."""
    detail_en: str
    detail_zh: str


class LifeFileRecord(Outgoing, frozen=True):
    """A record as it was hashed; `data` is its text, letter for letter."""

    id: UUID
    sequence: int
    kind: str
    happened_on: date
    adcode: str | None
    party_id: UUID | None
    party: str | None
    corrects_id: UUID | None
    data: Any
    actor: str
    recorded_at: datetime
    previous_sha256: str | None
    sha256: str


class LifeFileCode(Outgoing, frozen=True):
    scheme: CodeScheme
    value: str
    valid_from: date | None
    valid_to: date | None
    is_current: bool


class LifeFileRelative(Outgoing, frozen=True):
    """What a pack was made from, or what was made from it."""

    pack_id: UUID | None
    code: str


class LifeFileStay(Outgoing, frozen=True):
    from_on: date
    to_on: date | None
    state: PackState
    party: str | None
    place: str | None
    """The site or the outlet, by its code."""
    adcode: str | None


class EvidenceView(Outgoing, frozen=True):
    """A document, a test or a signed form that a step rests on."""

    kind: str
    on: date | None
    number: str
    """What it is called: a report's number, a file's name, the signatories."""
    sha256: list[str]
    """Of files: photographs, reports."""
    href: str
    """Where the API tells more."""


class LifeFile(Outgoing, frozen=True, kw_only=True):
    made_at: datetime
    asked_for: str
    pack_id: UUID
    code: str
    codes: list[LifeFileCode]
    state: PackState
    chemistry: str
    made_on: date
    rated_energy_wh: int
    mass_kg: int
    vin: str | None
    carmaker: str | None
    acquired_on: date
    recycled_on: date | None
    passport_id: UUID | None
    made_from: list[LifeFileRelative]
    made_into: list[LifeFileRelative]
    records: list[LifeFileRecord]
    custody: list[LifeFileStay]
    evidence: list[EvidenceView]
    gaps: list[GapView]
    head_sha256: str | None
    """The hash of the newest record: whoever has it finds any change of the history before."""


class SigningKeyView(Outgoing, frozen=True):
    id: UUID
    algorithm: str
    public_pem: str
    created_at: datetime


class SigningKeys(Outgoing, frozen=True):
    """The newest signs; what older ones signed stays good."""

    keys: list[SigningKeyView]


class RegisterFormat(StrEnum):
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


class RegisterEntry(Outgoing, frozen=True):
    """One movement of one pack into an outlet or out of it."""

    on: date
    direction: str
    """`in` or `out`."""
    code: str
    source: str
    """Whom it came from; where that is not known, or not for an outlet to know, the prefecture."""
    vin: str | None
    kind: str
    quantity: int
    mass_kg: int
    weighed_kg: Decimal | None
    """On arrival, if it was weighed by itself."""
    consignment: str | None
    """The lot it came in with."""
    destination: str
    evidence: str | None
    """The certificate, for what went out to be recycled."""
    keep_until: date
    """Three years after, at the least."""


class RegisterView(Outgoing, frozen=True):
    outlet_id: UUID
    outlet_code: str
    outlet_name_zh: str
    outlet_name_en: str
    adcode: str
    operator: str
    from_on: date
    to_on: date
    """The first day after it."""
    packs_in: int
    kg_in: int
    packs_out: int
    kg_out: int
    entries: list[RegisterEntry]
