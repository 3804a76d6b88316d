"""Rent by civil date: pure arithmetic on days and whole minor units.

Rent runs from the day of acceptance to the day of return, which is free unless the contract says
otherwise (C5); so are days without a pack and days of suspension. A billing period that is not
rented whole costs rent × days ÷ days of that period, rounded once, half away from zero, for each
rent (or tax) that held in it (C4, C7). It is split over the packs and sites of those days so that
the parts add up to it exactly (C9).

What a line owes depends on the facts alone, not on when they were entered: what was charged and is
not owed as it was charged is taken back, and what is owed and was not charged is charged.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from leasing.billing.model import (
    BillableLine,
    Billing,
    Charge,
    Due,
    Owed,
    Segment,
    Settlement,
    Statement,
    Sum,
    TooManyPeriods,
    Totals,
    Until,
)
from leasing.contracts.rules import FREQUENCIES
from leasing.kit.money import allocate, half_up, percent_of
from leasing.pricing import periods
from leasing.pricing.periods import SHORT_STUBS, Cycle, LongStubs, Mode, Period, billable_to
from leasing.pricing.plans import Stay, evaluate
from leasing.pricing.proration import Basis, share
from schemas.billing import Component
from schemas.contracts import BillingAlignment, BillingFrequency, BillingTiming, VatMode

MAX_PERIODS = 24
"""A line that owes more periods than this at once has something wrong with its dates (C13)."""


# When


@lru_cache(maxsize=10_000)
def billing(
    frequency: BillingFrequency,
    alignment: BillingAlignment,
    timing: BillingTiming,
    day: int,
    anchor_on: date,
    end_of_month: bool,
    proration: Basis,
    long: LongStubs = SHORT_STUBS,
) -> Billing:
    """How terms are billed. `anchor_on` is the day that was agreed for it, or the contract's
    first. Along the calendar, periods begin on a day of the month, weeks on Monday; by
    anniversary, on the anchor and every so often after it (C2, C3).

    >>> monthly = BillingFrequency.MONTHLY, BillingAlignment.ANNIVERSARY, BillingTiming.ARREARS
    >>> cycle = billing(*monthly, 1, date(2026, 1, 31), False, Basis.ACTUAL).cycle
    >>> periods.whole(cycle, date(2026, 3, 1)).from_on.isoformat()
    '2026-02-28'
    """
    every = FREQUENCIES[frequency]
    if alignment is BillingAlignment.CALENDAR:
        cycle = periods.calendar_cycle(anchor_on, every, 31 if end_of_month else day)
    else:
        cycle = Cycle(anchor_on, every, end_of_month=end_of_month)
    return Billing(cycle, Mode(timing), proration, long)


def until_day(on: date) -> Until:
    """Everything before a day, whether a period is over or not."""
    return lambda _: on


def until_returned(on: date) -> Until:
    """Everything that is owed when packs go back on a day."""
    return lambda billing: on + billing.return_days * timedelta(days=1)


def as_of(on: date) -> Until:
    """What is due on a day: in arrears the periods that are over, in advance also the one around
    the day."""
    known: dict[tuple[Cycle, Mode, LongStubs], date] = {}

    def until(billing: Billing) -> date:
        cycle, mode, long = key = billing.cycle, billing.mode, billing.long
        if key not in known:
            known[key] = billable_to(cycle, mode, None, on, long)
        return known[key]

    return until


def due(billing: Billing, starts_on: date, on: date) -> Due | None:
    """The period that a contract is billed for on a day, and the day on which that falls due;
    None before the first.

    >>> monthly = Billing(Cycle(date(2026, 1, 1), periods.MONTHLY), Mode.ARREARS, Basis.ACTUAL)
    >>> due(monthly, date(2026, 1, 20), date(2026, 2, 17)).billing_on.isoformat()
    '2026-02-01'
    >>> due(monthly, date(2026, 1, 20), date(2026, 1, 31)) is None
    True
    """
    if billing.mode is Mode.ADVANCE:
        around = periods.whole(billing.cycle, on)
        return Due(*around, max(around.from_on, starts_on)) if on >= starts_on else None
    n = periods.before_stub(billing.cycle, periods.number(billing.cycle, on), billing.long)
    over_on = periods.boundary(billing.cycle, n)
    if over_on <= starts_on:
        return None
    return Due(periods.boundary(billing.cycle, n - 1), over_on, over_on)


# Rent


class Piece(NamedTuple):
    """Days of one period, half-open, and the segment they are of."""

    from_on: date
    to_on: date
    segment: Segment


def rate(segments: Iterable[Segment], until: Until) -> list[Owed]:
    """What is owed for the days of segments before `until`, oldest first. Segments are in order
    of time and do not overlap; how days that are alike were cut up makes no difference.

    Worked example: 31,000 fen a month from 2025-01-11 on, 62,000 from 2025-02-15 on, until
    2025-03-01. January 31,000 × 21/31; February 31,000 × 14/28 and 62,000 × 14/28.

    >>> monthly = Billing(Cycle(date(2025, 1, 1), periods.MONTHLY), Mode.ARREARS, Basis.ACTUAL)
    >>> before = Segment(date(2025, 1, 11), date(2025, 2, 15), None, None, 31_000,
    ...                  VatMode.EXCLUSIVE, Decimal(13), monthly)
    >>> after = before._replace(from_on=date(2025, 2, 15), to_on=None, rent_amount=62_000)
    >>> [rent.amount for rent in rate([before, after], until_day(date(2025, 3, 1)))]
    [21000, 15500, 31000]
    """
    rents: list[Owed] = []
    for (period, billing), pieces in groupby(cut(segments, until), key=lambda pair: pair[0]):
        for _, run in groupby(joined(piece for _, piece in pieces), key=price):
            rents += rate_run(list(run), period, billing.basis)
    return rents


def cut(
    segments: Iterable[Segment], until: Until
) -> Iterator[tuple[tuple[Period, Billing], Piece]]:
    """Segments cut at the ends of periods, each piece with the period it is a part of."""
    for segment in segments:
        billing = segment.billing
        last = until(billing)
        if segment.to_on is not None:
            last = min(last, segment.to_on)
        start = segment.from_on
        while start < last:
            period = whole_around(billing.cycle, start)
            end = min(last, period.to_on)
            yield (period, billing), Piece(start, end, segment)
            start = end


@lru_cache(maxsize=10_000)
def whole_around(cycle: Cycle, on: date) -> Period:
    return periods.whole(cycle, on)


def joined(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces with neighbours that are alike made one."""
    found: list[Piece] = []
    for piece in pieces:
        before = found[-1] if found else None
        if before and before.to_on == piece.from_on and before.segment[2:] == piece.segment[2:]:
            found[-1] = before._replace(to_on=piece.to_on)
        else:
            found.append(piece)
    return found


