"""Rent by civil date: pure arithmetic on days and whole minor units.

Rent runs from the day of acceptance to the day of return, which is free. A month that is not
rented whole costs rent × days ÷ days of that month, rounded once, half away from zero. When
packs were swapped within a month the line's rent does not change; it is split over the packs by
days so that the parts add up to it exactly.
"""

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal

from leasing.billing.model import BillableLine, BilledStay, Charge, Stay, Totals
from leasing.kit.money import allocate, percent_of, prorate
from leasing.kit.time import month_of

MAX_MONTHS = 120
"""A line that owes more months than this has something wrong with its dates."""


class TooManyMonths(Exception):
    """A line would be billed for more than `MAX_MONTHS` months at once."""


def rate(line: BillableLine, until: date) -> list[Charge]:
    """What a line owes for the days before `until` that were never billed, oldest first.

    Worked example: rent 31,000 fen, one pack from 2025-01-11 on, until 2025-03-01: January
    31,000 × 21/31 = 21,000 and February 31,000, whole.
    """
    charges: list[Charge] = []
    for first, following, stays in by_month(line, until):
        month_days = (following - first).days
        days = [(to_on - from_on).days for _, from_on, to_on in stays]
        owed = prorate(line.rent_amount, sum(days), month_days)
        parts = [owed] if len(days) == 1 else allocate(owed, days)
        for (pack_id, from_on, to_on), amount in zip(stays, parts, strict=True):
            charges.append(
                Charge(
                    line.line_id,
                    line.contract_id,
                    line.site_id,
                    pack_id,
                    from_on,
                    to_on,
                    month_days,
                    line.rent_amount,
                    amount,
                    line.vat_percent,
                )
            )
    return charges


def by_month(line: BillableLine, until: date) -> Iterator[tuple[date, date, list[BilledStay]]]:
    """`(first of the month, first of the next, unbilled stays within it)`, month by month.
    `line.stays` is in order of time and not empty."""
    start = max(line.stays[0].from_on, line.billed_to or date.min)
    first, following = month_of(start)
    for _ in range(MAX_MONTHS):
        stays = list(clip(line.stays, max(first, start), min(following, until)))
        if stays:
            yield first, following, stays
        if following >= until:
            return
        first, following = month_of(following)
    raise TooManyMonths(f"line {line.line_id} owes more than {MAX_MONTHS} months")


def clip(stays: Iterable[Stay], from_on: date, to_on: date) -> Iterator[BilledStay]:
    """The parts of stays that lie in `[from_on, to_on)`."""
    for pack_id, start, end in stays:
        first = max(start, from_on)
        last = to_on if end is None else min(end, to_on)
        if first < last:
            yield BilledStay(pack_id, first, last)


def totals(net_by_rate: dict[Decimal, int]) -> tuple[dict[Decimal, Totals], Totals]:
    """VAT once per rate, on the sum of the lines at that rate (EN 16931 BR-CO-17), and the
    document's totals.

    >>> _, whole = totals({Decimal("13"): 100_005, Decimal("6"): 50})
    >>> whole.net_amount, whole.vat_amount, whole.total_amount
    (100055, 13004, 113059)
    """
    per_rate = {
        percent: Totals(net, percent_of(net, percent)) for percent, net in net_by_rate.items()
    }
    whole = Totals(
        sum(part.net_amount for part in per_rate.values()),
        sum(part.vat_amount for part in per_rate.values()),
    )
    return per_rate, whole


def invoice_number(series: str, year: int, number: int) -> str:
    """
    >>> invoice_number("INV", 2026, 42)
    'INV-2026-000042'
    """
    return f"{series}-{year}-{number:06}"
