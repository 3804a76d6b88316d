"""What the evaluation of a price plan is given, what it returns, and how it sees a line."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.money import Number, half_up
from leasing.kit.time import midnight
from leasing.pricing.periods import Cycle, Period, walk, whole
from leasing.pricing.proration import Basis, cycles, rounded, share
from leasing.pricing.registers import Detail, Reading
from schemas.tariffs import Component, Measure, NamingComponent, OutageCause


class MissingFact(LookupError):
    """A price rests on something that nobody entered, and nothing sensible can stand for it. The
    line is held back, not billed wrongly."""


class Stay(NamedTuple):
    """Days of a pack in a line, at one site, with rent: half-open, within the period."""

    from_on: date
    to_on: date
    pack_id: UUID
    site_id: UUID
    rated_wh: Number


class Capacity(NamedTuple):
    """Usable energy of a pack as it was found on a day. Of one day the last id holds."""

    id: UUID
    on: date
    usable_wh: Number


class Outage(NamedTuple):
    """Half-open instants without service: of a site, or of the line when that is None."""

    id: UUID
    from_at: datetime
    to_at: datetime
    cause: OutageCause
    site_id: UUID | None = None


class Tenancy(NamedTuple):
    """How many share a site between two days; `to_on` is None while it lasts."""

    id: UUID
    from_on: date
    to_on: date | None
    tenants: int
    is_anchor: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What was entered about the packs and sites of a line; tests from the last one before the
    period on, readings with the neighbours of the period. `started_on` is the day of the one-off
    fee, None if it was owed under an earlier lessee."""

    tests: Mapping[UUID, Sequence[Capacity]] = field(default_factory=dict)
    readings: Mapping[tuple[UUID, Measure], Sequence[Reading]] = field(default_factory=dict)
    outages: Sequence[Outage] = ()
    tenancies: Mapping[UUID, Sequence[Tenancy]] = field(default_factory=dict)
    adcodes: Mapping[UUID, str] = field(default_factory=dict)
    started_on: date | None = None
    time_zone: str | None = None


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """One charge, or credit, of a component. `vat_percent` is None where the contract's holds."""

    component: str
    kind: str
    from_on: date
    to_on: date
    pack_id: UUID | None = None
    site_id: UUID | None = None
    quantity: Decimal | None = None
    unit_price: Decimal | None = None
    price_amount: int | None = None
    """Price of a whole period."""
    amount: int
    vat_percent: Decimal | None
    detail: Detail


@dataclass(frozen=True, slots=True)
class Line:
    """A line in a period, as the components see it."""

    cycle: Cycle
    period: Period
    basis: Basis
    stays: tuple[Stay, ...]
    facts: Facts
    components: tuple[Component, ...]

    @property
    def from_on(self) -> date:
        return self.stays[0].from_on

    @property
    def to_on(self) -> date:
        return self.stays[-1].to_on

    def instant(self, on: date) -> datetime:
        return midnight(on, self.facts.time_zone)

    def shares(self, spans: Iterable[Period]) -> Fraction:
        """How many whole periods some days come to."""
        return sum((cycles(self.cycle, span, self.basis) for span in spans), Fraction(0))

    def whole_price(self, price: int) -> int:
        """The price of the whole billing period."""
        return half_up(price * cycles(self.cycle, self.period, self.basis))

    def share_detail(self, spans: Iterable[Period]) -> list[Detail]:
        found = []
        for span in spans:
            for part in walk(self.cycle, *span):
                days = share(part, whole(self.cycle, part.from_on), self.basis)
                found.append({**dates(part), "days": days.days, "of_days": days.of_days})
        return found


def joined(spans: Iterable[tuple[date, date]]) -> list[Period]:
    """Days in order of time, neighbours made one."""
    found: list[Period] = []
    for from_on, to_on in spans:
        if found and found[-1].to_on == from_on:
            found[-1] = Period(found[-1].from_on, to_on)
        else:
            found.append(Period(from_on, to_on))
    return found


def cut_at(days: Iterable[date], from_on: date, to_on: date) -> list[Period]:
    """Days, cut where others lie within them."""
    inside = sorted({day for day in days if from_on < day < to_on})
    return [Period(*pair) for pair in pairwise([from_on, *inside, to_on])]


def dates(span: Period) -> Detail:
    return {"from_on": span.from_on.isoformat(), "to_on": span.to_on.isoformat()}


def text(value: Number) -> str:
    """An exact number as a decimal, or as a fraction when it has none.

    >>> text(Fraction(5, 4)), text(Fraction(1, 3)), text(Decimal("7.50"))
    ('1.25', '1/3', '7.5')
    """
    exact = Fraction(value)
    for places in range(25):
        if (exact * 10**places).denominator == 1:
            return str(rounded(exact, places))
    return str(exact)


# Tax


def vat_on(component: Component, on: date) -> Decimal | None:
    """The rate of a component on a day; None where the contract's holds."""
    if component.vat_percent is None:
        return None
    percent = component.vat_percent
    for change in component.vat_changes:
        if change.from_on <= on:
            percent = change.percent
    return Decimal(percent)


def taxed_as(component: NamingComponent, line: Line) -> Component:
    """The component whose rate holds for one that names others: its own, or theirs."""
    named = [one for one in line.components if one.code in component.codes]
    return component if component.vat_percent is not None or not named else named[0]


def row_of(
    component: Component,
    span: Period,
    amount: int,
    vat_percent: Decimal | None,
    detail: Detail,
    **more: Any,
) -> Priced:
    return Priced(
        component=component.code,
        kind=str(component.__struct_config__.tag),
        from_on=span.from_on,
        to_on=span.to_on,
        amount=amount,
        vat_percent=vat_percent,
        detail=detail,
        **more,
    )
