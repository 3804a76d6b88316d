"""The lessor's books: closing months, classes of leases, their schedules."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Amount, Incoming, Name, Outgoing, Percent

PositiveAmount = Annotated[int, Meta(ge=1, le=10**15)]


class PeriodState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class Reopening(Incoming, frozen=True, kw_only=True):
    reason: Annotated[Name, Meta(description="Why the books of a closed month must change.")]


class PeriodView(Outgoing, frozen=True):
    """A month that was closed once, and whether it still is."""

    id: UUID
    month: date
    """Its first day."""
    state: PeriodState
    closed_by: str
    closed_at: datetime
    reopened_by: str | None
    reopened_at: datetime | None
    reopen_reason: str | None


class CheckView(Outgoing, frozen=True):
    """Something that must hold before a month is closed."""

    code: str
    title: str
    passed: bool
    found: int
    """How many things are in the way, or by how many minor units two sums differ."""


class ChecklistView(Outgoing, frozen=True):
    month: date
    state: PeriodState
    checks: list[CheckView]
    ready: bool
    """Whether all checks passed."""


class LeaseClass(StrEnum):
    OPERATING = "operating"
    FINANCE = "finance"


class ClassOverride(Incoming, frozen=True, kw_only=True):
    """The tests are indicators; a person may decide otherwise, and says why."""

    lease_class: LeaseClass
    reason: Name


MAX_LINES = 20_000


class LeaseClassificationCreate(Incoming, frozen=True, kw_only=True):
    """Values of one line at the inception of the lease, in minor units of its currency."""

    line_ids: Annotated[list[UUID], Meta(min_length=1, max_length=MAX_LINES)] | None = None
    """Lines of one capacity, rent and term; all that have not ended, without it."""
    fair_value_amount: PositiveAmount
    carrying_amount: Amount | None = None
    """What the pack stands in the books for; its fair value without it."""
    remaining_life_months: Annotated[int, Meta(ge=1, le=600)]
    guaranteed_residual_amount: Amount = 0
    unguaranteed_residual_amount: Amount = 0
    initial_direct_costs_amount: Amount = 0
    """Booked with the asset until the lease commences."""
    ownership_transfers: bool = False
    """The pack is the lessee's when the term is over."""
    purchase_option_amount: Amount | None = None
    purchase_option_certain: bool = False
    """It is reasonably certain that the option will be used."""
    specialised: bool = False
    """Only this lessee could use the pack without major changes."""
    annual_rate_percent: Percent | None = None
    """Nominal yearly rate to discount by; the rate implicit in the lease, without it."""
    term_threshold_percent: Percent = "75"
    """From which share of the remaining life on a term is the major part of it."""
    value_threshold_percent: Percent = "90"
    """From which share of the fair value on the payments are substantially all of it."""
    override: ClassOverride | None = None


class LeaseTest(StrEnum):
    OWNERSHIP = "ownership_transfers"
    OPTION = "purchase_option_certain"
    TERM = "term_is_major_part_of_life"
    VALUE = "payments_are_substantially_all_of_value"
    SPECIALISED = "asset_is_specialised"


class LeaseTestView(Outgoing, frozen=True):
    """One of the situations that make a lease a finance lease (IFRS 16.63)."""

    test: LeaseTest
    percent: str | None
    """What was found, where the test is one of a share."""
    threshold_percent: str | None
    met: bool


class LeaseClassificationView(Outgoing, frozen=True):
    """A decision with everything it rests on; it is never changed, only followed by another."""

    id: UUID
    contract_id: UUID
    number: int
    lines: int
    inputs: LeaseClassificationCreate
    tests: list[LeaseTestView]
    monthly_rate_percent: str
    """By which the payments were discounted."""
    payments_value_amount: int
    """Present value of the lease payments of one line."""
    proposed_class: LeaseClass
    decided_class: LeaseClass
    decided_by: str
    decided_at: datetime


class LeaseClassificationsView(Outgoing, frozen=True):
    contract_id: UUID
    classifications: list[LeaseClassificationView]


class LeaseMonthView(Outgoing, frozen=True):
    month: date
    rent_amount: int
    """What is owed for its days, without VAT."""
    income_amount: int
    """Straight-line income; of finance leases, interest."""
    balance_amount: int
    """At its end: of operating leases what was earned and not owed yet (below nothing: owed and not
    earned); of finance leases the net investment, when what is owed was paid."""


class LeaseScheduleView(Outgoing, frozen=True):
    """The lines of a contract month by month, when things go as agreed now."""

    contract_id: UUID
    currency: str
    operating_lines: int
    operating: list[LeaseMonthView]
    finance_lines: int
    finance: list[LeaseMonthView]
