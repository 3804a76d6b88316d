"""Income of leases over their terms (IFRS 16.61-97; CAS 21 on lessors), pure.

An operating lease earns the same in every month whatever is billed when (16.81). A finance lease
is an investment that bears interest at one rate (16.75). What a contract says changes; then what is
left is spread anew over what is left of the term (16.87), and a net investment is measured anew at
its old rate (IFRS 9 5.4.3, by 16.80(b)). Income is counted from the beginning of a line, so the
books of any month are what should have been posted by its end, less what was posted before.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import NamedTuple

from leasing.accounting.model import Basis, Finance, LeaseLine, Plan, Stretch, Values
from leasing.kit.money import allocate, half_up, prorate
from leasing.kit.time import month_of
from leasing.pricing.amortisation import (
    Row,
    effective_interest,
    implied_rate,
    periodic_rate,
    present_value,
)
from schemas.accounting import LeaseClass

ALIKE = 2_000
"""As many plans are remembered: lines of a contract are mostly alike, and are worked out once."""

RELEASED_TO = {"bought_out": "gain_on_lease", "lost": "gain_on_lease"}
"""Where the rest of a net investment goes when its pack does not come back."""


# Rent by calendar month


class Month(NamedTuple):
    """Days of a calendar month from a day on: what is owed for them without VAT, on how many of
    them rent is owed, and how many the whole month has."""

    from_on: date
    to_on: date
    amount: int
    days: int
    length: int

    @property
    def weight(self) -> int:
        """The days with rent as a part of the whole month, by a measure that all months share."""
        return self.days * (ALL_LENGTHS // self.length)

    @property
    def elapsed(self) -> Fraction:
        """All the days as a part of the whole month."""
        return Fraction((self.to_on - self.from_on).days, self.length)


ALL_LENGTHS = lcm(28, 29, 30, 31)


@lru_cache(ALIKE)
def by_month(basis: Basis, from_on: date) -> tuple[Month, ...]:
    """The months of a line from a day on to its end."""
    found = []
    start = from_on
    while basis and start < basis[-1].to_on:
        first, following = month_of(start)
        end = min(following, basis[-1].to_on)
        length = (following - first).days
        days, amount = 0, 0
        for one in basis:
            used = (min(end, one.to_on) - max(start, one.from_on)).days
            if used > 0:
                days += used
                amount += net(prorate(one.rent_amount, used, length), one.vat_percent)
        found.append(Month(start, end, amount, days, length))
        start = end
    return tuple(found)


def net(amount: int, vat_percent: Decimal | None) -> int:
    """An amount without the VAT that is in it.

    >>> net(11_300, Decimal(13)), net(11_300, None)
    (10000, 11300)
    """
    if vat_percent is None:
        return amount
    return half_up(amount * 100 / (100 + Fraction(vat_percent)))


def owed(basis: Basis) -> int:
    """Everything a line owes, without VAT."""
    return sum(month.amount for month in by_month(basis, basis[0].from_on)) if basis else 0


def joined(stretches: Iterable[Stretch]) -> Basis:
    """Stretches in order, neighbours at one rent made one."""
    found: list[Stretch] = []
    for one in stretches:
        last = found[-1] if found else None
        if last is not None and last.to_on == one.from_on and last[2:] == one[2:]:
            found[-1] = last._replace(to_on=one.to_on)
        else:
            found.append(one)
    return tuple(found)


def first_difference(one: Basis, other: Basis) -> date | None:
    """The first day on which two bases are not the same."""
    days = sorted({day for stretch in one + other for day in stretch[:2]})
    return next((day for day in days if rent_on(one, day) != rent_on(other, day)), None)


def rent_on(basis: Basis, on: date) -> tuple[int, Decimal | None] | None:
    for one in basis:
        if one.from_on <= on < one.to_on:
            return one.rent_amount, one.vat_percent
    return None


# Income by a plan


class Earned(NamedTuple):
    """What a plan earns in the days of a month; `balance` is a net investment at their end."""

    month: Month
    income: int
    balance: int


@lru_cache(ALIKE)
def earnings(plan: Plan) -> tuple[Earned, ...]:
    """A plan month by month, from its first day to the end of the line."""
    months = by_month(plan.basis, plan.from_on)
    if plan.finance is not None:
        rows = amortised(plan.finance, months)
        return tuple(
            Earned(month, row.interest, row.balance)
            for month, row in zip(months, rows, strict=True)
        )
    left = owed(plan.basis) - plan.recognised_amount
    if not any(month.days for month in months):
        return ()
    # The same in every whole month (`amortisation.straight_line`, without its running balance).
    spread = allocate(left, [month.weight for month in months])
    return tuple(Earned(month, income, 0) for month, income in zip(months, spread, strict=True))


def amortised(finance: Finance, months: Sequence[Month]) -> list[Row]:
    if not months:
        return []
    return effective_interest(
        finance.principal_amount,
        [month.amount for month in months],
        rates(finance.rate, months),
        finance.timing,
        finance.residual_amount,
    )


def rates(rate: Decimal, months: Sequence[Month]) -> list[Fraction]:
    """The rate of each month; one that is not whole bears less."""
    return [Fraction(rate) * month.elapsed for month in months]


def income_to(plans: Sequence[Plan], until: date) -> int:
    """What a line earned before a day. A plan of which nothing is left to spread over, since the
    line ended, earns the rest at once."""
    held = [plan for plan in plans if plan.from_on <= until]
    if not held:
        return 0
    plan = held[-1]
    rows = earnings(plan)
    if not rows and plan.finance is None:
        return owed(plan.basis)
    return plan.recognised_amount + sum(part_before(row, until, plan) for row in rows)


def part_before(row: Earned, until: date, plan: Plan) -> int:
    """The part of a month's income that was earned before a day."""
    month = row.month
    if until >= month.to_on:
        return row.income
    if until <= month.from_on:
        return 0
    if plan.finance is not None:
        return prorate(row.income, (until - month.from_on).days, (month.to_on - month.from_on).days)
    if not month.days:
        return 0
    used = sum(
        max(0, (min(until, one.to_on) - max(month.from_on, one.from_on)).days) for one in plan.basis
    )
    return prorate(row.income, used, month.days)


