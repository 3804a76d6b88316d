"""Quotes: what a lease would cost, worked out before there is one."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.billing import Component
from schemas.common import Amount, Code, Incoming, Milliamperehours, Name, Outgoing
from schemas.contracts import ContractTerms, Slot


class QuotedLine(Incoming, frozen=True, kw_only=True):
    """So many packs of one kind, at a site if it is known already."""

    site_id: UUID | None = None
    slot: Slot = 1
    """The first, when there are several."""
    count: Annotated[int, Meta(ge=1, le=1000)] = 1
    rated_capacity_mah: Milliamperehours
    rent_amount: Amount
    """Rent of one pack for one whole month."""
    handed_over_on: date | None = None
    """When rent is expected to start; with the term if not given."""


class QuotedTerms(ContractTerms, frozen=True, kw_only=True):
    """One of the alternatives of a quote."""

    label: Name
    lines: Annotated[list[QuotedLine], Meta(min_length=1, max_length=1000)]


class QuoteCreate(Incoming, frozen=True, kw_only=True):
    lessee_id: UUID | None = None
    """Whom it is for, if that party was entered already."""
    valid_to: date
    """The last day on which it can be accepted."""
    alternatives: Annotated[list[QuotedTerms], Meta(min_length=1, max_length=2)]


class QuoteAcceptance(Incoming, frozen=True, kw_only=True):
    alternative: Annotated[int, Meta(ge=1, le=2, description="1 is the first.")]
    number: Code
    """Of the contract that is made."""
    lessor_id: UUID | None = None
    lessee_id: UUID | None = None
    """Needed when the quote names none."""
    site_ids: Annotated[list[UUID], Meta(max_length=1000)] = []
    """Sites of the lines that were quoted without one, in their order."""


class QuoteState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    EXPIRED = "expired"


class ScheduledCharge(Outgoing, frozen=True):
    """What packs that are alike are charged for days of one billing period, a month when no other
    is agreed."""

    component: Component
    from_on: date
    to_on: date
    """First day that is not charged."""
    days: int
    month_days: int
    """Days of the whole period."""
    count: int
    """How many packs."""
    rent_amount: int
    """Of one pack for the whole period."""
    amount: int
    """Of one pack for these days: rent_amount × days ÷ month_days, rounded."""
    total_amount: int
    """Of all of them."""


class ScheduledMonth(Outgoing, frozen=True):
    """What the invoice of a month, or of another billing period, comes to."""

    from_on: date
    to_on: date
    charges: list[ScheduledCharge]
    net_amount: int
    vat_amount: int
    total_amount: int


class Alternative(Outgoing, frozen=True):
    label: str
    terms: QuotedTerms
    packs: int
    months: list[ScheduledMonth]
    net_amount: int
    vat_amount: int
    total_amount: int
    """Rent of the whole term."""
    deposit_amount: int
    buy_out_amount: int | None
    """What all packs would cost at the end of the term; none if they are not for sale."""


class QuoteView(Outgoing, frozen=True):
    id: UUID
    lessee_id: UUID | None
    valid_to: date
    state: QuoteState
    alternatives: list[Alternative]
    accepted_alternative: int | None
    contract_id: UUID | None
    accepted_at: datetime | None
    created_by: str
    created_at: datetime


class QuoteSummary(Outgoing, frozen=True):
    id: UUID
    lessee_id: UUID | None
    valid_to: date
    state: QuoteState
    labels: list[str]
    contract_id: UUID | None
    created_by: str
    created_at: datetime


class SettledComponent(Outgoing, frozen=True):
    component: Component
    charges: int
    """How many."""
    amount: int
    """As the contract says, with or without VAT."""


class SettledAlternative(Outgoing, frozen=True):
    """One way to end a contract, and what is still owed then."""

    components: list[SettledComponent]
    net_amount: int
    vat_amount: int
    total_amount: int


class SettlementView(Outgoing, frozen=True):
    """What ending a contract early on a day would cost. Nothing is written."""

    contract_id: UUID
    on: date
    currency: str
    vat_percent: Decimal
    lines: int
    given_back: SettledAlternative | None
    """The packs go back on that day; none if the contract knows no early end."""
    bought: SettledAlternative | None
    """The lessee buys them all; none if they are not for sale."""
    deposit_amount: int
    """What the terms demand."""
    deposit_held_amount: int
    """What is held, and to be paid back."""
