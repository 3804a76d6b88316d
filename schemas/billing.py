"""Runs, invoices, and charges."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from schemas.common import Amount, Incoming, Name, Outgoing
from schemas.contracts import AmendmentCreate, VatMode


class InvoiceState(StrEnum):
    DRAFT = "draft"
    FINAL = "final"


class InvoiceKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class RunState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    """It waits for a person."""
    DONE = "done"
    DISCARDED = "discarded"
    """Its drafts were given up. A run of the same day begins anew."""


class Stage(StrEnum):
    PLAN = "plan"
    RATE = "rate"
    DRAFT = "draft"
    REVIEW = "review"
    FINALISE = "finalise"
    DELIVER = "deliver"


class ItemState(StrEnum):
    """What became of a contract in a run."""

    PENDING = "pending"
    DONE = "done"
    SKIPPED = "skipped"
    """It owed nothing."""
    FAILED = "failed"
    """It is tried again."""
    PARKED = "parked"
    """It waits until what is wrong with it is put right."""


class Component(StrEnum):
    """What sort of charge it is."""

    RENT = "rent"
    SERVICE = "service"
    CAPACITY = "capacity"
    THROUGHPUT = "throughput"
    CYCLES = "cycles"
    DISTANCE = "distance"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    AVAILABILITY = "availability"
    SHARING = "sharing"
    REGION = "region"
    ONE_OFF = "one_off"
    EARLY_TERMINATION = "early_termination"
    BUY_OUT = "buy_out"
    LOSS = "loss"
    DAMAGE = "damage"
    MISSING_PARTS = "missing_parts"
    CAPACITY_SHORTFALL = "capacity_shortfall"
    """Capacity that the lessee answers for, found at the joint inspection."""
    LOGISTICS = "logistics"
    """Taking packs back."""
    ADJUSTMENT = "adjustment"
    """Puts a charge right by agreement, for instance after a dispute."""


class BillingRunView(Outgoing, frozen=True):
    """A run, with what it has made final so far."""

    id: UUID
    as_of: date
    buyer_id: UUID | None
    """The only one that it bills."""
    state: RunState
    stopped_because: str | None
    approved_by: str | None
    started_at: datetime
    finished_at: datetime | None
    invoices: int
    total_amount: int
    held_invoices: int
    """Drafts that wait for an approval."""
    parked: int
    """Contracts that could not be billed."""
    held_lines: int
    """Lines that are not billed while the records of their packs contradict each other."""


class StageView(Outgoing, frozen=True):
    stage: Stage
    state: str
    total: int
    """Contracts in the first two stages, invoices in the others."""
    done: int
    charges: int
    started_at: datetime
    finished_at: datetime | None


class BillingRunDetail(BillingRunView, frozen=True):
    stages: list[StageView]


class BillingResult(Outgoing, frozen=True):
    """What became of a contract in a run."""

    contract_id: UUID
    from_on: date
    to_on: date
    billing_on: date
    state: ItemState
    attempts: int
    charges: int
    code: str | None
    reason: str | None


class HeldLine(Outgoing, frozen=True):
    line_id: UUID
    code: str
    reason: str


class PreviewedInvoice(Outgoing, frozen=True):
    """A draft that a run would make, beside the last invoice of the same customer."""

    kind: InvoiceKind
    seller_id: UUID | None
    buyer_id: UUID
    buyer_name: str
    currency: str
    period_from: date
    period_to: date
    net_amount: int
    vat_amount: int
    total_amount: int
    before_number: str | None
    before_amount: int | None


class PreviewedTrouble(Outgoing, frozen=True):
    """A contract that could not be billed."""

    contract_id: UUID
    code: str
    reason: str


class CauseKind(StrEnum):
    """Why an invoice differs from the one before."""

    NEW = "new"
    ENDED = "ended"
    PRICE = "price"
    DAYS = "days"
    USAGE = "usage"
    SLA = "sla"
    CORRECTION = "correction"
    FEES = "fees"


class Cause(Outgoing, frozen=True):
    currency: str
    cause: CauseKind
    lines: int
    amount: int
    """How much more was charged than the last time, before VAT as the contracts have it."""


class Compared(Outgoing, frozen=True):
    """What is charged in a currency and what was the last time, before VAT as the contracts have
    it; `causes` say why they differ, and add up to the difference."""

    currency: str
    last_amount: int
    this_amount: int


class BillingPreview(Outgoing, frozen=True):
    """What a run would make. Nothing of it is kept."""

    as_of: date
    contracts: int
    charges: int
    invoice_count: int
    invoices: list[PreviewedInvoice]
    """The first thousand."""
    trouble_count: int
    trouble: list[PreviewedTrouble]
    held_lines: int
    compared: list[Compared]
    causes: list[Cause]


class PreviewCreate(Incoming, frozen=True, kw_only=True):
    """What to preview: the bill of a day, also one to come, for one customer or for all."""

    as_of: date
    buyer_id: UUID | None = None


class NextBillCreate(Incoming, frozen=True):
    """The day whose bill to look at: today, or one of the year to come."""

    as_of: date


class NextBillLine(Outgoing, frozen=True):
    """What would be charged, or taken back."""

    line_id: UUID
    contract_id: UUID
    site_id: UUID
    pack_id: UUID | None
    component: str
    kind: Component
    takes_back: bool
    from_on: date
    to_on: date
    """First day that is not charged."""
    days: int
    period_days: int | None
    price_amount: int | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: int
    """With VAT in it when `vat_mode` is inclusive."""
    vat_mode: VatMode
    vat_percent: Decimal


class NextBill(Outgoing, frozen=True):
    """What a party would be billed as of a day, as things stand. Nothing of it is kept."""

    party_id: UUID
    as_of: date
    invoices: list[PreviewedInvoice]
    causes: list[Cause]
    """Why that differs from the bill before."""
    line_count: int
    lines: list[NextBillLine]
    """The first thousand."""
    contracts_left_out: int
    """Contracts that something is still to be settled about before they are billed."""
    lines_left_out: int
    """The same of single lines."""


class AmendmentPreviewCreate(Incoming, frozen=True, kw_only=True):
    """An amendment that is not made, and the day of the bill to look at."""

    as_of: date
    amendment: AmendmentCreate


class AmendmentPreview(Outgoing, frozen=True):
    """The customer's bill of a day as it is and as it would be."""

    before: BillingPreview
    after: BillingPreview