def price(piece: Piece) -> tuple[int, VatMode, Decimal]:
    segment = piece.segment
    return segment.rent_amount, segment.vat_mode, segment.vat_percent


def rate_run(run: Sequence[Piece], period: Period, basis: Basis) -> list[Owed]:
    """What is owed for days of one period at one rent: rounded once, then split by days."""
    shares = [share(Period(piece.from_on, piece.to_on), period, basis) for piece in run]
    of_days = shares[0].of_days
    rent = run[0].segment.rent_amount
    days = [one.days for one in shares]
    # Days that are counted as others than they are may add up to more than all.
    whole = half_up(Fraction(rent * min(sum(days), of_days), of_days))
    parts = [whole] if len(days) == 1 else allocate(whole, days) if sum(days) else [0] * len(days)
    return [
        Owed(
            component=Component.RENT,
            kind=Component.RENT,
            from_on=piece.from_on,
            to_on=piece.to_on,
            period_days=of_days,
            pack_id=piece.segment.pack_id,
            site_id=piece.segment.site_id,
            price_amount=piece.segment.rent_amount,
            # Days as the contract counts them, where they are not those of the calendar.
            quantity=None if counted == (piece.to_on - piece.from_on).days else Decimal(counted),
            unit_price=None,
            amount=amount,
            vat_mode=piece.segment.vat_mode,
            vat_percent=piece.segment.vat_percent,
            detail=None,
        )
        for piece, amount, counted in zip(run, parts, days, strict=True)
    ]