def balance_at(plan: Plan, on: date) -> int:
    """The net investment of a plan when a month begins."""
    assert plan.finance is not None
    past = [row for row in earnings(plan) if row.month.to_on <= on]
    return past[-1].balance if past else plan.finance.principal_amount


# Making plans


def planned(line: LeaseLine, to_on: date) -> Plan | None:
    """The plan that a line needs at the end of a month, if it is not the one it has."""
    if not line.basis:
        return None
    if not line.plans:
        begins_on = line.basis[0].from_on
        return first_plan(line, to_on) if begins_on < to_on else None
    last = line.plans[-1]
    changed_on = first_difference(last.basis, line.basis)
    if changed_on is None:
        return None
    # A change takes effect when both sides agree to it (IFRS 16 App. A), or on its day when that
    # is past; what merely happened, such as a return, on its day.
    agreed = line.agreed_on >= last.made_on
    from_on = max(last.from_on, min(changed_on, line.agreed_on) if agreed else changed_on)
    if from_on > to_on:
        return None
    if last.finance is None:
        return Plan(from_on, to_on, line.basis, income_to(line.plans, from_on))
    return remeasured(line, last, last.finance, from_on, to_on)


def first_plan(line: LeaseLine, to_on: date) -> Plan:
    """The plan of a line that commences. Raises `ValueError` when no rate makes what it pays worth
    what was given."""
    begins_on = line.basis[0].from_on
    if (
        line.lease_class is LeaseClass.OPERATING
        or line.values is None
        # One that began and ended since the books were last written was no investment.
        or (line.ended_on is not None and line.ended_on <= to_on)
    ):
        return Plan(begins_on, to_on, line.basis, 0)
    months = by_month(line.basis, begins_on)
    principal, rate = invested(line.values, months, line.timing)
    values = line.values
    asset = values.carrying_amount + values.initial_direct_costs_amount
    finance = Finance(principal, rate, values.end_amount, line.timing, principal, asset, 0)
    return Plan(begins_on, to_on, line.basis, 0, finance)


@lru_cache(ALIKE)
def invested(values: Values, months: tuple[Month, ...], timing: str) -> tuple[int, Decimal]:
    """The net investment at commencement, and the rate of a month (IFRS 16.67-70)."""
    in_advance = timing == "advance"
    payments = [month.amount for month in months]
    if values.annual_rate_percent is None:
        principal = values.fair_value_amount + values.initial_direct_costs_amount
        rate = implied_rate(
            principal,
            payments,
            "advance" if in_advance else "arrears",
            values.end_amount,
            [month.elapsed for month in months],
        )
        return principal, rate
    exact = periodic_rate(values.annual_rate_percent, 12)
    rate = Decimal(half_up(exact * 10**12)).scaleb(-12)
    worth = present_value(
        payments,
        rates(rate, months),
        "advance" if in_advance else "arrears",
        values.end_amount,
    )
    return half_up(worth), rate


