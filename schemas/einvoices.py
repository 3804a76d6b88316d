"""Digital e-invoices of the Chinese tax administration (数电票), and red-letter confirmations."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.batches import MAX_ROWS, Batch
from schemas.billing import Component
from schemas.common import Amount, Incoming, Outgoing


class EInvoiceKind(StrEnum):
    SPECIAL = "special"
    """增值税专用发票, type 81: the buyer deducts its VAT."""
    ORDINARY = "ordinary"
    """普通发票, type 82."""


class EInvoiceState(StrEnum):
    DRAFTED = "drafted"
    SUBMITTED = "submitted"
    ISSUED = "issued"
    REJECTED = "rejected"


class RedLetterState(StrEnum):
    DRAFTED = "drafted"
    APPLIED = "applied"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    """By the other side."""
    LAPSED = "lapsed"
    """The other side did not answer in time."""
    REVOKED = "revoked"
    ISSUED = "issued"
    """The red invoice is there."""


class RedLetterReason(StrEnum):
    WRONG = "wrong"
    """01 开票有误"""
    RETURNED = "returned"
    """02 销货退回"""
    SERVICE_ENDED = "service_ended"
    """03 服务中止"""
    ALLOWANCE = "allowance"
    """04 销售折让"""


class EInvoiceCreate(Incoming, frozen=True):
    invoice_id: UUID
    kind: EInvoiceKind = EInvoiceKind.SPECIAL


class EInvoiceBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[EInvoiceCreate], Meta(min_length=1, max_length=MAX_ROWS)]


class RedLetterCreate(Incoming, frozen=True):
    credit_note_id: UUID
    """The document that takes back what the e-invoice says."""
    reason: RedLetterReason


class QuotaPut(Incoming, frozen=True):
    amount: Amount
    """What may be invoiced in the month, without VAT (授信额度)."""


class ItemPut(Incoming, frozen=True):
    name: Annotated[
        str, Meta(pattern=r"^\*[^*\x00-\x1f\x7f]+\*[^\x00-\x1f\x7f]+$(?!\n)", max_length=90)
    ]
    """Short name of the tax class between stars, then what it is: *经营租赁*电池租赁."""
    tax_code: Annotated[str, Meta(pattern=r"^[0-9]{19}$(?!\n)")]
    """Code of the tax class (商品和服务税收分类编码), 19 digits."""


class EInvoiceView(Outgoing, frozen=True):
    """An e-invoice of an invoice; of a red letter when `red_letter_id` is there, with amounts
    below zero."""

    id: UUID
    invoice_id: UUID
    red_letter_id: UUID | None
    kind: EInvoiceKind
    serial: str
    """Serial number of the request; of 20 digits, and never used twice."""
    state: EInvoiceState
    net_amount: int
    vat_amount: int
    has_list: bool
    """Whether its lines are on a list (清单), and it has their sums."""
    number: str | None
    issued_at: datetime | None
    rejected_code: str | None
    rejected_message: str | None
    created_at: datetime
    submitted_at: datetime | None


class RedLetterView(Outgoing, frozen=True):
    id: UUID
    einvoice_id: UUID
    credit_note_id: UUID
    reason: RedLetterReason
    serial: str
    state: RedLetterState
    net_amount: int
    vat_amount: int
    confirmation_number: str | None
    message: str | None
    created_at: datetime
    closed_at: datetime | None


class QuotaView(Outgoing, frozen=True):
    month: date
    """Its first day."""
    amount: int
    used_amount: int
    """Net amount of the month's e-invoices that are not rejected."""
    set_by: str
    set_at: datetime


class ItemView(Outgoing, frozen=True):
    component: Component
    name: str
    tax_code: str
