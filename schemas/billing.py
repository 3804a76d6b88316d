"""Runs, invoices, charges, and the ledger."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing
from schemas.contracts import VatMode


class InvoiceState(StrEnum):
    DRAFT = "draft"
    FINAL = "final"


class Component(StrEnum):
    """What a charge is for."""

    RENT = "rent"
    EARLY_TERMINATION = "early_termination"
    BUY_OUT = "buy_out"
    LOSS = "loss"
    DAMAGE = "damage"


class BillingRunView(Outgoing, frozen=True):
    id: UUID
    period_from: date
    period_to: date
    state: str
    started_at: datetime
    finished_at: datetime | None
    invoices: int
    total_amount: int


class InvoiceView(Outgoing, frozen=True):
    """An invoice. Its amounts are negative when more was taken back than charged."""

    id: UUID
    run_id: UUID
    number: str | None
    state: InvoiceState
    lessee_id: UUID
    currency: str
    period_from: date
    period_to: date
    issued_on: date | None
    due_on: date | None
    net_amount: int | None
    vat_amount: int | None
    total_amount: int | None


class ChargeView(Outgoing, frozen=True):
    """Rent for consecutive days of a month, a fee, or one of these taken back."""

    id: UUID
    invoice_id: UUID
    line_id: UUID
    contract_id: UUID
    site_id: UUID
    pack_id: UUID | None
    component: Component
    fee_id: UUID | None
    reverses_id: UUID | None
    """The charge that this one takes back."""
    from_on: date
    to_on: date
    """First day that is not charged."""
    days: int
    month_days: int | None
    """Days of the month; none for a fee."""
    rent_amount: int | None
    """Rent of the whole month; none for a fee."""
    amount: int
    """With VAT in it when `vat_mode` is inclusive."""
    vat_mode: VatMode
    vat_percent: Decimal


class AccountBalance(Outgoing, frozen=True):
    account: str
    currency: str
    debit: int
    credit: int


class TrialBalance(Outgoing, frozen=True):
    accounts: list[AccountBalance]
    balanced: bool
