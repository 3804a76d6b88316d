"""What a line owes by its price plan for the days of one billing period.

Components that have a price come first: by time (service, capacity), by use (throughput, cycles,
distance), once (one-off). Then those that work on what others come to, each on what the ones before
have left, in this order: region, sharing, maximum, minimum, availability. Within a step the order
is that of the version. The flat rent of the line is among what they may name.

Prices are for a whole period of the cycle, in whole minor units; amounts are rounded once, half
away from zero (C7), and split over packs and days by largest remainder (C9). What comes out depends
on the facts alone: not on their order, nor on how days that are alike were cut up. Each row says in
`detail` how it was worked out, in values that JSON has, so that a person can check it by hand.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from leasing.pricing.periods import Cycle, Period
from leasing.pricing.plan_model import (
    Capacity,
    Facts,
    Line,
    MissingFact,
    Outage,
    Priced,
    Stay,
    Tenancy,
)
from leasing.pricing.plan_prices import PRICES
from leasing.pricing.plan_steps import STEPS
from leasing.pricing.proration import Basis
from leasing.pricing.registers import Reading
from schemas.tariffs import RENT, Component, NamingComponent

__all__ = [
    "Capacity",
    "Facts",
    "MissingFact",
    "Outage",
    "Priced",
    "Reading",
    "Stay",
    "Tenancy",
    "evaluate",
]


def evaluate(
    components: Sequence[Component],
    stays: Iterable[Stay],
    facts: Facts,
    *,
    cycle: Cycle,
    period: Period,
    basis: Basis = Basis.ACTUAL,
    rent_amount: int = 0,
) -> list[Priced]:
    """What the components of a version come to for the stays in a period of one line, in order of
    the version and of time. `cycle` is the one that prices are for, `period` the whole billing
    period (as a rule one of the cycle); `rent_amount` is what the line is charged as flat rent for
    the same stays. A component that works on others and changes nothing leaves no row.

    Raises `MissingFact` when a price cannot be known, `ValueError` for stays that overlap or lie
    outside the period, and for a rent below nothing.

    Worked example: a flat service and a third off for sharing the site, a pack from 11 June on.

    >>> from datetime import date
    >>> from uuid import UUID
    >>> from leasing.pricing.periods import MONTHLY
    >>> from schemas.tariffs import ServiceComponent, SharingComponent, SharingDiscount
    >>> pack, site, june = UUID(int=1), UUID(int=2), Period(date(2026, 6, 1), date(2026, 7, 1))
    >>> stay = Stay(date(2026, 6, 11), june.to_on, pack, site, 5_120)
    >>> shared = {site: [Tenancy(UUID(int=3), date(2026, 1, 1), None, 2, is_anchor=False)]}
    >>> version = [
    ...     ServiceComponent(code="care", amount=31_000, vat_percent="6"),
    ...     SharingComponent(
    ...         code="shared", codes=["care"],
    ...         discounts=[SharingDiscount(tenants=2, percent="30")],
    ...     ),
    ... ]
    >>> monthly = Cycle(june.from_on, MONTHLY)
    >>> for row in evaluate(version, [stay], Facts(tenancies=shared), cycle=monthly, period=june):
    ...     print(row.component, row.from_on, row.price_amount, row.amount, row.vat_percent)
    care 2026-06-11 31000 20667 6
    shared 2026-06-11 None -6200 6
    """
    if rent_amount < 0:
        raise ValueError("components work on a rent, not on a credit")
    line = Line(cycle, period, basis, in_order(stays, period), facts, tuple(components))
    nets = {RENT: rent_amount}
    rows: list[Priced] = []
    for component in components:
        if not isinstance(component, NamingComponent):
            made = PRICES[type(component)](component, line)
            nets[component.code] = sum(row.amount for row in made)
            rows += made
    for kind in STEPS:
        for component in components:
            if line.stays and isinstance(component, kind):
                rows += STEPS[kind](component, line, nets)
    places = {component.code: place for place, component in enumerate(components)}
    return sorted(rows, key=lambda row: (places[row.component], row.from_on))


def in_order(stays: Iterable[Stay], period: Period) -> tuple[Stay, ...]:
    found = tuple(sorted(stays, key=lambda stay: stay.from_on))
    if any(not period.from_on <= one.from_on < one.to_on <= period.to_on for one in found):
        raise ValueError(f"a stay has days, and none outside of {period}")
    if any(earlier.to_on > later.from_on for earlier, later in pairwise(found)):
        raise ValueError("one pack at a time stands in a line")
    return found
