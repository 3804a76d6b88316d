"""Rent by civil date: pure arithmetic on days and whole minor units.

Rent runs from the day of acceptance to the day of return, which is free; so are days without a
pack and days of suspension. A month that is not rented whole costs rent × days ÷ days of that
month, rounded once, half away from zero, for each rent (or tax) that held in it. It is split over
the packs and sites of those days so that the parts add up to it exactly.

What a line owes depends on the facts alone, not on when they were entered: a month whose facts
changed after it was charged is taken back and charged as it would have been at first.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

from leasing.billing.model import (
    BillableLine,
    Charged,
    Rent,
    Segment,
    Settlement,
    Statement,
    Sum,
    Totals,
)
from leasing.kit.money import allocate, half_up, percent_of, prorate
from leasing.kit.time import month_of
from schemas.billing import Component
from schemas.contracts import VatMode

MAX_MONTHS = 120
"""A line that owes more months than this has something wrong with its dates."""


class TooManyMonths(Exception):
    """A line would be billed for more than `MAX_MONTHS` months at once."""


# Rent


def rate(segments: Iterable[Segment], until: date) -> list[Rent]:
    """What is owed for the days of segments before `until`, oldest first. Segments are in order
    of time and do not overlap; how days that are alike were cut up makes no difference.

    Worked example: 31,000 fen a month from 2025-01-11 on, 62,000 from 2025-02-15 on, until
    2025-03-01. January 31,000 × 21/31; February 31,000 × 14/28 and 62,000 × 14/28.

    >>> before = Segment(date(2025, 1, 11), date(2025, 2, 15), None, None, 31_000,
    ...                  VatMode.EXCLUSIVE, Decimal(13))
    >>> after = before._replace(from_on=date(2025, 2, 15), to_on=None, rent_amount=62_000)
    >>> [rent.amount for rent in rate([before, after], date(2025, 3, 1))]
    [21000, 15500, 31000]
    """
    rents: list[Rent] = []
    for (first, following), pieces in by_month(segments, until).items():
        month_days = (following - first).days
        for _, run in groupby(pieces, key=price):
            rents += rate_run(list(run), month_days)
    return rents


Piece = tuple[date, date, Segment]
"""Days of one month, half-open, and the segment they are of."""


def by_month(segments: Iterable[Segment], until: date) -> dict[tuple[date, date], list[Piece]]:
    """Segments cut at the ends of months, neighbours that are alike joined."""
    months: dict[tuple[date, date], list[Piece]] = {}
    for segment in segments:
        start = segment.from_on
        last = until if segment.to_on is None else min(segment.to_on, until)
        while start < last:
            month = month_of(start)
            end = min(last, month[1])
            pieces = months.setdefault(month, [])
            if pieces and pieces[-1][1] == start and pieces[-1][2][2:] == segment[2:]:
                pieces[-1] = (pieces[-1][0], end, segment)
            else:
                pieces.append((start, end, segment))
            start = end
        if len(months) > MAX_MONTHS:
            raise TooManyMonths(f"owes more than {MAX_MONTHS} months")
    return months


def price(piece: Piece) -> tuple[int, VatMode, Decimal]:
    segment = piece[2]
    return segment.rent_amount, segment.vat_mode, segment.vat_percent


def rate_run(run: Sequence[Piece], month_days: int) -> list[Rent]:
    """What is owed for days of one month at one rent: rounded once, then split by days."""
    days = [(end - start).days for start, end, _ in run]
    owed = prorate(run[0][2].rent_amount, sum(days), month_days)
    parts = [owed] if len(days) == 1 else allocate(owed, days)
    return [
        Rent(
            start,
            end,
            month_days,
            segment.pack_id,
            segment.site_id,
            segment.rent_amount,
            amount,
            segment.vat_mode,
            segment.vat_percent,
        )
        for (start, end, segment), amount in zip(run, parts, strict=True)
    ]


# Charges as they are and as they should be


def settle(line: BillableLine, until: date) -> Settlement:
    """What must be taken back and what must be charged so that a line's charges are those of a
    first bill. Months are compared one by one; one that differs is taken back and charged anew.
    Days that were charged although they lie after `until` stay charged."""
    horizon = max(until, line.billed_to or until)
    try:
        owed = rate(line.segments, horizon)
    except TooManyMonths as error:
        raise TooManyMonths(f"line {line.line_id} {error}") from None
    if not line.charged:
        return Settlement([], owed)
    should_be = {month: list(rents) for month, rents in groupby(owed, key=month_of_rent)}
    is_so = {month: list(found) for month, found in groupby(line.charged, key=month_of_charged)}
    settlement = Settlement([], [])
    for month in sorted(should_be.keys() | is_so.keys()):
        rents, charged = should_be.get(month, []), is_so.get(month, [])
        if [one.rent for one in charged] != rents:
            settlement.taken_back.extend(charged)
            settlement.owed.extend(rents)
    return settlement


def differs(line: BillableLine, settlement: Settlement) -> bool:
    """Whether days before the one to which a line was billed are put right."""
    owed = settlement.owed
    return bool(settlement.taken_back) or (
        bool(owed) and line.billed_to is not None and owed[0].from_on < line.billed_to
    )


def month_of_rent(rent: Rent) -> date:
    return month_of(rent.from_on)[0]


def month_of_charged(charged: Charged) -> date:
    return month_of_rent(charged.rent)


# Tax and totals

ACCOUNTS = {
    Component.RENT: "revenue_rent",
    Component.EARLY_TERMINATION: "revenue_fees",
    Component.LOSS: "revenue_fees",
    Component.DAMAGE: "revenue_fees",
    Component.BUY_OUT: "revenue_sales",
}


def total(sums: Iterable[Sum]) -> Statement:
    """What the charges of a document come to.

    VAT is worked out and rounded once per rate on the sum (EN 16931 BR-CO-17); amounts with VAT in
    them are summed apart from amounts without, and both make one row of their rate. Where more was
    taken back than charged the amounts are negative, and mirror the positive ones.

    >>> rent = Sum(Component.RENT, VatMode.EXCLUSIVE, Decimal("13"), 100_005)
    >>> price = Sum(Component.BUY_OUT, VatMode.INCLUSIVE, Decimal("13"), 11_300)
    >>> statement = total([rent, price])
    >>> statement.net_by_account
    {'revenue_rent': 100005, 'revenue_sales': 10000}
    >>> whole = statement.whole
    >>> whole.net_amount, whole.vat_amount, whole.total_amount
    (110005, 14301, 124306)
    """
    by_rate: dict[Decimal, Totals] = {}
    by_account: dict[str, int] = {}
    for (mode, percent), group in groupby(sorted(sums, key=taxed_as), key=taxed_as):
        alike = list(group)
        gross_or_net = sum(one.amount for one in alike)
        vat = vat_of(gross_or_net, mode, percent)
        net = gross_or_net - vat if mode is VatMode.INCLUSIVE else gross_or_net
        sofar = by_rate.get(percent, Totals(0, 0))
        by_rate[percent] = Totals(sofar.net_amount + net, sofar.vat_amount + vat)
        for account, part in nets(alike, mode, percent):
            by_account[account] = by_account.get(account, 0) + part
    whole = Totals(
        sum(part.net_amount for part in by_rate.values()),
        sum(part.vat_amount for part in by_rate.values()),
    )
    return Statement(by_rate, by_account, whole)


def taxed_as(one: Sum) -> tuple[VatMode, Decimal]:
    return one.vat_mode, one.vat_percent


def vat_of(amount: int, mode: VatMode, percent: Decimal) -> int:
    """The VAT on a net amount, or in a gross one: gross × rate ÷ (100 + rate).

    >>> vat_of(11_300, VatMode.INCLUSIVE, Decimal(13)), vat_of(-50, VatMode.EXCLUSIVE, Decimal(13))
    (1300, -7)
    """
    if mode is VatMode.EXCLUSIVE:
        return percent_of(amount, percent)
    return half_up(amount * Fraction(percent) / (100 + Fraction(percent)))


def nets(alike: Sequence[Sum], mode: VatMode, percent: Decimal) -> Iterator[tuple[str, int]]:
    """Net amounts by account, for sums taxed alike. The VAT in gross ones is rounded on the running
    total, so that the parts add up to the whole whatever their signs."""
    running, taxed = 0, 0
    for one in alike:
        net = one.amount
        if mode is VatMode.INCLUSIVE:
            running += one.amount
            vat = vat_of(running, mode, percent)
            net -= vat - taxed
            taxed = vat
        yield ACCOUNTS[one.component], net


def invoice_number(series: str, year: int, number: int) -> str:
    """
    >>> invoice_number("INV", 2026, 42)
    'INV-2026-000042'
    """
    return f"{series}-{year}-{number:06}"
