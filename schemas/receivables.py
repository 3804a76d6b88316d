"""What is owed and what settles it: payments, allocations, deposits, dunning, late interest."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from schemas.batches import MAX_ROWS, Batch
from schemas.common import Currency, Incoming, Name, Outgoing, Percent, Remark

PositiveAmount = Annotated[
    int, Meta(ge=1, le=10**15, description="Whole minor units of the currency (fen for CNY).")
]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        pattern=r"^[^\x00-\x08\x0e-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x08\x0e-\x1f\x7f]*$(?!\n)",
        description="Text that is not blank.",
    ),
]


class ReceivableKind(StrEnum):
    """What is owed for."""

    INVOICE = "invoice"
    """An invoice; a credit note when its amount is negative."""
    INTEREST = "interest"
    """Late interest of a month; given back when negative."""
    DUNNING_FEE = "dunning_fee"


class ReceivableView(Outgoing, frozen=True):
    """Something owed. An invoice has the id of its receivable."""

    id: UUID
    kind: ReceivableKind
    invoice_id: UUID
    """The invoice itself, or the one on whose account it is owed."""
    number: str
    party_id: UUID
    currency: str
    issued_on: date
    due_on: date
    amount: int
    """Negative when it is credit."""
    open_amount: int
    """What is not settled of it; of credit what is not used, negative."""
    written_off_amount: int
    overdue_since: date | None
    """The first day on which it was late, while something is open."""
    paid_on: date | None
    """The day of the last payment, once nothing is open and nothing was written off."""
    automatic: bool
    """Whether what is left of a credit goes to what is open by itself."""


# --- Payments and what they pay ---------------------------------------------------------------


class PaymentMethod(StrEnum):
    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    CASH = "cash"
    OFFSET = "offset"
    """Settled against something that we owe."""


class AllocationRow(Incoming, frozen=True, kw_only=True):
    receivable_id: UUID
    amount: PositiveAmount


Allocations = Annotated[list[AllocationRow], Meta(max_length=200)]


class PaymentCreate(Incoming, frozen=True, kw_only=True):
    payer_id: UUID
    currency: Currency = "CNY"
    amount: PositiveAmount
    received_on: date
    method: PaymentMethod
    reference: Name
    """The bank's own; a payer's second payment with it is refused."""
    note: Remark | None = None
    allocations: Allocations = []
    """What it pays, by hand. Each receivable is named once."""
    automatic: bool = True
    """What is left goes to what is open, now and each night; otherwise it waits for a hand."""


class PaymentBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[PaymentCreate], Meta(min_length=1, max_length=MAX_ROWS)]


class PaymentView(Outgoing, frozen=True):
    id: UUID
    payer_id: UUID
    currency: str
    amount: int
    unallocated_amount: int
    """The payer's credit: what pays nothing yet."""
    received_on: date
    method: PaymentMethod
    reference: str
    note: str | None
    automatic: bool
    bounced_on: date | None
    bounce_reason: str | None
    entered_by: str
    created_at: datetime


class BounceCreate(Incoming, frozen=True, kw_only=True):
    reason: Reason
    bounced_on: date | None = None
    """Today if not given."""


class AllocationsCreate(Incoming, frozen=True, kw_only=True):
    allocations: Allocations = []
    """Each receivable is named once. Without any, the oldest due are paid first, or as the payer's
    order says."""


class AllocationSource(StrEnum):
    PAYMENT = "payment"
    CREDIT = "credit"
    """A credit note, or interest given back."""
    DEPOSIT = "deposit"
    WRITE_OFF = "write_off"


class AllocationView(Outgoing, frozen=True):
    """A part of a receivable that is settled, or not any more when the amount is negative."""

    id: UUID
    source: AllocationSource
    payment_id: UUID | None
    credit_id: UUID | None
    contract_id: UUID | None
    """Whose deposit was used."""
    receivable_id: UUID
    party_id: UUID
    currency: str
    amount: int
    value_on: date
    """When the money came: late interest stops then."""
    posted_on: date
    reason: str | None
    reverses_id: UUID | None
    """The allocation that this one takes back."""
    entered_by: str
    entered_at: datetime


class ReversalCreate(Incoming, frozen=True, kw_only=True):
    reason: Reason
    reversed_on: date | None = None
    """Today if not given."""


class WriteOffCreate(Incoming, frozen=True, kw_only=True):
    reason: Reason
    written_off_on: date | None = None
    """Today if not given."""


class CreditApplied(Outgoing, frozen=True):
    allocations: list[AllocationView]


class FirstBy(StrEnum):
    DUE = "due"
    KIND = "kind"


class AllocationOrderPut(Incoming, frozen=True, kw_only=True):
    first: FirstBy
    """The oldest due first and of one day by kind, or kind by kind and of each the oldest."""
    kinds: Annotated[list[ReceivableKind], Meta(max_length=3)]
    """Those that are not named come last."""


class AllocationOrderView(Outgoing, frozen=True):
    party_id: UUID
    first: FirstBy
    kinds: list[ReceivableKind]


# --- Deposits ---------------------------------------------------------------------------------


class DepositMove(StrEnum):
    RECEIVED = "received"
    USED = "used"
    RETURNED = "returned"
    FORFEITED = "forfeited"


class DepositMovementCreate(Incoming, frozen=True, kw_only=True):
    kind: DepositMove
    amount: PositiveAmount
    payment_id: UUID | None = None
    """Out of which it was received."""
    receivable_id: UUID | None = None
    """What it was used for, for instance the invoice of a damage."""
    moved_on: date | None = None
    """Today if not given."""
    reason: Reason | None = None
    """Needed when it is kept."""