# Price plans


def by_plan(line: BillableLine, rents: Sequence[Owed], until: Until) -> list[Owed]:
    """What price plans charge and credit for periods that are over, also where rent is billed in
    advance: use is known only then. Raises `MissingFact`."""

    def over(billing: Billing) -> date:
        return until(billing._replace(mode=Mode.ARREARS, return_days=0))

    owed: list[Owed] = []
    for (period, billing), pairs in groupby(cut(line.segments, over), key=lambda pair: pair[0]):
        pieces = [piece for _, piece in pairs]
        for plan_id, run in groupby(pieces, key=lambda piece: piece.segment.plan_id):
            if plan_id is not None:
                owed += plan_run(line, plan_id, list(run), rents, period, billing)
    return owed


def plan_run(
    line: BillableLine,
    plan_id: UUID,
    run: Sequence[Piece],
    rents: Sequence[Owed],
    period: Period,
    billing: Billing,
) -> list[Owed]:
    """What one version charges for days of one period."""
    from_on, to_on = run[0].from_on, run[-1].to_on
    last = run[-1].segment
    stays = [
        Stay(
            piece.from_on,
            piece.to_on,
            known(piece.segment.pack_id),
            known(piece.segment.site_id),
            piece.segment.rated_wh,
        )
        for piece in run
    ]
    rows = evaluate(
        line.plans[plan_id],
        stays,
        line.facts,
        cycle=billing.cycle,
        period=period,
        basis=billing.basis,
        rent_amount=sum(one.amount for one in rents if from_on <= one.from_on < to_on),
    )
    return [
        Owed(
            component=row.component,
            kind=Component(row.kind),
            from_on=row.from_on,
            to_on=row.to_on,
            period_days=period.days,
            pack_id=row.pack_id,
            site_id=row.site_id or last.site_id,
            price_amount=row.price_amount,
            quantity=row.quantity,
            unit_price=row.unit_price,
            amount=row.amount,
            vat_mode=last.vat_mode,
            vat_percent=last.vat_percent if row.vat_percent is None else row.vat_percent,
            detail=row.detail,
        )
        for row in rows
    ]


def known(thing_id: UUID | None) -> UUID:
    """Of a pack or site that stands in a line."""
    assert thing_id is not None
    return thing_id


# Charges as they are and as they should be


def settle(line: BillableLine, until: Until) -> Settlement:
    """What must be taken back and what must be charged so that a line's charges are those of a
    first bill. Days that were charged although they lie after `until` stay charged. Raises
    `TooManyPeriods`."""
    horizon = line.billed_to

    def at_least(billing: Billing) -> date:
        return until(billing) if horizon is None else max(until(billing), horizon)

    owed = rate(line.segments, at_least)
    owed += by_plan(line, owed, at_least)
    refuse_too_many(line, owed)
    if not line.charged:
        return Settlement([], owed)
    is_so = {one.owed[:-1] for one in line.charged}
    should_be = {one[:-1] for one in owed}
    return Settlement(
        [one for one in line.charged if one.owed[:-1] not in should_be],
        [one for one in owed if one[:-1] not in is_so],
    )


def refuse_too_many(line: BillableLine, owed: Iterable[Owed]) -> None:
    """Raise `TooManyPeriods` for a line that owes more periods than are billed at once."""
    since = line.billed_to or date.min
    fresh = {
        whole_around(segment.billing.cycle, one.from_on)
        for one in owed
        if one.from_on >= since
        for segment in line.segments
        if segment.from_on <= one.from_on and (segment.to_on is None or one.from_on < segment.to_on)
    }
    if len(fresh) > MAX_PERIODS:
        raise TooManyPeriods(
            f"line {line.line_id} owes {len(fresh)} periods at once, {MAX_PERIODS} are the most"
        )


