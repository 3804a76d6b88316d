"""Components of a price plan that work on what others come to: each takes from what the ones before
have left of the codes it names, or adds to it."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from leasing.kit.money import allocate, half_up, percent_of
from leasing.pricing import tiers
from leasing.pricing.components import (
    CreditTier,
    availability_credit,
    outage_minutes,
    sharing_percent,
)
from leasing.pricing.periods import Period
from leasing.pricing.plan_model import (
    Line,
    Priced,
    Stay,
    Tenancy,
    cut_at,
    dates,
    joined,
    row_of,
    taxed_as,
    text,
    vat_on,
)
from leasing.pricing.registers import Detail
from schemas.tariffs import (
    AvailabilityComponent,
    MaximumComponent,
    MinimumComponent,
    NamingComponent,
    OutageCause,
    RegionComponent,
    SharingComponent,
)

Nets = dict[str, int]
"""What is left of each code."""


def adjusted(
    component: NamingComponent, line: Line, nets: Nets, amount: int, detail: Detail
) -> list[Priced]:
    """The row of a change, which is taken from what is left of the codes or added to it."""
    if not amount:
        return []
    named = {code: nets[code] for code in component.codes}
    if any(named.values()):
        parts = allocate(amount, list(named.values()))
        nets.update({code: nets[code] + part for code, part in zip(named, parts, strict=True)})
    return [on_top(component, line, amount, {"codes": named, **detail})]


def on_top(component: NamingComponent, line: Line, amount: int, detail: Detail) -> Priced:
    last = line.to_on - date.resolution
    span = Period(line.from_on, line.to_on)
    return row_of(component, span, amount, vat_on(taxed_as(component, line), last), detail)


def base_of(component: NamingComponent, nets: Nets) -> int:
    return sum(nets[code] for code in component.codes)


def region(component: RegionComponent, line: Line, nets: Nets) -> list[Priced]:
    """The coefficient of each day's site, averaged over the days."""
    weighted, days, told = Fraction(0), 0, []
    for stay in line.stays:
        adcode = line.facts.adcodes.get(stay.site_id, "")
        prefix, coefficient = coefficient_at(component, adcode)
        count = (stay.to_on - stay.from_on).days
        weighted += coefficient * count
        days += count
        told.append(
            {
                **dates(Period(stay.from_on, stay.to_on)),
                "days": count,
                "adcode": adcode,
                "prefix": prefix,
                "coefficient": text(coefficient),
            }
        )
    average, base = weighted / days, base_of(component, nets)
    detail: Detail = {"base": base, "coefficient": text(average), "days": told}
    return adjusted(component, line, nets, half_up(base * (average - 1)), detail)


def coefficient_at(component: RegionComponent, adcode: str) -> tuple[str | None, Fraction]:
    fitting = [one for one in component.coefficients if adcode.startswith(one.adcode_prefix)]
    if not fitting:
        return None, Fraction(1)
    found = max(fitting, key=lambda one: len(one.adcode_prefix))
    return found.adcode_prefix, Fraction(Decimal(found.coefficient))


def sharing(component: SharingComponent, line: Line, nets: Nets) -> list[Priced]:
    """The discount of each day's tenants, averaged over the days. A site of which nobody said who
    shares it is taken to have one tenant."""
    table = {one.tenants: Decimal(one.percent) for one in component.discounts}
    anchor_percent = Decimal(component.anchor_percent)
    weighted, days, told = Fraction(0), 0, []
    for stay in line.stays:
        for part, tenancy in tenancies_of(line, stay):
            percent = Fraction(0)
            if tenancy is not None:
                percent = sharing_percent(
                    table,
                    tenancy.tenants,
                    anchor=tenancy.is_anchor,
                    anchor_percent=anchor_percent,
                )
            weighted += percent * part.days
            days += part.days
            told.append(
                {
                    **dates(part),
                    "days": part.days,
                    "tenancy_id": str(tenancy.id) if tenancy else None,
                    "tenants": tenancy.tenants if tenancy else 1,
                    "is_anchor": tenancy.is_anchor if tenancy else False,
                    "percent": text(percent),
                }
            )
    average, base = weighted / days, base_of(component, nets)
    detail: Detail = {"base": base, "percent": text(average), "days": told}
    return adjusted(component, line, nets, -half_up(base * average / 100), detail)


