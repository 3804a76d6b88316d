"""Legal persons: the lessor, its customers, recyclers."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from schemas.common import Adcode, Code, Incoming, Name, Outgoing


class PartyKind(StrEnum):
    LESSOR = "lessor"
    CUSTOMER = "customer"
    RECYCLER = "recycler"


class PartyCreate(Incoming, frozen=True):
    kind: PartyKind
    name: Name
    credit_code: Code | None = None
    """Unified social credit code (GB 32100), 18 characters with a check character."""
    home_adcode: Adcode | None = None


class PartyView(Outgoing, frozen=True):
    id: UUID
    kind: PartyKind
    name: str
    credit_code: str | None
    home_adcode: str | None
    generated: bool
    created_at: datetime


class QualificationKind(StrEnum):
    """The evidence asked of a utilisation firm: investment filing, environmental impact
    assessment, discharge permit (Order No. 73, Art. 18), and the advisory listing."""

    FILING = "filing"
    EIA = "eia"
    DISCHARGE_PERMIT = "discharge_permit"
    LISTING = "listing"


class QualificationCreate(Incoming, frozen=True, kw_only=True):
    kind: QualificationKind
    valid_from: date
    valid_to: date | None = None
    """First day on which it is no longer valid; none for evidence without an end of its own."""
    document: Name


class QualificationWithdraw(Incoming, frozen=True):
    kind: QualificationKind
    withdrawn_on: date
    document: Name


class QualificationView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID
    kind: QualificationKind
    valid_from: date
    valid_to: date | None
    document: str
    withdrawn_on: date | None
    withdrawal_document: str | None