def differs(line: BillableLine, settlement: Settlement) -> bool:
    """Whether days before the one to which a line was billed are put right."""
    owed = settlement.owed
    return bool(settlement.taken_back) or (
        bool(owed) and line.billed_to is not None and owed[0].from_on < line.billed_to
    )


def charges_of(line: BillableLine, settlement: Settlement) -> list[Charge]:
    """What a line is charged, each as the next revision of its days."""
    return [
        Charge(
            line_id=line.line_id,
            contract_id=line.contract_id,
            site_id=one.site_id,
            pack_id=one.pack_id,
            component=one.component,
            kind=one.kind,
            fee_id=None,
            from_on=one.from_on,
            to_on=one.to_on,
            period_days=one.period_days,
            price_amount=one.price_amount,
            quantity=one.quantity,
            unit_price=one.unit_price,
            amount=one.amount,
            vat_mode=one.vat_mode,
            vat_percent=one.vat_percent,
            detail=one.detail,
            revision=1 + line.revisions.get((one.component, one.from_on), 0),
        )
        for one in settlement.owed
    ]


def missed_period(line: BillableLine, charge: Charge, due_from_on: date) -> Period | None:
    """The period that a charge goes onto an invoice of its own for; None for what goes onto the
    invoice of the period that is due. Corrections go there whatever their days (C15)."""
    if charge.revision > 1 or charge.from_on < (line.billed_to or date.min):
        return None
    billing = next(
        part.billing
        for part in line.segments
        if part.from_on <= charge.from_on and (part.to_on is None or charge.from_on < part.to_on)
    )
    return apart(billing, charge.from_on, due_from_on)


def apart(billing: Billing, on: date, due_from_on: date) -> Period | None:
    """The period around a day that was not billed in time, if its contract wants an invoice for
    each.

    Worked example: nothing was billed until the period of April is due.

    >>> monthly = Billing(Cycle(date(2026, 1, 1), periods.MONTHLY), Mode.ARREARS, Basis.ACTUAL)
    >>> april = date(2026, 4, 1)
    >>> apart(monthly, date(2026, 2, 9), april)
    >>> each = monthly._replace(is_apart=True)
    >>> [on.isoformat() for on in apart(each, date(2026, 2, 9), april)]
    ['2026-02-01', '2026-03-01']
    >>> apart(each, date(2026, 4, 9), april)
    """
    if not billing.is_apart:
        return None
    period = periods.billed_with(billing.cycle, on, billing.long)
    return period if period.to_on <= due_from_on else None


# Tax and totals

ACCOUNTS = {
    Component.RENT: "revenue_rent",
    Component.SERVICE: "revenue_fees",
    Component.CAPACITY: "revenue_rent",
    Component.THROUGHPUT: "revenue_usage",
    Component.CYCLES: "revenue_usage",
    Component.DISTANCE: "revenue_usage",
    Component.MINIMUM: "revenue_usage",
    Component.MAXIMUM: "revenue_usage",
    Component.AVAILABILITY: "revenue_rent",
    Component.SHARING: "revenue_rent",
    Component.REGION: "revenue_rent",
    Component.ONE_OFF: "revenue_fees",
    Component.EARLY_TERMINATION: "revenue_fees",
    Component.LOSS: "revenue_fees",
    Component.DAMAGE: "revenue_fees",
    Component.MISSING_PARTS: "revenue_fees",
    Component.CAPACITY_SHORTFALL: "revenue_fees",
    Component.LOGISTICS: "revenue_fees",
    Component.ADJUSTMENT: "revenue_rent",
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
        yield ACCOUNTS[one.kind], net


def invoice_number(series: str, year: int, number: int) -> str:
    """
    >>> invoice_number("INV", 2026, 42)
    'INV-2026-000042'
    """
    return f"{series}-{year}-{number:06}"