def tenancies_of(line: Line, stay: Stay) -> list[tuple[Period, Tenancy | None]]:
    """The days of a stay, cut where other tenants share its site."""
    known = line.facts.tenancies.get(stay.site_id, ())
    days = [day for one in known for day in (one.from_on, one.to_on) if day is not None]
    found = []
    for part in cut_at(days, stay.from_on, stay.to_on):
        holding = [
            one
            for one in known
            if one.from_on <= part.from_on and (one.to_on is None or part.from_on < one.to_on)
        ]
        found.append((part, holding[0] if holding else None))
    return found


def prorated(component: MinimumComponent | MaximumComponent, line: Line) -> tuple[Fraction, Detail]:
    """The part of a bound that falls on the days of the line (as Lago prorates commitments)."""
    spans = joined((stay.from_on, stay.to_on) for stay in line.stays)
    bound = component.amount * line.shares(spans)
    detail = {"whole_amount": component.amount, "of": line.share_detail(spans)}
    return bound, {**detail, "bound": text(bound)}


def maximum(component: MaximumComponent, line: Line, nets: Nets) -> list[Priced]:
    bound, detail = prorated(component, line)
    base = base_of(component, nets)
    spend = tiers.commit(base, maximum=bound)
    cut = half_up(spend.amount) - base
    return adjusted(component, line, nets, cut, {"base": base, **detail})


def minimum(component: MinimumComponent, line: Line, nets: Nets) -> list[Priced]:
    """What is missing is of the minimum itself: no other component works on it."""
    bound, detail = prorated(component, line)
    base = base_of(component, nets)
    missing = half_up(tiers.commit(base, minimum=bound).true_up)
    if not missing:
        return []
    named = {code: nets[code] for code in component.codes}
    return [on_top(component, line, missing, {"codes": named, "base": base, **detail})]


EXCUSED = {OutageCause.FORCE_MAJEURE, OutageCause.CUSTOMER}


def availability(component: AvailabilityComponent, line: Line, nets: Nets) -> list[Priced]:
    """The credit for the minutes without service among those of the line's days."""
    down, excused, told, minutes = [], [], [], 0
    for stay in line.stays:
        start, end = line.instant(stay.from_on), line.instant(stay.to_on)
        minutes += (end - start) // timedelta(minutes=1)
        for outage in sorted(line.facts.outages, key=lambda one: (one.from_at, one.id)):
            first, last = max(outage.from_at, start), min(outage.to_at, end)
            if outage.site_id not in (None, stay.site_id) or first >= last:
                continue
            down.append((first, last))
            if outage.cause in EXCUSED:
                excused.append((first, last))
            told.append(
                {
                    "id": str(outage.id),
                    "from_at": first.isoformat(),
                    "to_at": last.isoformat(),
                    "cause": outage.cause.value,
                }
            )
    around = line.instant(line.from_on), line.instant(line.to_on)
    lost, forgiven = outage_minutes(down, excused, *around)
    base = base_of(component, nets)
    table = [
        CreditTier(Decimal(one.below_percent), Decimal(one.credit_percent))
        for one in component.tiers
    ]
    cap = cap_of(component, base)
    credit = availability_credit(base, minutes, lost, forgiven, table, cap)
    detail: Detail = {
        "base": base,
        "period_minutes": minutes,
        "down_minutes": lost,
        "excused_minutes": forgiven,
        "counted_minutes": credit.counted_minutes,
        "available_percent": text(credit.available_percent),
        "cap_amount": cap,
        "outages": told,
    }
    return adjusted(component, line, nets, credit.amount, detail)


def cap_of(component: AvailabilityComponent, base: int) -> int | None:
    caps = [] if component.cap_amount is None else [component.cap_amount]
    if component.cap_percent is not None:
        caps.append(percent_of(base, Decimal(component.cap_percent)))
    return min(caps, default=None)


STEPS: dict[type, Callable[[Any, Line, Nets], list[Priced]]] = {
    RegionComponent: region,
    SharingComponent: sharing,
    MaximumComponent: maximum,
    MinimumComponent: minimum,
    AvailabilityComponent: availability,
}
"""In the order in which they are taken."""
