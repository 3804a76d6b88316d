"""What is billed, and what is refused."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from leasing.kit.money import Number
from leasing.parties.model import NoSuchParty
from leasing.pricing.periods import SHORT_STUBS, Cycle, LongStubs, Mode
from leasing.pricing.plans import Facts
from leasing.pricing.proration import Basis
from schemas.billing import Component, DisputeState
from schemas.contracts import VatMode
from schemas.tariffs import Component as PlanComponent


class Billing(NamedTuple):
    """How often a contract is billed, when, and how broken periods are counted."""

    cycle: Cycle
    mode: Mode
    basis: Basis
    long: LongStubs = SHORT_STUBS
    """Ends of the contract's term that are billed with the period beside them."""
    return_days: int = 0
    """Days of rent that are owed after the last one of a stay when the pack goes back: one, where
    the day of return is billed (C5)."""
    is_apart: bool = False
    """Whether each period that was not billed in time goes onto an invoice of its own (C13)."""


Until = Callable[[Billing], date]
"""The day before which everything is owed, by how often is billed."""


class Segment(NamedTuple):
    """Days on which nothing changes that rent depends on, in half-open civil dates; `to_on` is
    None while they last. Days that are free (no pack, suspended) belong to no segment."""

    from_on: date
    to_on: date | None
    pack_id: UUID | None
    """None when no pack is chosen yet, in a quote."""
    site_id: UUID | None
    rent_amount: int
    """Of a whole period."""
    vat_mode: VatMode
    vat_percent: Decimal
    billing: Billing
    plan_id: UUID | None = None
    """The version of a price plan, which says what is charged besides the rent."""
    rated_wh: Number = 0


class Owed(NamedTuple):
    """What is owed for consecutive days of one period with one pack at one site. Two of them are
    the same charge when all but `detail` is equal."""

    component: str
    kind: Component
    from_on: date
    to_on: date
    period_days: int | None
    """Days of the whole period, by the contract's basis."""
    pack_id: UUID | None
    site_id: UUID | None
    price_amount: int | None
    """Of a whole period."""
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: int
    vat_mode: VatMode
    vat_percent: Decimal
    detail: dict[str, object] | None


class Charged(NamedTuple):
    """What was charged and not taken back."""

    id: UUID
    owed: Owed


class BillableLine(msgspec.Struct, frozen=True):
    """A line with everything its rent depends on, from the beginning of a period on, before which
    it is billed and nothing changed."""

    line_id: UUID
    contract_id: UUID
    segments: list[Segment]
    charged: list[Charged]
    billed_to: date | None
    """The day to which rent was charged."""
    restated: bool
    """Whether something changed before that day."""
    plans: Mapping[UUID, Sequence[PlanComponent]]
    """What the versions charge for that segments name."""
    facts: Facts
    """What those charges rest on."""
    revisions: dict[tuple[str, date], int]
    """How many times days were charged that begin on a day, of what."""


class Settlement(NamedTuple):
    """What makes a line's charges what they should be."""

    taken_back: list[Charged]
    owed: list[Owed]


class Charge(NamedTuple):
    """What one line is charged: rent and the like, or a fee, whose only day is the one on which it
    is owed."""

    line_id: UUID
    contract_id: UUID
    site_id: UUID | None
    pack_id: UUID | None
    component: str
    kind: Component
    fee_id: UUID | None
    from_on: date
    to_on: date
    period_days: int | None
    price_amount: int | None
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: int
    vat_mode: VatMode
    vat_percent: Decimal
    detail: dict[str, object] | None
    revision: int


class Sum(NamedTuple):
    """What the charges of an invoice come to, by what the tax depends on."""

    kind: Component
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


class Item(NamedTuple):
    """A contract that is due in a run: its invoice, and the whole period that is."""

    contract_id: UUID
    invoice_id: UUID
    from_on: date
    to_on: date
    billing_on: date
    attempts: int


class Due(NamedTuple):
    """When contracts that are billed alike are due: the period, and the day it is billed."""

    from_on: date
    to_on: date
    billing_on: date


class Draft(NamedTuple):
    """An invoice with what its charges come to, before it has a number."""

    id: UUID
    kind: str
    seller_id: UUID | None
    buyer_id: UUID
    currency: str
    sums: list[Sum]


class NoSuchInvoice(NotFound):
    code = "invoice_not_found"
    title = "There is no such invoice"


class NoSuchRun(NotFound):
    code = "billing_run_not_found"
    title = "There is no such billing run"


class InvoiceIsFinal(Conflict):
    code = "invoice_is_final"
    title = "A final invoice is not changed; it is corrected by another document"


class InvoiceIsDraft(Conflict):
    code = "invoice_is_draft"
    title = "Only a final invoice is credited"


class CreditedAlready(Conflict):
    code = "credited_already"
    title = "The invoice was credited before"


class CorrectedAlready(Conflict):
    code = "corrected_already"
    title = "Charges of the invoice were taken back before"


class DaysAlreadyBilled(Conflict):
    code = "days_already_billed"
    title = "These days of this line were billed before"


class NoSuchInvoiceLine(NotFound):
    code = "invoice_line_not_found"
    title = "There is no such invoice line"


class NoSuchDispute(NotFound):
    code = "dispute_not_found"
    title = "There is no such dispute"


class DisputedAlready(Conflict):
    code = "disputed_already"
    title = "A dispute about this line is open"


class DisputeClosed(Conflict):
    code = "dispute_closed"
    title = "The dispute is closed"


class MoreThanCharged(Conflict):
    code = "more_than_charged"
    title = "No more is given back than was charged"


class NotHeld(Conflict):
    code = "not_held"
    title = "Nothing waits for an approval"


class DraftInUse(Conflict):
    code = "draft_in_use"
    title = "Another bill has taken a part of the draft back"


class TooManyPeriods(Conflict):
    code = "too_many_periods"
    title = "A line owes more periods than are billed at once"


class NotInSight(Invalid):
    code = "not_in_sight"
    title = "Bills of that day cannot be known"


class PreviewUnderWay(Conflict):
    code = "preview_under_way"
    title = "A preview of this party's bill is being made"


class RunUnderWay(Conflict):
    code = "billing_run_under_way"
    title = "A run of this day is under way"


DISPUTE_STATES: dict[DisputeState, set[DisputeState]] = {
    DisputeState.OPEN: {DisputeState.ACCEPTED, DisputeState.REJECTED, DisputeState.WITHDRAWN},
    DisputeState.ACCEPTED: set(),
    DisputeState.REJECTED: set(),
    DisputeState.WITHDRAWN: set(),
}

CONSTRAINTS = {
    "charge_dispute_open_once": DisputedAlready,
    "billing_run_buyer_id_fkey": NoSuchParty,
    "invoice_final_is_immutable": InvoiceIsFinal,
    "invoice_credited_once": CreditedAlready,
    "charge_days_once": DaysAlreadyBilled,
    "charge_once": DaysAlreadyBilled,
    "charge_reversed_once": CorrectedAlready,
}