def remeasured(
    line: LeaseLine, last: Plan, finance: Finance, from_on: date, to_on: date
) -> Plan | None:
    """A net investment measured anew from the beginning of the month of a change, at its old rate.
    A line that ends early keeps its plan to its end, and what is left of the net investment becomes
    the asset that comes back."""
    if line.ended_on is not None:
        return None
    start = max(last.from_on, month_of(from_on)[0])
    months = by_month(line.basis, start)
    if not months:
        return None
    worth = half_up(
        present_value(
            [month.amount for month in months],
            rates(finance.rate, months),
            finance.timing,
            finance.residual_amount,
        )
    )
    gained = worth - balance_at(last, start)
    renewed = finance._replace(
        principal_amount=worth, remeasured_amount=finance.remeasured_amount + gained
    )
    return Plan(start, to_on, line.basis, income_to(line.plans, start), renewed)


# What should be in the books


Balances = dict[str, int]
"""By account, debit positive: what a lease should have posted since it began."""


def finished(line: LeaseLine, to_on: date) -> bool:
    """Whether a line ended and all of its days were billed."""
    if line.ended_on is None or line.ended_on > to_on:
        return False
    return not line.basis or (line.billed_to is not None and line.billed_to >= line.basis[-1].to_on)


def balances(line: LeaseLine, to_on: date) -> Balances:
    """What a line should have posted by the end of a month, over what its invoices posted; it adds
    up to nothing."""
    over = finished(line, to_on)
    plan = line.plans[-1] if line.plans else None
    if plan is None or plan.finance is None:
        income = line.billed_amount if over else income_to(line.plans, to_on)
        accrued = income - line.billed_amount
        account = "accrued_rent" if accrued > 0 else "deferred_rent"
        return {account: accrued, "revenue_rent": -accrued}
    finance = plan.finance
    until = to_on if line.ended_on is None else min(to_on, line.ended_on)
    interest = income_to(line.plans, until)
    investment = (
        finance.commenced_amount + finance.remeasured_amount + interest - line.billed_amount
    )
    gain = finance.commenced_amount - finance.asset_amount + finance.remeasured_amount
    found = {
        "net_investment": investment,
        "lease_asset": -finance.asset_amount,
        "gain_on_lease": -gain,
        "finance_income": -interest,
        "revenue_rent": line.billed_amount,
    }
    if over:
        found["net_investment"] = 0
        found[RELEASED_TO.get(line.end_reason or "", "lease_asset")] += investment
    return found


def total(found: Iterable[Balances]) -> Balances:
    """
    >>> total([{"accrued_rent": 5, "revenue_rent": -5}, {"accrued_rent": 1, "revenue_rent": -1}])
    {'accrued_rent': 6, 'revenue_rent': -6}
    """
    whole: Balances = {}
    for one in found:
        for account, amount in one.items():
            whole[account] = whole.get(account, 0) + amount
    return whole


def difference(should_be: Balances, is_so: Balances) -> Balances:
    """What is still to be posted."""
    accounts = [*should_be, *(account for account in is_so if account not in should_be)]
    moved = {account: should_be.get(account, 0) - is_so.get(account, 0) for account in accounts}
    return {account: amount for account, amount in moved.items() if amount}


# A schedule to look at


class Scheduled(NamedTuple):
    """A month of a line: rent and income of its days, and at its end what was earned and not owed
    yet, or the net investment."""

    month: date
    rent: int
    income: int
    balance: int


def schedule(plans: Sequence[Plan]) -> Iterator[Scheduled]:
    """A line month by month, as its plans have it; when things go as agreed."""
    last = plans[-1]
    basis = last.basis
    if not basis:
        return
    rent_so_far, earned_so_far = 0, 0
    for month in by_month(basis, basis[0].from_on):
        rent_so_far += month.amount
        earned = income_to(plans, month.to_on)
        balance = earned - rent_so_far
        if last.finance is not None:
            held = [plan for plan in plans if plan.from_on < month.to_on][-1]
            assert held.finance is not None
            balance += held.finance.commenced_amount + held.finance.remeasured_amount
        yield Scheduled(month.from_on.replace(day=1), month.amount, earned - earned_so_far, balance)
        earned_so_far = earned
