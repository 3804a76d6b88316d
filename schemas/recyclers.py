"""Recyclers: how they come on the list and go, what they may do, and what they pay."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Name, Outgoing, Sha256
from schemas.outlets import ChemistryLetter
from schemas.parties import QualificationKind, QualificationView


class ListingState(StrEnum):
    """Where a firm stands with the list of the 2024 conditions (有进有出). The list is advisory."""

    APPLIED = "applied"
    LISTED = "listed"
    RECTIFYING = "rectifying"
    """Still on the list, with one year to put things right."""
    WITHDRAWN = "withdrawn"
    """Off the list, or barred from it, for two years."""
    ELIGIBLE = "eligible"
    """Not on the list, and may apply again."""


class ListingReason(StrEnum):
    APPLICATION = "application"
    ANNOUNCED = "announced"
    """The announcement that puts the firm on the list."""
    REFUSED = "refused"
    CONDITIONS_NOT_KEPT = "conditions_not_kept"
    FALSE_DATA = "false_data"
    INSPECTION_REFUSED = "inspection_refused"
    IDLE = "idle"
    """Main equipment stopped for two years, or a load below 10 %."""
    RECTIFIED = "rectified"
    ACCIDENT = "accident"
    """A safety or environmental accident, general or worse: off at once."""
    VIOLATION = "violation"
    """A serious violation: off at once."""
    GIVEN_UP = "given_up"
    ANNOUNCED_WITHDRAWAL = "announced_withdrawal"
    PENALTY = "penalty"
    """An administrative penalty under Order No. 73, Art. 42: two years, listed or not."""
    NO_ANNUAL_REPORT = "no_annual_report"
    NOT_RECTIFIED = "not_rectified"
    BAR_OVER = "bar_over"
    REPORT_WAS_IN_TIME = "report_was_in_time"
    """The report that was missed had been filed in time, and was entered late."""


class ListingStepCreate(Incoming, frozen=True, kw_only=True):
    reason: ListingReason
    """Decides the state that follows. What the passing of days brings is not entered."""
    on: date
    document: Name
    document_sha256: Sha256 | None = None


class ListingStepView(Outgoing, frozen=True):
    id: UUID
    recycler_id: UUID
    sequence: int
    state: ListingState
    from_on: date
    reason: ListingReason
    document: str
    document_sha256: str | None
    listed_on: date | None
    ends_on: date | None
    entered_by: str
    entered_at: datetime


class AnnualReportCreate(Incoming, frozen=True, kw_only=True):
    year: Annotated[int, Meta(ge=2019, le=2200)]
    filed_on: date
    document: Name
    document_sha256: Sha256 | None = None


class AnnualReportView(Outgoing, frozen=True):
    year: int
    filed_on: date
    document: str
    document_sha256: str | None
    in_time: bool
    """Filed by the end of March of the year after."""


class NoticeSubject(StrEnum):
    FILING = "filing"
    EIA = "eia"
    DISCHARGE_PERMIT = "discharge_permit"
    LISTING = "listing"
    ANNUAL_REPORT = "annual_report"
    RECTIFICATION = "rectification"


class NoticeView(Outgoing, frozen=True):
    id: UUID
    recycler_id: UUID
    subject: NoticeSubject
    lapses_on: date
    """First day on which it no longer holds, or is too late."""
    days: int
    """Which notice it is: of 90, 30 or 7 days before."""
    document: str
    noticed_on: date


class WithdrawalCreate(Incoming, frozen=True, kw_only=True):
    announcement_no: Name
    document: Name
    document_sha256: Sha256 | None = None
    withdrawn_on: date
    kinds: Annotated[list[QualificationKind], Meta(min_length=1, max_length=4)]
    """The evidence that ends on that day. With `listing` the firms go off the list, too."""
    firms: Annotated[
        list[Annotated[str, Meta(min_length=1, max_length=36)]],
        Meta(min_length=1, max_length=1_000),
    ]
    """Unified social credit codes or ids of recyclers."""


class WithdrawnOutlet(Outgoing, frozen=True):
    id: UUID
    code: str
    recycler_id: UUID
    open_routings: int
    open_kg: int


class WithdrawnFirm(Outgoing, frozen=True):
    id: UUID
    name: str
    credit_code: str | None
    lost: list[QualificationKind]
    """Which of the kinds it held before that day and not any more."""
    still_valid: list[QualificationKind]
    """Which of the kinds it has other evidence of that begins on that day or later."""
    gate_lost: bool
    """Whether evidence that Art. 18 asks for is among them: nothing may be handed over to it."""
    outlets: int
    open_routings: int
    open_kg: int


class WithdrawalView(Outgoing, frozen=True):
    """What was withdrawn, and what that hits as of now: reserved, and to be handed over on that
    day or later."""

    id: UUID
    announcement_no: str
    document: str
    document_sha256: str | None
    withdrawn_on: date
    kinds: list[QualificationKind]
    entered_at: datetime
    firms: list[WithdrawnFirm]
    outlets: list[WithdrawnOutlet]
    """The outlets of these firms that have open routings."""
    open_routings: int
    open_kg: int
    to_reroute: int
    """Those of firms that lost evidence of Art. 18."""


class WithdrawalListed(Outgoing, frozen=True):
    id: UUID
    announcement_no: str
    document: str
    withdrawn_on: date
    kinds: list[QualificationKind]
    firms: int
    entered_at: datetime


# --- Prices -----------------------------------------------------------------------------------


class OfferDisposition(StrEnum):
    REPAIR = "repair"
    DISMANTLE = "dismantle"
    RECYCLE = "recycle"


PricePerKg = Annotated[
    str,
    Meta(
        pattern=r"^-?(1000(\.0{1,4})?|[0-9]{1,3}(\.[0-9]{1,4})?)$(?!\n)",
        description="CNY per kg as text, four decimals at most; below nothing the lessor pays.",
    ),
]
Credit = Annotated[
    str,
    Meta(
        pattern=r"^(1000(\.0{1,4})?|[0-9]{1,3}(\.[0-9]{1,4})?)$(?!\n)",
        description="CNY per kg as text, four decimals at most.",
    ),
]


class OfferCreate(Incoming, frozen=True, kw_only=True):
    recycler_id: UUID
    chemistry: ChemistryLetter
    disposition: OfferDisposition = OfferDisposition.RECYCLE
    valid_from: date
    valid_to: date | None = None
    """First day on which it no longer holds."""
    cny_per_kg: PricePerKg
    """The whole price, material included."""
    material_cny_per_kg: Credit = "0"
    """How much of it is given as raw material instead of money."""
    source: Name
    """The quotation or contract it comes from."""


class OfferEnd(Incoming, frozen=True, kw_only=True):
    ended_on: date
    """First day on which it no longer holds."""


class OfferView(Outgoing, frozen=True):
    id: UUID
    recycler_id: UUID
    chemistry: str
    disposition: OfferDisposition
    valid_from: date
    valid_to: date | None
    cny_per_kg: Decimal
    material_cny_per_kg: Decimal
    money_cny_per_kg: Decimal
    """The price without what is given as material."""
    source: str
    entered_by: str
    entered_at: datetime


# --- One recycler -----------------------------------------------------------------------------


class RecyclerOutlet(Outgoing, frozen=True):
    id: UUID
    code: str
    name_zh: str
    kind: str
    adcode: str
    free_kg: int
    closed_from: date | None


class RecyclerView(Outgoing, frozen=True):
    """Everything of one recycler on a day."""

    id: UUID
    name: str
    credit_code: str | None
    as_of: date
    missing: list[QualificationKind]
    """Evidence of Art. 18 that it does not hold on that day: with any missing, nothing may be
    handed over to it."""
    evidence: list[QualificationView]
    listing_state: ListingState | None
    """None when it never had to do with the list."""
    listing_ends_on: date | None
    steps: list[ListingStepView]
    reports: list[AnnualReportView]
    outlets: int
    first_outlets: list[RecyclerOutlet]
    """The first 100; all with `GET /v1/outlets?recycler_id=`."""
    prices: list[OfferView]
    notices: list[NoticeView]
    """Of what has not lapsed yet, the nearest first."""
