"""What a lease charges for besides a fixed rent: capacity, use, availability, place, inflation.

Amounts are whole minor units (fen for CNY), rounded once, half away from zero (C7); unit prices are
minor units with decimals. Energy is in watt-hours, prices of it are per kilowatt-hour. What
is charged by a count, packs or use, is `currencies.line_amount`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Literal, NamedTuple

from leasing.kit.money import Number, half_up, prorate
from leasing.kit.time import add_months, whole_months
from leasing.pricing.currencies import line_amount

# Use


def full_cycles(discharged_wh: Number, rated_wh: Number) -> Fraction:
    """How many full cycles the energy that came out of a pack amounts to: divided by what it was
    rated for, so that half-empty twice is one.

    >>> full_cycles(128_000, 5_120)
    Fraction(25, 1)
    """
    return Fraction(discharged_wh) / Fraction(rated_wh)


# Capacity


class Band(NamedTuple):
    """Rent per kWh and period from a state of health on, with it."""

    from_percent: Number
    unit_price: Number


class CapacityTest(NamedTuple):
    """Usable energy as it was found on a day: at hand-over, by a check discharge."""

    on: date
    usable_wh: Number


class CapacityRent(NamedTuple):
    """Rent of consecutive days at one price: `price` for a whole period, `amount` for these."""

    from_on: date
    to_on: date
    price: int
    amount: int


def capacity_price(
    rated_wh: Number, usable_wh: Number, bands: Sequence[Band], basis: Literal["rated", "tested"]
) -> int:
    """Rent of a whole period for a pack by its kilowatt-hours, rated or as tested; the price of one
    is that of the band of its state of health (tested ÷ rated, not rounded: 79.99 % is not 80 %).

    >>> bands = [Band(0, 0), Band(70, 2_000), Band(80, 2_500)]
    >>> capacity_price(5_120, 4_096, bands, "rated"), capacity_price(5_120, 4_095, bands, "tested")
    (12800, 8190)
    """
    if rated_wh <= 0 or usable_wh < 0 or not bands or min(bands).from_percent > 0:
        raise ValueError("a pack is rated for something, and a band begins at nothing")
    health = 100 * Fraction(usable_wh) / Fraction(rated_wh)
    band = max(band for band in bands if band.from_percent <= health)
    return line_amount(rated_wh if basis == "rated" else usable_wh, band.unit_price, 1000)


def capacity_rent(
    rated_wh: Number,
    tests: Iterable[CapacityTest],
    bands: Sequence[Band],
    basis: Literal["rated", "tested"],
    from_on: date,
    to_on: date,
    period_days: int,
) -> list[CapacityRent]:
    """Rent of the days `[from_on, to_on)` of a period that has `period_days` as a whole: a test
    re-prices the pack from its own day, each price is charged for its share of the days of the
    period (C4, C6), and days of one price are one line. Of tests on one day the last one given
    holds. Raises `ValueError` when no test says how the days began.

    >>> tests = [CapacityTest(date(2026, 1, 1), 5_000), CapacityTest(date(2026, 6, 16), 4_000)]
    >>> bands, june, july = [Band(0, 2_000), Band(80, 2_500)], date(2026, 6, 1), date(2026, 7, 1)
    >>> for line in capacity_rent(5_120, tests, bands, "tested", june, july, 30):
    ...     print(line.from_on, line.to_on, line.price, line.amount)
    2026-06-01 2026-06-16 12500 6250
    2026-06-16 2026-07-01 8000 4000
    """
    usable: dict[date, Number] = {}
    for test in sorted(tests, key=lambda test: test.on):
        usable[max(test.on, from_on)] = test.usable_wh
    if from_on >= to_on or from_on not in usable:
        raise ValueError(f"there is no test by {from_on}, or nothing to bill before {to_on}")
    steps: list[tuple[date, int]] = []
    for day in sorted(day for day in usable if day < to_on):
        price = capacity_price(rated_wh, usable[day], bands, basis)
        if not steps or steps[-1][1] != price:
            steps.append((day, price))
    return [
        CapacityRent(start, end, price, prorate(price, (end - start).days, period_days))
        for (start, price), (end, _) in pairwise([*steps, (to_on, 0)])
    ]


# Availability

Outage = tuple[datetime, datetime]
"""Half-open, aware instants."""


class CreditTier(NamedTuple):
    """Per cent of the rent that is credited when availability is below a per cent."""

    below_percent: Number
    credit_percent: Number


class AvailabilityCredit(NamedTuple):
    """A line of nothing or less, and the minutes that made it."""

    counted_minutes: int
    available_percent: Fraction
    amount: int


def outage_minutes(
    outages: Iterable[Outage], excused: Iterable[Outage], start: datetime, end: datetime
) -> tuple[int, int]:
    """Whole minutes of a period without service, and how many of them are excused (force majeure,
    caused by the customer), as `availability_credit` takes them. Tickets overlap and run beyond the
    period: a second counts once, and only inside it; excused is only what was an outage.

    >>> at = datetime.fromisoformat("2026-06-01T00:00:00+00:00")
    >>> hour = timedelta(hours=1)
    >>> outage_minutes([(at, at + 3 * hour), (at + 2 * hour, at + 4 * hour)],
    ...                [(at + 3 * hour, at + 9 * hour)], at, at + 24 * hour)
    (240, 60)
    """
    down = joined(outages, start, end)
    both = [
        (max(a, c), min(b, d)) for a, b in down for c, d in joined(excused, start, end)
    ]  # of two lists without overlaps in themselves
    unexcused = length(down) - length([(a, b) for a, b in both if a < b])
    minutes = length(down) // timedelta(minutes=1)
    return minutes, minutes - unexcused // timedelta(minutes=1)


def joined(spans: Iterable[Outage], start: datetime, end: datetime) -> list[Outage]:
    """Spans within a period, without overlaps, in order of time."""
    inside: list[Outage] = []
    for first, last in sorted(spans):
        begun, over = max(first, start), min(last, end)
        if inside and begun <= inside[-1][1]:
            inside[-1] = (inside[-1][0], max(inside[-1][1], over))
        elif begun < over:
            inside.append((begun, over))
    return inside


def length(spans: Iterable[Outage]) -> timedelta:
    return sum((over - begun for begun, over in spans), timedelta())


def availability_credit(
    rent_amount: int,
    period_minutes: int,
    down_minutes: int,
    excused_minutes: int,
    tiers: Sequence[CreditTier],
    cap_amount: int | None = None,
) -> AvailabilityCredit:
    """The credit for a period in which a service was down: availability is what is left of all
    minutes of the period without those down and not excused; of the tiers it is below, the one with
    the lowest bound counts. To be exactly at a bound is enough. At most a cap per period, and never
    more than the rent.

    >>> tiers = [CreditTier(Decimal("99.9"), 5), CreditTier(99, 10), CreditTier(95, 30)]
    >>> credit = availability_credit(31_000, 43_200, 800, 300, tiers)
    >>> credit.counted_minutes, credit.amount
    (500, -3100)
    """
    if not 0 <= excused_minutes <= down_minutes <= period_minutes or period_minutes == 0:
        raise ValueError("minutes excused are part of those down, and those of the period")
    if rent_amount < 0:
        raise ValueError("a credit is given on a rent")
    counted = down_minutes - excused_minutes
    available = 100 * Fraction(period_minutes - counted, period_minutes)
    missed = [tier for tier in tiers if available < tier.below_percent]
    percent = min(missed).credit_percent if missed else 0
    credit = min(half_up(rent_amount * Fraction(percent) / 100), rent_amount)
    if cap_amount is not None:
        credit = min(credit, cap_amount)
    return AvailabilityCredit(counted, available, -credit)


# Sites: the tower trade's formula


def tower_base_price(
    construction_amount: int,
    region_coefficient: Number,
    useful_years: int,
    impairment_percent: Number,
    maintenance_amount: Number,
    markup_percent: Number,
) -> Fraction:
    """Yearly base price of a shared site, exactly: (standard construction cost × regional
    coefficient ÷ useful years × (1 + impairment) + yearly maintenance) × (1 + cost mark-up). By
    the commercial pricing agreement of China Mobile and China Tower (2016-07-08, Annex 1; Exhibit
    4.24 of China Mobile's 20-F) the impairment is 2 %; the supplement of 2018-01-31 took the
    mark-up from 15 % to 10 %.

    >>> int(tower_base_price(30_000_000, Decimal("1.1"), 10, 2, 300_000, 10))
    4032600
    """
    if useful_years <= 0:
        raise ValueError("cost is spread over years")
    per_year = Fraction(construction_amount) * Fraction(region_coefficient) / useful_years
    per_year *= 1 + Fraction(impairment_percent) / 100
    return (per_year + Fraction(maintenance_amount)) * (1 + Fraction(markup_percent) / 100)


def sharing_percent(
    discounts: Mapping[int, Number], tenants: int, *, anchor: bool, anchor_percent: Number = 5
) -> Fraction:
    """The co-tenancy discount by how many share a site, as the table of the agreement has it (since
    2018: two tenants 30 %, three 40 %); more tenants than it knows get its last one. The anchor
    tenant, who was there first, gets some points more as soon as the site is shared.

    >>> table = {2: 30, 3: 40}
    >>> [int(sharing_percent(table, tenants, anchor=True)) for tenants in (1, 2, 3, 4)]
    [0, 35, 45, 45]
    """
    if tenants < 1:
        raise ValueError("a site that is let has a tenant")
    reached = [count for count in discounts if count <= tenants]
    if not reached:
        return Fraction(0)
    return Fraction(discounts[max(reached)]) + (Fraction(anchor_percent) if anchor else 0)


def tower_price(
    base: Number,
    base_discount_percent: Number,
    passed_on_amount: Number = 0,
    passed_on_discount_percent: Number = 0,
) -> int:
    """Yearly price of a shared site for one tenant: base price × (1 − discount 1) + what is passed
    on, ground rent and power supply, × (1 − discount 2). Rounded once.

    >>> tower_price(4_032_600, 30, 1_200_000, 40)
    3542820
    """
    kept = Fraction(base) * (100 - Fraction(base_discount_percent)) / 100
    shared = Fraction(passed_on_amount) * (100 - Fraction(passed_on_discount_percent)) / 100
    return half_up(kept + shared)


# Inflation


class NotPublished(LookupError):
    """The index of a month that a price depends on is not known yet."""


class IndexClause(NamedTuple):
    """A price that follows an index, by steps of months from a start.

    `base_month` is the month whose index the base price stands for, as its first day.
    `floor_percent` and `cap_percent` bound the change against the base price, not against the last
    step: 0 and 5 keep the price between the base price and 5 % more."""

    base_price: Number
    base_month: date
    starts_on: date
    every_months: int = 12
    lag_months: int = 0
    floor_percent: Number | None = None
    cap_percent: Number | None = None
    decimals: int = 0


def indexed_price(clause: IndexClause, index: Mapping[date, Number], on: date) -> Decimal:
    """The unit price that holds on a day, in minor units with the decimals of the clause (C21):
    base price × index(month of the last step − lag) ÷ index(base month), bounded, rounded once.
    Always from the base, so that no rounding is carried on; before the first step it is the base
    price. `index` has the values by first day of month, all of one series. Raises `NotPublished`.

    >>> october, start = date(2025, 10, 1), date(2026, 1, 31)
    >>> clause = IndexClause(10_000, october, start, lag_months=3, cap_percent=4)
    >>> cpi = {october: Decimal("102.4"), date(2026, 10, 1): Decimal("104.9")}
    >>> indexed_price(clause, cpi, date(2027, 1, 30)), indexed_price(clause, cpi, date(2027, 1, 31))
    (Decimal('10000'), Decimal('10244'))
    """
    steps = max(0, whole_months(clause.starts_on, on)) // clause.every_months
    factor = Fraction(1)
    if steps:
        step_on = add_months(clause.starts_on, steps * clause.every_months)
        month = add_months(step_on.replace(day=1), -clause.lag_months)
        factor = published(index, month) / published(index, clause.base_month)
        if clause.floor_percent is not None:
            factor = max(factor, 1 + Fraction(clause.floor_percent) / 100)
        if clause.cap_percent is not None:
            factor = min(factor, 1 + Fraction(clause.cap_percent) / 100)
    units = half_up(Fraction(clause.base_price) * factor * Fraction(10) ** clause.decimals)
    return Decimal(units).scaleb(-clause.decimals)


def published(index: Mapping[date, Number], month: date) -> Fraction:
    if month not in index:
        raise NotPublished(f"the index of {month:%Y-%m} is not known")
    return Fraction(index[month])
