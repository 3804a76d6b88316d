"""Lease contracts (以租代售), their lines, and what happens in them."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.batches import MAX_ROWS, Batch
from schemas.common import (
    Amount,
    Code,
    Currency,
    Incoming,
    Milliamperehours,
    Name,
    Outgoing,
    Percent,
    Remark,
    Sha256,
)


class ContractState(StrEnum):
    DRAFT = "draft"
    OFFERED = "offered"
    SIGNED = "signed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDING = "ending"
    """The day of its end is known; packs are going back."""
    ENDED = "ended"
    CANCELLED = "cancelled"
    """Given up before it came into force."""


class EndingReason(StrEnum):
    EXPIRY = "expiry"
    NOTICE = "notice"
    EARLY_TERMINATION = "early_termination"
    AGREEMENT = "agreement"
    """Both sides let it end before its time."""
    TRANSFER = "transfer"


class VatMode(StrEnum):
    EXCLUSIVE = "exclusive"
    """VAT comes on top of the amounts of the contract."""
    INCLUSIVE = "inclusive"
    """The amounts of the contract contain VAT."""


class BillingFrequency(StrEnum):
    WEEKLY = "weekly"
    FORTNIGHTLY = "fortnightly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    HALF_YEARLY = "half_yearly"
    YEARLY = "yearly"


class BillingAlignment(StrEnum):
    CALENDAR = "calendar"
    """Periods begin on one day of the month, weeks on Monday; the first and last may be broken."""
    ANNIVERSARY = "anniversary"
    """Periods are counted from a day, the contract's first unless another is agreed."""


class BillingTiming(StrEnum):
    ADVANCE = "advance"
    """A period is billed on its first day."""
    ARREARS = "arrears"
    """A period is billed when it is over."""


class Proration(StrEnum):
    """How days of a broken period are counted; a whole one is always its whole price."""

    ACTUAL = "actual"
    FIXED_30 = "fixed_30"
    MONTHFIXED_30 = "monthfixed_30"
    THIRTY_360 = "30/360"


class Stub(StrEnum):
    """What is done with days at an end of the term that do not fill a period. They cost the same
    either way."""

    SHORT = "short"
    """They are billed as a period of their own."""
    LONG = "long"
    """They are billed together with the whole period beside them."""


class ReturnDay(StrEnum):
    """Whether rent is owed for the day on which a pack goes back."""

    FREE = "free"
    BILLED = "billed"


class CatchUp(StrEnum):
    """What becomes of several periods that were not billed in time."""

    ONE_INVOICE = "one_invoice"
    INVOICE_EACH = "invoice_each"


class Renewal(StrEnum):
    NONE = "none"
    AUTOMATIC = "automatic"
    NEGOTIATED = "negotiated"


class PermittedUse(StrEnum):
    """What the packs may be used for. A use that the law forbids has a name here so that it can
    be refused by name."""

    TELECOM_BACKUP = "telecom_backup"
    STATIONARY_STORAGE = "stationary_storage"
    LOGISTICS_VEHICLE = "logistics_vehicle"
    FORKLIFT = "forklift"
    BUS = "bus"
    E_BIKE = "e_bike"


class NoEarlyEnd(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="not_allowed"):
    """The lessee is bound to the end of the term."""


class MonthsOfRent(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="months_of_rent"):
    """Ending early costs so many months' rent, at most what was left to pay."""

    months: Annotated[int, Meta(ge=0, le=120)]


class ShareOfRemainingRent(
    Incoming, frozen=True, kw_only=True, tag_field="kind", tag="share_of_remaining_rent"
):
    """Ending early costs a part of the rent that was left to pay."""

    percent: Percent


EarlyTermination = NoEarlyEnd | MonthsOfRent | ShareOfRemainingRent


