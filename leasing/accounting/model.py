"""The lessor's books: what leases are, and what is refused."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from leasing.pricing.amortisation import Timing
from schemas.accounting import LeaseClass


class Stretch(NamedTuple):
    """Days of a line at one rent, half-open; days without rent (no pack, suspended) belong to
    none, rent-free days to one with a rent of nothing."""

    from_on: date
    to_on: date
    rent_amount: int
    """Of one whole month."""
    vat_percent: Decimal | None
    """VAT that is in the rent; none when it comes on top."""


Basis = tuple[Stretch, ...]
"""What a line owes over its term, as it was agreed at some time: stretches in order, neighbours at
one rent joined."""


class Plan(NamedTuple):
    """How the income of a line is spread from a day on, until the next plan. Income is counted from
    the beginning of the line, so `recognised_amount` is that before `from_on`."""

    from_on: date
    made_on: date
    """The end of the month for which it was made."""
    basis: Basis
    recognised_amount: int
    finance: "Finance | None" = None
    """What a finance lease has besides; none of an operating one."""


class Finance(NamedTuple):
    """The net investment in a line from a day on."""

    principal_amount: int
    """The net investment at that day."""
    rate: Decimal
    """Of a whole month, a fraction."""
    residual_amount: int
    timing: Timing
    commenced_amount: int
    """The net investment when the lease commenced."""
    asset_amount: int
    """What the asset stood in the books for then, initial direct costs among it."""
    remeasured_amount: int
    """What changes of the contract added to the net investment so far."""


class Values(msgspec.Struct, frozen=True):
    """What a classification said of each of its lines."""

    fair_value_amount: int
    carrying_amount: int
    initial_direct_costs_amount: int
    end_amount: int
    """What comes back at the end besides rent: the price of an option that is reasonably certain to
    be used, else the residual value, guaranteed or not."""
    annual_rate_percent: Decimal | None
    """None: the rate implicit in the lease."""


class LeaseLine(msgspec.Struct, frozen=True):
    """A line with everything its income depends on, as of the end of a month."""

    line_id: UUID
    rated_capacity_mah: int | None
    basis: Basis
    agreed_on: date
    """The day on which what holds of it was last agreed."""
    ended_on: date | None
    end_reason: str | None
    timing: Timing
    billed_amount: int
    """Net rent on invoices that were issued by then."""
    billed_to: date | None
    lease_class: LeaseClass
    values: Values | None
    """Of a finance lease."""
    plans: tuple[Plan, ...]


class BadMonth(Invalid):
    code = "bad_month"
    title = "A month is written like 2026-01"


class NoSuchPeriod(NotFound):
    code = "accounting_period_not_found"
    title = "The month was never closed"


class MonthNotOver(Conflict):
    code = "month_not_over"
    title = "A month is closed when it is over"


class PeriodClosed(Conflict):
    code = "period_closed"
    title = "The month is closed already"


class PeriodNotReady(Conflict):
    code = "period_not_ready"
    title = "The month cannot be closed yet"


class PeriodNotLast(Conflict):
    code = "period_not_last"
    title = "Only the latest closed month can be opened again"


class BadClassification(Invalid):
    code = "bad_classification"
    title = "The lease cannot be classified like this"


class LinesDiffer(Conflict):
    code = "lines_differ"
    title = "Only lines of one capacity, rent and term are classified together"


class NotModified(Conflict):
    code = "lease_not_modified"
    title = "A lease in the books is classified again only when its contract was modified"


class ClassIsPosted(Conflict):
    code = "lease_class_is_posted"
    title = "Months were posted with the lease in another class"
