"""Components of a price plan that have a price: by time, by use, and once."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from math import lcm
from typing import Any, NamedTuple

from leasing.kit.money import Number, allocate, half_up
from leasing.pricing import tiers
from leasing.pricing.components import Band, capacity_price, full_cycles
from leasing.pricing.periods import Period
from leasing.pricing.plan_model import (
    Capacity,
    Line,
    MissingFact,
    Priced,
    Stay,
    cut_at,
    joined,
    row_of,
    text,
    vat_on,
)
from leasing.pricing.proration import rounded
from leasing.pricing.registers import Detail, Used, used
from leasing.pricing.tiers import Tier
from schemas.tariffs import (
    CapacityBasis,
    CapacityComponent,
    Component,
    CyclesComponent,
    DistanceComponent,
    Graduated,
    Measure,
    OneOffComponent,
    Package,
    PerUnit,
    ServiceComponent,
    ThroughputComponent,
    UseComponent,
    UsePricing,
    UseTier,
)

QUANTITY_DECIMALS = 6


# By time


class Piece(NamedTuple):
    """Days of a stay at one price of a whole period, and why it is that."""

    from_on: date
    to_on: date
    stay: Stay
    price: int
    vat_percent: Decimal | None
    quantity: Decimal
    unit_price: Decimal
    why: Detail


def service(component: ServiceComponent, line: Line) -> list[Priced]:
    changes = [change.from_on for change in component.vat_changes]
    pieces = [
        Piece(
            *part,
            stay,
            component.amount,
            vat_on(component, part.from_on),
            Decimal(1),
            Decimal(component.amount),
            {},
        )
        for stay in line.stays
        for part in cut_at(changes, stay.from_on, stay.to_on)
    ]
    return by_days(component, line, pieces)


def capacity(component: CapacityComponent, line: Line) -> list[Priced]:
    pieces = [piece for stay in line.stays for piece in capacity_pieces(component, line, stay)]
    return by_days(component, line, pieces)


def capacity_pieces(component: CapacityComponent, line: Line, stay: Stay) -> list[Piece]:
    """Days of a stay, cut where a test changes the price."""
    tests = tests_by_day(line.facts.tests.get(stay.pack_id, ()), stay)
    days = [*tests, *(change.from_on for change in component.vat_changes)]
    bands = [Band(Decimal(one.from_percent), Decimal(one.unit_price)) for one in component.bands]
    pieces: list[Piece] = []
    test = tests[stay.from_on]
    for part in cut_at(days, stay.from_on, stay.to_on):
        test = tests.get(part.from_on, test)
        health = 100 * Fraction(test.usable_wh) / Fraction(stay.rated_wh)
        band = max(band for band in bands if band.from_percent <= health)
        by_rated = component.basis is CapacityBasis.RATED
        price = capacity_price(
            stay.rated_wh, test.usable_wh, bands, "rated" if by_rated else "tested"
        )
        why = {
            "test_id": str(test.id),
            "tested_on": test.on.isoformat(),
            "usable_wh": text(test.usable_wh),
            "rated_wh": text(stay.rated_wh),
            "health_percent": text(health),
            "band_from_percent": text(band.from_percent),
        }
        energy = rounded(
            Fraction(stay.rated_wh if by_rated else test.usable_wh) / 1000, QUANTITY_DECIMALS
        )
        vat = vat_on(component, part.from_on)
        piece = Piece(*part, stay, price, vat, energy, Decimal(str(band.unit_price)), why)
        if pieces and (pieces[-1].price, pieces[-1].vat_percent) == (price, vat):
            pieces[-1] = pieces[-1]._replace(to_on=part.to_on)
        else:
            pieces.append(piece)
    return pieces


def tests_by_day(tests: Iterable[Capacity], stay: Stay) -> dict[date, Capacity]:
    """The test that holds from a day on, for the first day of a stay and those on which another
    follows. Raises `MissingFact` when no test says how it began."""
    found: dict[date, Capacity] = {}
    for test in sorted(tests, key=lambda test: (test.on, test.id)):
        if test.on < stay.to_on:
            found[max(test.on, stay.from_on)] = test
    if stay.from_on not in found:
        raise MissingFact(f"pack {stay.pack_id} was not tested by {stay.from_on}")
    return found


def by_days(component: Component, line: Line, pieces: Sequence[Piece]) -> list[Priced]:
    """Rows for pieces in order of time. Those that follow each other at one price are rounded
    together and split by days, so that a swap does not change what a period comes to."""
    rows = []
    for (price, vat), alike in groupby(pieces, key=lambda piece: (piece.price, piece.vat_percent)):
        run = list(alike)
        spans = joined((piece.from_on, piece.to_on) for piece in run)
        owed = half_up(price * line.shares(spans))
        days = [(piece.to_on - piece.from_on).days for piece in run]
        of = line.share_detail(spans)
        for piece, part, count in zip(run, allocate(owed, days), days, strict=True):
            detail = {**piece.why, "price": price, "days": count, "of": of}
            if len(run) > 1:
                detail |= {"together_amount": owed, "together_days": sum(days)}
            rows.append(
                row_of(
                    component,
                    Period(piece.from_on, piece.to_on),
                    part,
                    vat,
                    detail,
                    pack_id=piece.stay.pack_id,
                    site_id=piece.stay.site_id,
                    quantity=piece.quantity,
                    unit_price=piece.unit_price,
                    price_amount=line.whole_price(price),
                )
            )
    return rows


# By use


def visits(stays: Sequence[Stay]) -> list[Stay]:
    """Stays of one pack that follow each other made one, at the site where it stood last."""
    found: list[Stay] = []
    for stay in stays:
        if found and (found[-1].pack_id, found[-1].to_on) == (stay.pack_id, stay.from_on):
            found[-1] = stay._replace(from_on=found[-1].from_on)
        else:
            found.append(stay)
    return found


def use(component: UseComponent, line: Line) -> list[Priced]:
    """A row for each pack. The quantities of all are priced together, so that tiers and packages
    survive a swap, and what they come to is split by quantity."""
    found = visits(line.stays)
    if not found:
        return []
    metered = [counted(component, line, visit) for visit in found]
    quantities = [
        quantity(component, one.units, visit) for one, visit in zip(metered, found, strict=True)
    ]
    together = sum(quantities, Fraction(0))
    exact, parts = rate(component.pricing, together)
    owed = half_up(exact)
    pricing = component.pricing
    per_unit = Decimal(pricing.unit_price) if isinstance(pricing, PerUnit) else None
    rows = []
    for visit, one, count, part in zip(
        found, metered, quantities, split(owed, quantities), strict=True
    ):
        detail = {
            "register": one.detail,
            "quantity": text(count),
            "together_quantity": text(together),
            "together_amount": owed,
            "tiers": parts,
        }
        if isinstance(component, CyclesComponent):
            detail["rated_wh"] = text(visit.rated_wh)
        rows.append(
            row_of(
                component,
                Period(visit.from_on, visit.to_on),
                part,
                vat_on(component, visit.to_on - date.resolution),
                detail,
                pack_id=visit.pack_id,
                site_id=visit.site_id,
                quantity=rounded(count, QUANTITY_DECIMALS),
                unit_price=per_unit,
            )
        )
    return rows


def counted(component: UseComponent, line: Line, visit: Stay) -> Used:
    measure = (
        Measure.DISTANCE_M if isinstance(component, DistanceComponent) else Measure.THROUGHPUT_WH
    )
    readings = line.facts.readings.get((visit.pack_id, measure), ())
    return used(readings, line.instant(visit.from_on), line.instant(visit.to_on))


def quantity(component: UseComponent, units: int, visit: Stay) -> Fraction:
    """Kilowatt-hours, kilometres or full cycles."""
    if isinstance(component, CyclesComponent):
        return full_cycles(units, visit.rated_wh)
    return Fraction(units, 1000)


def split(amount: int, quantities: Sequence[Fraction]) -> list[int]:
    """An amount in proportion to quantities; all of it to the first when there are none."""
    scale = lcm(*(one.denominator for one in quantities))
    weights = [int(one * scale) for one in quantities]
    return allocate(amount, weights if any(weights) else [1, *weights[1:]])


def rate(pricing: UsePricing, quantity: Fraction) -> tuple[Fraction, list[Detail]]:
    """What a quantity comes to, exactly, and in which tiers.

    Worked example (OpenMeter): flat fees of 100 and 50, then 5 a unit to 15, then 1.

    >>> bounds = [("5", "0", "100"), ("10", "0", "50"), ("15", "5", "0"), (None, "1", "0")]
    >>> graduated = [UseTier(up_to=up, unit_price=price, flat_fee=fee) for up, price, fee in bounds]
    >>> amount, parts = rate(Graduated(tiers=graduated), Fraction(22))
    >>> int(amount), [(part["quantity"], part["amount"]) for part in parts]
    (182, [('5', '100'), ('5', '50'), ('5', '25'), ('7', '7')])
    """
    if isinstance(pricing, PerUnit):
        price = Decimal(pricing.unit_price)
        amount = tiers.per_unit(quantity, price)
        return amount, [tier_detail(None, quantity, price, Decimal(0), amount)]
    if isinstance(pricing, Package):
        size, price = Decimal(pricing.size), Decimal(pricing.price)
        free = Decimal(pricing.free_units)
        amount = tiers.package(quantity, size, price, free)
        paid = max(quantity - Fraction(free), Fraction(0))
        packages = tiers.whole_blocks(paid, size)
        told = {"size": text(size), "price": text(price), "free_units": text(free)}
        return amount, [{**told, "packages": packages, "amount": text(amount)}]
    table = [as_tier(tier) for tier in pricing.tiers]
    if isinstance(pricing, Graduated):
        amounts = tiers.graduated(table, quantity)
        return sum(amounts, Fraction(0)), graduated_detail(table, quantity, amounts)
    amount = tiers.volume(table, quantity)
    reached = next(tier for tier in table if tier.up_to is None or quantity <= tier.up_to)
    return amount, [tier_detail(reached.up_to, quantity, *reached[1:], amount)]


def as_tier(tier: UseTier) -> Tier:
    up_to = None if tier.up_to is None else Decimal(tier.up_to)
    return Tier(up_to, Decimal(tier.unit_price), Decimal(tier.flat_fee))


def graduated_detail(
    table: Sequence[Tier], quantity: Fraction, amounts: Sequence[Fraction]
) -> list[Detail]:
    found = []
    below = Fraction(0)
    for tier, amount in zip(table, amounts, strict=False):
        upper = quantity if tier.up_to is None else min(quantity, Fraction(tier.up_to))
        found.append(tier_detail(tier.up_to, upper - below, *tier[1:], amount))
        below = upper
    return found


def tier_detail(
    up_to: Number | None, quantity: Number, unit_price: Number, flat_fee: Number, amount: Fraction
) -> Detail:
    return {
        "up_to": None if up_to is None else text(up_to),
        "quantity": text(quantity),
        "unit_price": text(unit_price),
        "flat_fee": text(flat_fee),
        "amount": text(amount),
    }


# Once


def one_off(component: OneOffComponent, line: Line) -> list[Priced]:
    """Owed on the first day of the line, if the plan held on that day."""
    on = line.facts.started_on
    return [
        row_of(
            component,
            Period(on, on + date.resolution),
            component.amount,
            vat_on(component, on),
            {"started_on": on.isoformat()},
            pack_id=stay.pack_id,
            site_id=stay.site_id,
            quantity=Decimal(1),
            unit_price=Decimal(component.amount),
        )
        for stay in line.stays
        if on is not None and stay.from_on <= on < stay.to_on
    ]


PRICES: dict[type, Callable[[Any, Line], list[Priced]]] = {
    ServiceComponent: service,
    CapacityComponent: capacity,
    ThroughputComponent: use,
    CyclesComponent: use,
    DistanceComponent: use,
    OneOffComponent: one_off,
}
