"""What is billed, and what is refused."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, NotFound


class Stay(NamedTuple):
    """A pack's stay in a line, in half-open civil dates; `to_on` is None while it lasts."""

    pack_id: UUID
    from_on: date
    to_on: date | None


class BilledStay(NamedTuple):
    """A part of a stay, in half-open civil dates."""

    pack_id: UUID
    from_on: date
    to_on: date


class BillableLine(msgspec.Struct, frozen=True):
    """A line with everything its rent depends on."""

    line_id: UUID
    contract_id: UUID
    site_id: UUID
    rent_amount: int
    vat_percent: Decimal
    stays: list[Stay]
    billed_to: date | None
    """Everything before this day was billed."""


class Charge(NamedTuple):
    """Rent of one line for consecutive days of one month with one pack in it."""

    line_id: UUID
    contract_id: UUID
    site_id: UUID
    pack_id: UUID
    from_on: date
    to_on: date
    month_days: int
    rent_amount: int
    amount: int
    vat_percent: Decimal


class Totals(msgspec.Struct, frozen=True):
    net_amount: int
    vat_amount: int

    @property
    def total_amount(self) -> int:
        return self.net_amount + self.vat_amount


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
