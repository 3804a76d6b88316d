"""Runs, invoices, charges, and the ledger."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class InvoiceState(StrEnum):
    DRAFT = "draft"
    FINAL = "final"


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
    id: UUID
    invoice_id: UUID
    line_id: UUID
    contract_id: UUID
    site_id: UUID
    pack_id: UUID
    component: str
    from_on: date
    to_on: date
    """First day that is not charged."""
    days: int
    month_days: int
    rent_amount: int
    amount: int
    vat_percent: Decimal


class AccountBalance(Outgoing, frozen=True):
    account: str
    currency: str
    debit: int
    credit: int


class TrialBalance(Outgoing, frozen=True):
    accounts: list[AccountBalance]
    balanced: bool