class NoBuyOut(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """The packs stay the lessor's."""


class FixedBuyOut(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    """A pack may be bought at one price at any time. Rent paid is not credited."""

    amount: Amount


class DecliningBuyOut(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="declining"):
    """The price falls by a part of the first price with every whole month since hand-over, down
    to a floor. Rent paid is not credited beyond that."""

    amount: Amount
    monthly_percent: Percent
    floor_amount: Amount


BuyOut = NoBuyOut | FixedBuyOut | DecliningBuyOut


class NoEscalator(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="none"):
    """The rent stays as agreed."""


class FixedEscalator(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="fixed"):
    """The rent rises by a percentage every so many months, worked out from the agreed rent."""

    percent: Percent
    every_months: Annotated[int, Meta(ge=1, le=120)]


class EscalationStep(Incoming, frozen=True, kw_only=True):
    from_on: date
    percent_of_base: Annotated[
        str,
        Meta(
            pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?$(?!\n)",
            description="The rent from that day on, in per cent of the agreed rent.",
        ),
    ]


class TableEscalator(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """The rent follows a table."""

    steps: Annotated[list[EscalationStep], Meta(min_length=1, max_length=60)]


SignedPercent = Annotated[
    str,
    Meta(
        pattern=r"^-?(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)$(?!\n)",
        description="-100 to 100 as text, with two decimals at most.",
    ),
]


class IndexEscalator(Incoming, frozen=True, kw_only=True, tag_field="kind", tag="index"):
    """The rent follows a price index by steps of months, always worked out from the agreed rent: ×
    index of the month of the step, less a lag ÷ index of the base month. A step whose index is not
    published yet is taken when it is, for its own day."""

    series: Code
    base_month: date
    """First day of the month whose index the agreed rent stands for."""
    every_months: Annotated[int, Meta(ge=1, le=120)]
    lag_months: Annotated[int, Meta(ge=0, le=24)] = 0
    floor_percent: SignedPercent | None = None
    """The least change against the agreed rent; 0 keeps it from falling."""
    cap_percent: SignedPercent | None = None
    """The greatest."""
    decimals: Annotated[int, Meta(ge=-4, le=0)] = 0
    """Of the new rent in minor units: 0 is a fen, -2 a whole yuan."""


Escalator = NoEscalator | FixedEscalator | TableEscalator | IndexEscalator

PaymentDays = Annotated[int, Meta(ge=0, le=365, description="From the invoice to the due date.")]
BillingDay = Annotated[int, Meta(ge=1, le=31, description="Cut to the length of the month.")]
ReplacementDays = Annotated[
    int, Meta(ge=1, le=365, description="Within which a pack below its guarantee is replaced.")
]
NoticeDays = Annotated[int, Meta(ge=0, le=730)]
Months = Annotated[int, Meta(ge=1, le=120)]
MinimumMonths = Annotated[int, Meta(ge=0, le=240)]
GuaranteedMinutes = Annotated[int, Meta(ge=1, le=43_200)]
Slot = Annotated[int, Meta(ge=1, le=1000)]
TimeZone = Annotated[
    str, Meta(min_length=1, max_length=64, description="IANA name; civil days are counted in it.")
]


class LineCreate(Incoming, frozen=True, kw_only=True):
    """Positions by specification, so many packs of a kind at a site; or one by a named pack."""

    site_id: UUID
    slot: Slot
    """The first, when there are several."""
    count: Annotated[int, Meta(ge=1, le=1000, description="Slots in a row, one line each.")] = 1
    pack_id: UUID | None = None
    """This pack and no other is handed over first."""
    rated_capacity_mah: Milliamperehours
    rent_amount: Amount
    """Rent of one whole billing period."""
    price_plan_version_id: UUID | None = None
    """What is charged besides the rent: a published version, in the contract's currency."""


class ContractTerms(Incoming, frozen=True, kw_only=True):
    """What two sides agree on, whoever they are and wherever the packs will stand."""

    starts_on: date
    ends_on: date
    """First day after the term."""
    currency: Currency = "CNY"
    time_zone: TimeZone = "Asia/Shanghai"
    vat_mode: VatMode = VatMode.EXCLUSIVE
    vat_percent: Percent
    payment_days: PaymentDays
    billing_frequency: BillingFrequency = BillingFrequency.MONTHLY
    billing_alignment: BillingAlignment = BillingAlignment.CALENDAR
    billing_timing: BillingTiming = BillingTiming.ARREARS
    billing_day: BillingDay = 1
    """Along the calendar: the day of the month on which a period begins."""
    billing_anchor_on: date | None = None
    """By anniversary: the day from which periods are counted."""
    billing_end_of_month: bool = False
    """Periods begin on the last day of the month, whatever its number."""
    proration: Proration = Proration.ACTUAL
    first_stub: Stub = Stub.SHORT
    """Days from the start of the term to the first day of a period."""
    last_stub: Stub = Stub.SHORT
    """Days from the first day of the last period to the end of the term, if they are not all."""
    return_day: ReturnDay = ReturnDay.FREE
    catch_up: CatchUp = CatchUp.ONE_INVOICE
    guarantee_percent: Percent
    """Capacity that the lessor guarantees, in per cent of the line's rated capacity."""
    replacement_days: ReplacementDays
    autonomy_minutes: GuaranteedMinutes | None = None
    """How long each site's packs are guaranteed to carry its load."""
    availability_percent: Percent | None = None
    notice_days: NoticeDays = 0
    renewal: Renewal = Renewal.NONE
    renewal_months: Months | None = None
    minimum_months: MinimumMonths = 0
    deposit_amount: Amount = 0
    permitted_use: PermittedUse = PermittedUse.TELECOM_BACKUP
    early_termination: EarlyTermination = NoEarlyEnd()
    buy_out: BuyOut = NoBuyOut()
    escalator: Escalator = NoEscalator()


class ContractCreate(ContractTerms, frozen=True, kw_only=True):
    number: Code
    lessor_id: UUID | None = None
    lessee_id: UUID
    lines: Annotated[list[LineCreate], Meta(max_length=1000)]


class TermsPatch(Incoming, frozen=True):
    """What may be changed of the terms; what is not named stays."""

    vat_mode: VatMode | UnsetType = UNSET
    vat_percent: Percent | UnsetType = UNSET
    payment_days: PaymentDays | UnsetType = UNSET
    billing_frequency: BillingFrequency | UnsetType = UNSET
    billing_alignment: BillingAlignment | UnsetType = UNSET
    billing_timing: BillingTiming | UnsetType = UNSET
    billing_day: BillingDay | UnsetType = UNSET
    billing_anchor_on: date | UnsetType | None = UNSET
    billing_end_of_month: bool | UnsetType = UNSET
    proration: Proration | UnsetType = UNSET
    first_stub: Stub | UnsetType = UNSET
    last_stub: Stub | UnsetType = UNSET
    return_day: ReturnDay | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    guarantee_percent: Percent | UnsetType = UNSET
    replacement_days: ReplacementDays | UnsetType = UNSET
    autonomy_minutes: GuaranteedMinutes | UnsetType | None = UNSET
    availability_percent: Percent | UnsetType | None = UNSET
    notice_days: NoticeDays | UnsetType = UNSET
    renewal: Renewal | UnsetType = UNSET
    renewal_months: Months | UnsetType | None = UNSET
    minimum_months: MinimumMonths | UnsetType = UNSET
    deposit_amount: Amount | UnsetType = UNSET
    permitted_use: PermittedUse | UnsetType = UNSET
    early_termination: EarlyTermination | UnsetType = UNSET
    buy_out: BuyOut | UnsetType = UNSET
    escalator: Escalator | UnsetType = UNSET


class ContractPatch(TermsPatch, frozen=True):
    """A change to a draft."""

    starts_on: date | UnsetType = UNSET
    ends_on: date | UnsetType = UNSET


class ContractView(Outgoing, frozen=True):
    id: UUID
    number: str
    lessor_id: UUID | None
    lessee_id: UUID
    starts_on: date
    ends_on: date | None
    """First day after the term; none while it holds over."""
    currency: str
    time_zone: str
    vat_mode: VatMode
    vat_percent: Decimal
    payment_days: int
    billing_frequency: BillingFrequency
    billing_alignment: BillingAlignment
    billing_timing: BillingTiming
    billing_day: int
    billing_anchor_on: date | None
    billing_end_of_month: bool
    proration: Proration
    first_stub: Stub
    last_stub: Stub
    return_day: ReturnDay
    catch_up: CatchUp
    guarantee_percent: Decimal
    replacement_days: int
    autonomy_minutes: int | None
    availability_percent: Decimal | None
    notice_days: int
    renewal: Renewal
    renewal_months: int | None
    minimum_months: int
    deposit_amount: int
    permitted_use: PermittedUse
    early_termination: EarlyTermination
    buy_out: BuyOut
    escalator: Escalator
    revision: int
    """Which revision of the terms holds today."""
    state: ContractState
    offered_at: datetime | None
    signed_at: datetime | None
    activated_at: datetime | None
    suspended_at: datetime | None
    ending_on: date | None
    ending_reason: EndingReason | None
    ended_on: date | None
    ended_at: datetime | None
    cancelled_at: datetime | None
    transferred_from: UUID | None
    line_count: int
    version: int


class Signature(Incoming, frozen=True, kw_only=True):
    lessor_signatory: Name
    lessee_signatory: Name


class SuspensionCreate(Incoming, frozen=True, kw_only=True):
    from_on: date
    """First day without rent."""
    reason: Name


class ResumptionCreate(Incoming, frozen=True, kw_only=True):
    from_on: date
    """First day with rent again."""


class NoticeCreate(Incoming, frozen=True, kw_only=True):
    """One side says that the contract will not go on."""

    given_on: date
    ending_on: date
    """First day after the lease."""
    reason: Name


class TerminationCreate(Incoming, frozen=True, kw_only=True):
    """Ending before the term is over, at the contract's price."""

    on: date
    reason: Name


class RenewalCreate(Incoming, frozen=True, kw_only=True):
    months: Months
    reason: Name = "renewed"


class LinePrice(Incoming, frozen=True, kw_only=True):
    line_id: UUID
    rent_amount: Amount


class LinePlan(Incoming, frozen=True, kw_only=True):
    line_id: UUID
    price_plan_version_id: UUID | None
    """None: nothing but the rent from then on."""


class AmendmentCreate(Incoming, frozen=True, kw_only=True):
    """Other terms, rents or price plans from a day on."""

    from_on: date
    reason: Name
    terms: TermsPatch = TermsPatch()
    rents: Annotated[list[LinePrice], Meta(max_length=1000)] = []
    plans: Annotated[list[LinePlan], Meta(max_length=1000)] = []


class Change(Outgoing, frozen=True):
    """One thing that an amendment changes."""

    line_id: UUID | None
    """The line, or none for a term of the contract."""
    field: str
    before: object
    after: object


class AmendmentView(Outgoing, frozen=True):
    contract_id: UUID
    from_on: date
    revision: int | None
    """The revision of the terms that it made; none if it changed rents alone."""
    changes: list[Change]
    restated_lines: int
    """Lines that were billed beyond that day: their charges are put right on the next invoice."""


class EscalationCreate(Incoming, frozen=True, kw_only=True):
    from_on: date


class EscalationView(Outgoing, frozen=True):
    contract_id: UUID
    from_on: date
    line_ids: list[UUID]
    """The lines whose rent changed."""


class TransferCreate(Incoming, frozen=True, kw_only=True):
    """Another lessee takes the contract over; packs stay where they are."""

    number: Code
    """Number of the new lessee's contract."""
    lessee_id: UUID
    from_on: date
    lessor_signatory: Name
    lessee_signatory: Name
    new_lessee_signatory: Name


class RevisionView(Outgoing, frozen=True):
    """The terms between two days."""

    number: int
    from_on: date
    to_on: date | None
    vat_mode: VatMode
    vat_percent: Decimal
    payment_days: int
    billing_frequency: BillingFrequency
    billing_alignment: BillingAlignment
    billing_timing: BillingTiming
    billing_day: int
    billing_anchor_on: date | None
    billing_end_of_month: bool
    proration: Proration
    first_stub: Stub
    last_stub: Stub
    return_day: ReturnDay
    catch_up: CatchUp
    guarantee_percent: Decimal
    replacement_days: int
    autonomy_minutes: int | None
    availability_percent: Decimal | None
    notice_days: int
    renewal: Renewal
    renewal_months: int | None
    minimum_months: int
    deposit_amount: int
    permitted_use: PermittedUse
    early_termination: EarlyTermination
    buy_out: BuyOut
    escalator: Escalator
    cause: str
    entered_by: str
    entered_at: datetime


class LinesCreate(Incoming, frozen=True, kw_only=True):
    """Positions added to a contract."""

    from_on: date
    lines: Annotated[list[LineCreate], Meta(min_length=1, max_length=1000)]


class LinesAdded(Outgoing, frozen=True):
    line_ids: list[UUID]
    """In the order in which the positions were given."""


class LineView(Outgoing, frozen=True):
    """A line as it is on a day."""

    id: UUID
    contract_id: UUID
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    rent_amount: int
    price_plan_version_id: UUID | None
    suspended: bool
    revision: int
    named_pack_id: UUID | None
    """The pack that was agreed by name."""
    from_on: date
    """First day agreed for it."""
    started_on: date | None
    """Day of the first hand-over: rent starts."""
    ended_on: date | None
    end_reason: str | None
    pack_id: UUID | None
    """The pack that stands there."""


class LineRevisionView(Outgoing, frozen=True):
    """A line's position and rent between two days."""

    number: int
    from_on: date
    to_on: date | None
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    base_rent_amount: int
    base_from_on: date
    rent_amount: int
    price_plan_version_id: UUID | None
    suspended: bool
    cause: str
    entered_by: str
    entered_at: datetime


class AcceptanceCreate(Incoming, frozen=True, kw_only=True):
    """The joint test at hand-over, signed by both sides."""

    pack_id: UUID
    accepted_on: date
    tested_capacity_mah: Milliamperehours
    lessor_signatory: Name
    lessee_signatory: Name
    photo_sha256: Annotated[list[Sha256], Meta(max_length=50)] = []
    remarks: Remark = ""
    shipped_on: date | None = None
    """The day the pack left the warehouse; `accepted_on` if not given. A cascade product's leaving
    is to be reported."""


class SwapCreate(AcceptanceCreate, frozen=True, kw_only=True):
    """One pack out, another in. The rent changes only with the capacity class."""

    rated_capacity_mah: Milliamperehours | None = None
    """Capacity class of the line from then on, if it changes."""
    rent_amount: Amount | None = None
    """Its rent; goes with a change of the capacity class, and only with one."""


class RelocationCreate(Incoming, frozen=True, kw_only=True):
    site_id: UUID
    slot: Slot
    moved_on: date
    reason: Name


class IncidentKind(StrEnum):
    MISSING = "missing"
    STOLEN = "stolen"
    DAMAGED = "damaged"
    BURNT = "burnt"


class Liability(StrEnum):
    LESSEE = "lessee"
    LESSOR = "lessor"
    THIRD_PARTY = "third_party"
    OPEN = "open"


class IncidentCreate(Incoming, frozen=True, kw_only=True):
    kind: IncidentKind
    happened_on: date
    """From this day on nobody pays rent for a pack that is missing, stolen or burnt."""
    description: Annotated[Remark, Meta(min_length=1)]
    police_report: Name | None = None
    liable: Liability = Liability.OPEN
    compensation_amount: Amount | None = None
    """What the lessee owes for it; only if the lessee is liable."""
    photo_sha256: Annotated[list[Sha256], Meta(max_length=50)] = []


class FoundCreate(Incoming, frozen=True, kw_only=True):
    found_on: date


class IncidentView(Outgoing, frozen=True):
    id: UUID
    line_id: UUID
    pack_id: UUID
    kind: IncidentKind
    happened_on: date
    description: str
    police_report: str | None
    liable: Liability
    photo_sha256: list[str]
    found_on: date | None
    entered_by: str
    entered_at: datetime


class BuyOutCreate(Incoming, frozen=True, kw_only=True):
    bought_on: date
    """First day on which the pack is the lessee's: rent stops."""


class FeeView(Outgoing, frozen=True):
    """What is owed once."""

    id: UUID
    line_id: UUID
    contract_id: UUID
    pack_id: UUID | None
    component: str
    owed_on: date
    amount: int
    reason: str


class BuyOutView(Outgoing, frozen=True):
    line: LineView
    fee: FeeView | None
    """What is owed for the pack; none if its price is nothing."""


class ReturnCreate(Incoming, frozen=True, kw_only=True):
    """The joint test on return, signed by both sides."""

    returned_on: date
    """The day the test passed: rent stops on it, the day itself is free."""
    tested_capacity_mah: Milliamperehours
    lessor_signatory: Name
    lessee_signatory: Name
    photo_sha256: Annotated[list[Sha256], Meta(max_length=50)] = []
    remarks: Remark = ""


class LossCreate(Incoming, frozen=True, kw_only=True):
    """A lost pack is not replaced."""

    ended_on: date


class RemovalCreate(Incoming, frozen=True, kw_only=True):
    """A position without a pack is given up."""

    on: date


class PlacementView(Outgoing, frozen=True):
    id: UUID
    line_id: UUID
    pack_id: UUID
    acceptance_id: UUID
    site_id: UUID
    slot: int
    from_on: date
    to_on: date | None


# Many at once


class LineRow(Incoming, frozen=True, kw_only=True):
    """One position from a day on."""

    site_id: UUID
    slot: Slot
    from_on: date
    pack_id: UUID | None = None
    """This pack and no other is handed over first."""
    rated_capacity_mah: Milliamperehours
    rent_amount: Amount
    """Rent of one whole billing period."""
    price_plan_version_id: UUID | None = None
    """What is charged besides the rent."""


class LineBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[LineRow], Meta(min_length=1, max_length=MAX_ROWS)]


class AcceptanceRow(AcceptanceCreate, frozen=True, kw_only=True):
    line_id: UUID


class AcceptanceBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[AcceptanceRow], Meta(min_length=1, max_length=MAX_ROWS)]


class SwapRow(SwapCreate, frozen=True, kw_only=True):
    line_id: UUID


class SwapBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[SwapRow], Meta(min_length=1, max_length=MAX_ROWS)]


class ReturnRow(ReturnCreate, frozen=True, kw_only=True):
    line_id: UUID


class ReturnBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[ReturnRow], Meta(min_length=1, max_length=MAX_ROWS)]