class DisputeState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    """In whole or in part."""
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class DisputeCreate(Incoming, frozen=True, kw_only=True):
    reason: Name


class DisputeAnswer(Incoming, frozen=True, kw_only=True):
    answer: Name
    credited_amount: Amount = 0
    """What is taken off the next bill, before VAT as the line is; nothing rejects the dispute."""


class DisputeView(Outgoing, frozen=True):
    """A dispute about one line of an invoice."""

    id: UUID
    line_id: UUID
    invoice_id: UUID
    reason: str
    state: DisputeState
    opened_by: str
    opened_at: datetime
    answer: str | None
    credited_amount: int | None
    fee_id: UUID | None
    """The adjustment on the next bill."""
    closed_by: str | None
    closed_at: datetime | None


class Approval(Incoming, frozen=True, kw_only=True):
    reason: Name


class Discard(Incoming, frozen=True, kw_only=True):
    reason: Name


class CreditNoteCreate(Incoming, frozen=True, kw_only=True):
    reason: Name


class InvoiceView(Outgoing, frozen=True):
    """An invoice, or a credit note, whose amounts are negative."""

    id: UUID
    run_id: UUID | None
    """None for a document that was issued by hand."""
    kind: InvoiceKind
    credits_id: UUID | None
    """The invoice that it takes back whole."""
    reason: str | None
    held_because: str | None
    """Why the draft waits for an approval."""
    number: str | None
    state: InvoiceState
    seller_id: UUID | None
    buyer_id: UUID
    currency: str
    period_from: date
    period_to: date
    issued_on: date | None
    due_on: date | None
    net_amount: int | None
    vat_amount: int | None
    total_amount: int | None


class ChargeView(Outgoing, frozen=True):
    """Rent for consecutive days of a period, a fee, or one of these taken back."""

    id: UUID
    invoice_id: UUID
    line_id: UUID
    contract_id: UUID
    site_id: UUID
    pack_id: UUID | None
    component: str
    """`rent`, a fee, or a component of the price plan by its code."""
    kind: Component
    fee_id: UUID | None
    reverses_id: UUID | None
    """The charge that this one takes back."""
    from_on: date
    to_on: date
    """First day that is not charged."""
    days: int
    period_days: int | None
    """Days of the whole billing period; none for a fee."""
    price_amount: int | None
    """Price of the whole period; none for a fee."""
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: int
    """With VAT in it when `vat_mode` is inclusive."""
    vat_mode: VatMode
    vat_percent: Decimal
    revision: int
    """How many times these days were charged, with this one."""


class LesseeChargeView(ChargeView, frozen=True):
    """What was charged for a lessee's line, and the final invoice that it stands on, whoever gets
    that."""

    taken_back: bool
    """By another charge, which names it in `reverses_id`."""
    invoice_number: str
    invoice_state: InvoiceState
    invoice_kind: InvoiceKind
    currency: str
    issued_on: date


class Evidence(Outgoing, frozen=True):
    """Something that a line rests on."""

    kind: str
    id: UUID
    path: str


class Explanation(Outgoing, frozen=True):
    """How a line came about, so that a person can check it by hand."""

    line: ChargeView
    invoice_number: str | None
    currency: str
    formula: str
    proration: str | None
    """How days of a broken period are counted."""
    detail: dict[str, Any] | None
    """Of a component of a price plan: days, tiers, registers at both ends, tests, minutes."""
    evidence: list[Evidence]
