"""What is billed, and what is refused."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, NotFound
from schemas.billing import Component
from schemas.contracts import VatMode


class Segment(NamedTuple):
    """Days on which nothing changes that rent depends on, in half-open civil dates; `to_on` is
    None while they last. Days that are free (no pack, suspended) belong to no segment."""

    from_on: date
    to_on: date | None
    pack_id: UUID | None
    """None when no pack is chosen yet, in a quote."""
    site_id: UUID | None
    rent_amount: int
    """Of one whole month."""
    vat_mode: VatMode
    vat_percent: Decimal


class Rent(NamedTuple):
    """What is owed for consecutive days of one month with one pack at one site."""

    from_on: date
    to_on: date
    month_days: int
    pack_id: UUID | None
    site_id: UUID | None
    rent_amount: int
    amount: int
    vat_mode: VatMode
    vat_percent: Decimal


class Charged(NamedTuple):
    """Rent that was charged and not taken back."""

    id: UUID
    rent: Rent


class BillableLine(msgspec.Struct, frozen=True):
    """A line with everything its rent depends on, from the first of a month on, before which it
    is billed and nothing changed."""

    line_id: UUID
    contract_id: UUID
    segments: list[Segment]
    charged: list[Charged]
    billed_to: date | None
    """The day to which rent was charged."""
    restated: bool
    """Whether something changed before that day."""


class Settlement(NamedTuple):
    """What makes a line's charges what they should be."""

    taken_back: list[Charged]
    owed: list[Rent]


class Charge(NamedTuple):
    """What one line is charged: rent, or a fee, whose only day is the one on which it is owed."""

    line_id: UUID
    contract_id: UUID
    site_id: UUID | None
    pack_id: UUID | None
    component: Component
    fee_id: UUID | None
    from_on: date
    to_on: date
    month_days: int | None
    rent_amount: int | None
    amount: int
    vat_mode: VatMode
    vat_percent: Decimal


class Sum(NamedTuple):
    """What the charges of an invoice come to, by what the tax depends on."""

    component: Component
    vat_mode: VatMode
    vat_percent: Decimal
    amount: int


class Totals(msgspec.Struct, frozen=True):
    net_amount: int
    vat_amount: int

    @property
    def total_amount(self) -> int:
        return self.net_amount + self.vat_amount


class Statement(msgspec.Struct, frozen=True):
    """What an invoice comes to: by tax rate, by account, and as a whole."""

    by_rate: dict[Decimal, Totals]
    net_by_account: dict[str, int]
    whole: Totals


class NoSuchInvoice(NotFound):
    code = "invoice_not_found"
    title = "There is no such invoice"


class InvoiceIsFinal(Conflict):
    code = "invoice_is_final"
    title = "A final invoice is not changed; it is corrected by another document"


class DaysAlreadyBilled(Conflict):
    code = "days_already_billed"
    title = "These days of this line were billed before"


CONSTRAINTS = {
    "invoice_final_is_immutable": InvoiceIsFinal,
    "charge_days_once": DaysAlreadyBilled,
}