class DepositMovementView(Outgoing, frozen=True):
    id: UUID
    contract_id: UUID
    kind: DepositMove
    amount: int
    """What is held changes by it."""
    payment_id: UUID | None
    receivable_id: UUID | None
    posted_on: date
    reason: str | None
    reverses_id: UUID | None
    entered_by: str
    entered_at: datetime


class DepositView(Outgoing, frozen=True):
    contract_id: UUID
    party_id: UUID | None
    """Whose money it is: who gets the lessee's invoices; none while nothing was ever received."""
    currency: str
    demanded_amount: int | None
    """What the terms of the day say, for who may read them."""
    held_amount: int
    missing_amount: int | None
    received_amount: int
    used_amount: int
    returned_amount: int
    forfeited_amount: int


# --- Dunning ----------------------------------------------------------------------------------


class DayKind(StrEnum):
    BUSINESS = "business"
    """Counted in days on which people work in China."""
    CALENDAR = "calendar"
    """Counted in days; a step that falls on a holiday waits for the next business day."""


StepNumber = Annotated[int, Meta(ge=1, le=20, description="A later step has a higher one.")]
StepDays = Annotated[int, Meta(ge=1, le=365, description="After the due day.")]


class DunningStepPut(Incoming, frozen=True, kw_only=True):
    number: StepNumber
    name: Name
    days: StepDays
    day_kind: DayKind
    fee_amount: PositiveAmount | None = None
    """Owed when the step is reached, by invoices of its currency."""
    fee_currency: Currency | None = None


class DunningStepsPut(Incoming, frozen=True):
    """All steps. One whose number is not among them is not used any more."""

    steps: Annotated[list[DunningStepPut], Meta(max_length=20)]


class DunningStepView(Outgoing, frozen=True):
    id: UUID
    number: int
    name: str
    days: int
    day_kind: DayKind
    fee_amount: int | None
    fee_currency: str | None
    active: bool


class DunningNoticeView(Outgoing, frozen=True):
    """An invoice reached a step. A step that it passed while it was not looked at is left out."""

    id: UUID
    invoice_id: UUID
    number: str
    party_id: UUID
    currency: str
    step_id: UUID
    step_number: int
    step_name: str
    reached_on: date
    open_amount: int
    """What was open that day."""
    noted_at: datetime


class DunningPauseCreate(Incoming, frozen=True, kw_only=True):
    party_id: UUID | None = None
    invoice_id: UUID | None = None
    """One of the two."""
    reason: Reason
    until_on: date | None = None
    """The last day; open-ended if not given."""


class DunningPauseView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID | None
    invoice_id: UUID | None
    reason: str
    from_on: date
    until_on: date | None
    ended_on: date | None
    entered_by: str
    entered_at: datetime


# --- Late interest ----------------------------------------------------------------------------


class InterestTermsCreate(Incoming, frozen=True, kw_only=True):
    """For invoices due from a day on."""

    party_id: UUID | None = None
    """Those of everybody without terms of its own, if not given."""
    from_on: date
    annual_percent: Percent
    year_days: Literal[360, 365] = 365
    grace_days: Annotated[int, Meta(ge=0, le=365)] = 0
    grace_is_free: bool = False
    """Whether who pays after the days of grace owes nothing for them."""
    cap_percent: Percent | None = None
    """Of the invoice, at most."""


class InterestTermsView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID | None
    from_on: date
    annual_percent: Decimal
    year_days: int
    grace_days: int
    grace_is_free: bool
    cap_percent: Decimal | None
    entered_by: str
    entered_at: datetime


class InterestAccrualView(Outgoing, frozen=True):
    """Late interest of an invoice in a month, or a correction of months before."""

    id: UUID
    invoice_id: UUID
    party_id: UUID
    currency: str
    terms_id: UUID
    month: date
    correction: int
    """0 is the month's own interest."""
    from_on: date
    to_on: date
    """First day that is not counted."""
    amount: int
    posted_on: date
    entered_at: datetime


# --- Accounts ---------------------------------------------------------------------------------


class StatementLineKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"
    INTEREST = "interest"
    DUNNING_FEE = "dunning_fee"
    PAYMENT = "payment"
    BOUNCED_PAYMENT = "bounced_payment"
    WRITE_OFF = "write_off"
    DEPOSIT_USED = "deposit_used"
    DEPOSIT_RECEIVED = "deposit_received"
    """Out of a payment: it pays no invoice."""


class StatementLine(Outgoing, frozen=True):
    posted_on: date
    kind: StatementLineKind
    id: UUID
    """Of the receivable, payment, allocation or deposit movement."""
    number: str
    due_on: date | None
    """Of what is owed."""
    amount: int
    """What the party owes changes by it."""
    balance: int


class StatementView(Outgoing, frozen=True):
    """What a party owed on the eve of a day, what changed, and what it owed at the end of another.
    Negative is what we owe the party."""

    party_id: UUID
    currency: str
    from_on: date
    to_on: date
    """The last day."""
    opening_balance: int
    lines: list[StatementLine]
    closing_balance: int


class AgeingRow(Outgoing, frozen=True):
    currency: str
    not_due: int
    days_1_30: int
    days_31_60: int
    days_61_90: int
    days_over_90: int
    credit: int
    """Credit notes that were used for nothing, negative. Money without an invoice is not in it."""
    total: int
    ledger: int
    """What the account of receivables says."""
    agrees: bool


class AgeingView(Outgoing, frozen=True):
    as_of: date
    party_id: UUID | None
    rows: list[AgeingRow]
