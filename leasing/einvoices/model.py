"""E-invoices (数电票): states, what is sent and answered, and what is refused.

Types 81 and 82, the request's serial number, red-letter confirmations with their reasons and the
credit quota are as providers of the tax administration's interface (乐企) describe them. What is
marked "to be checked" is recalled, and must be compared with the interface's own description before
the first e-invoice goes out.
"""

from typing import Any
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, NotFound
from schemas.einvoices import EInvoiceKind, EInvoiceState, RedLetterReason, RedLetterState

E, R = EInvoiceState, RedLetterState

NEXT_STATES: dict[EInvoiceState, set[EInvoiceState]] = {
    E.DRAFTED: {E.SUBMITTED},
    E.SUBMITTED: {E.ISSUED, E.REJECTED},
    E.ISSUED: set(),
    E.REJECTED: set(),
}

NEXT_RED_STATES: dict[RedLetterState, set[RedLetterState]] = {
    R.DRAFTED: {R.APPLIED, R.REVOKED},
    R.APPLIED: {R.CONFIRMED, R.REFUSED, R.LAPSED, R.REVOKED},
    R.CONFIRMED: {R.ISSUED, R.REVOKED},
    R.REFUSED: set(),
    R.LAPSED: set(),
    R.REVOKED: set(),
    R.ISSUED: set(),
}

TYPE_CODES = {EInvoiceKind.SPECIAL: "81", EInvoiceKind.ORDINARY: "82"}
REASON_CODES = {
    RedLetterReason.WRONG: "01",
    RedLetterReason.RETURNED: "02",
    RedLetterReason.SERVICE_ENDED: "03",
    RedLetterReason.ALLOWANCE: "04",
}

MAX_BATCH = 100
"""Requests that the interface takes at once."""
MAX_LINES = 2_000
"""Lines of one e-invoice; with more it has their sums, and the lines go along as a list. To be
checked."""


class Item(msgspec.Struct, frozen=True):
    """What a component of ours is to the tax administration."""

    name: str
    tax_code: str


class TaxLine(msgspec.Struct, frozen=True):
    """A line as it is sent. Amounts are in whole minor units."""

    item: Item
    vat_percent: str
    net_amount: int
    vat_amount: int
    remark: str | None


class Request(msgspec.Struct, frozen=True):
    """What is sent for one e-invoice or red letter, as it was when it was drafted."""

    serial: str
    content: dict[str, Any]
    list_of: UUID | None = None
    """The invoice whose lines go along as a list."""


class Dispatch(msgspec.Struct, frozen=True):
    """Up to a hundred requests under a name of their own. Sent twice it is the same."""

    name: str
    content: bytes
    lists: dict[str, bytes]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one request. `result` is a state of an e-invoice or of a red letter."""

    serial: str
    result: str
    number: str | None = None
    """Of the e-invoice, 20 digits; or of the red-letter confirmation."""
    issued_at: str | None = None
    code: str | None = None
    message: str | None = None


class AnswerFile(msgspec.Struct, frozen=True):
    name: str
    content: bytes


class NoSuchEInvoice(NotFound):
    code = "einvoice_not_found"
    title = "There is no such e-invoice"


class NoSuchRedLetter(NotFound):
    code = "red_letter_not_found"
    title = "There is no such red-letter confirmation"


class NoQuota(NotFound):
    code = "einvoice_quota_not_found"
    title = "No quota was entered for this month"


class NotForEInvoice(Conflict):
    code = "not_for_einvoice"
    title = "This document cannot be an e-invoice"


class EInvoicedAlready(Conflict):
    code = "einvoiced_already"
    title = "There is an e-invoice for this document already"


class QuotaExceeded(Conflict):
    code = "einvoice_quota_exceeded"
    title = "The month's quota does not allow this"


class NotForRedLetter(Conflict):
    code = "not_for_red_letter"
    title = "This cannot be taken back by a red letter"


class RedLetteredAlready(Conflict):
    code = "red_lettered_already"
    title = "There is a red letter for this already"


class CannotBecome(Conflict):
    code = "einvoice_state"
    title = "It is not in a state in which this can happen"


CONSTRAINTS = {
    "einvoice_once": EInvoicedAlready,
    "red_letter_once": RedLetteredAlready,
}
