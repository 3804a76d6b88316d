"""What is owed and what was paid: allocation, late interest, ageing. All in minor units of one
currency; the caller keeps currencies apart."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Literal, NamedTuple
from uuid import UUID

from leasing.kit.money import half_up


class Receivable(NamedTuple):
    """What is still open of one thing that is owed. `kind` is its class in the contract's order of
    allocation, for instance fee, rent, deposit."""

    id: UUID | str
    due_on: date
    open_amount: int
    kind: str = ""


class Allocation(NamedTuple):
    """A part of a payment, and what it pays; account credit when that is None."""

    receivable_id: UUID | str | None
    amount: int


def allocate_payment(
    amount: int,
    receivables: Sequence[Receivable],
    kinds: Sequence[str] = (),
    first: Literal["due", "kind"] = "due",
) -> list[Allocation]:
    """How a payment is used (C18): what was due first, and of one day by the order of kinds; or,
    when the contract says so, kind by kind and the oldest of each first. Kinds that are not named
    come last; ties go in the order given. What is left over becomes account credit.

    >>> rent = Receivable("rent", date(2026, 1, 5), 10_000, "rent")
    >>> fee = Receivable("fee", date(2026, 2, 5), 300, "fee")
    >>> allocate_payment(10_200, [fee, rent])
    [Allocation(receivable_id='rent', amount=10000), Allocation(receivable_id='fee', amount=200)]
    >>> allocate_payment(400, [rent, fee], kinds=["fee", "rent"], first="kind")
    [Allocation(receivable_id='fee', amount=300), Allocation(receivable_id='rent', amount=100)]
    """
    if amount <= 0 or any(receivable.open_amount < 0 for receivable in receivables):
        raise ValueError("a payment is above nothing, and what is open is not below it")
    rank = {kind: number for number, kind in enumerate(kinds)}

    def turn(receivable: Receivable) -> tuple[int, ...]:
        day, kind = receivable.due_on.toordinal(), rank.get(receivable.kind, len(rank))
        return (day, kind) if first == "due" else (kind, day)

    parts = []
    for receivable in sorted(receivables, key=turn):
        part = min(amount, receivable.open_amount)
        if part:
            parts.append(Allocation(receivable.id, part))
            amount -= part
    return parts + ([Allocation(None, amount)] if amount else [])


def reverse(allocations: Iterable[Allocation]) -> list[Allocation]:
    """The allocations that take others back, when a payment bounced or was booked wrongly.

    >>> reverse([Allocation("rent", 10_000)])
    [Allocation(receivable_id='rent', amount=-10000)]
    """
    return [one._replace(amount=-one.amount) for one in allocations]


def after(receivables: Iterable[Receivable], allocations: Iterable[Allocation]) -> list[Receivable]:
    """What is open of each once allocations, and those that take others back, are counted. Raises
    `ValueError` when more was paid than was open.

    >>> after([Receivable("rent", date(2026, 1, 5), 10_000)], [Allocation("rent", 4_000)])
    [Receivable(id='rent', due_on=datetime.date(2026, 1, 5), open_amount=6000, kind='')]
    """
    paid: dict[UUID | str | None, int] = {}
    for one in allocations:
        paid[one.receivable_id] = paid.get(one.receivable_id, 0) + one.amount
    left = [
        receivable._replace(open_amount=receivable.open_amount - paid.get(receivable.id, 0))
        for receivable in receivables
    ]
    if any(receivable.open_amount < 0 for receivable in left):
        raise ValueError("more was allocated than was open")
    return left


def late_interest(
    principal: int,
    due_on: date,
    until: date,
    annual_percent: Decimal,
    *,
    payments: Iterable[tuple[date, int]] = (),
    year_days: int = 365,
    grace_days: int = 0,
    grace_is_free: bool = False,
    cap_amount: int | None = None,
) -> int:
    """Simple interest on what was overdue before a day, rounded once (C19): a day of it for each
    day from the due day to the day of payment. What was paid within the grace days costs nothing;
    what was not costs interest from its due day, or only after the days of grace when
    `grace_is_free`. Interest bears none itself. A cap, where the law sets one, is on the sum.

    A month's accrual is the difference of two calls, so that rounding does not add up.

    >>> late_interest(100_000, date(2026, 1, 5), date(2026, 2, 4), Decimal("18.25"))
    1500
    >>> late_interest(100_000, date(2026, 1, 5), date(2026, 2, 4), Decimal("18.25"),
    ...               payments=[(date(2026, 1, 25), 60_000)])
    1200
    """
    if principal < 0 or year_days <= 0 or grace_days < 0:
        raise ValueError("interest is on what is owed, by days of a year, after days of grace")
    grace_over = due_on.toordinal() + grace_days
    start = grace_over if grace_is_free else due_on.toordinal()
    left, amount_days = principal, 0
    for paid_on, amount in [*sorted(payments), (until, principal)]:
        day = min(paid_on, until).toordinal()
        part = min(amount, left)
        if day > grace_over:
            amount_days += part * max(day - start, 0)
        left -= part
    owed = half_up(amount_days * Fraction(annual_percent) / 100 / year_days)
    return owed if cap_amount is None else min(owed, cap_amount)


def ageing(
    receivables: Iterable[Receivable], as_of: date, bounds: Sequence[int] = (30, 60, 90)
) -> list[int]:
    """What is open by how many days it is overdue: not yet, up to each bound with it, and beyond
    the last. What is due today is not overdue.

    >>> rows = [Receivable("a", date(2026, 3, 1), 5), Receivable("b", date(2026, 1, 1), 7)]
    >>> ageing(rows, date(2026, 3, 1))
    [5, 0, 7, 0, 0]
    """
    if list(bounds) != sorted(set(bounds)) or any(bound <= 0 for bound in bounds):
        raise ValueError("bounds rise from above nothing")
    buckets = [0] * (len(bounds) + 2)
    for receivable in receivables:
        days = (as_of - receivable.due_on).days
        buckets[sum(days > bound for bound in (0, *bounds))] += receivable.open_amount
    return buckets
