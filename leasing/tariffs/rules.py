"""Whether components of a price plan fit together, and whether facts can be so."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from leasing.kit.errors import FieldError
from leasing.kit.time import civil_date
from leasing.tariffs.model import BadComponents, BadFact
from schemas.tariffs import (
    RENT,
    AvailabilityComponent,
    CapacityComponent,
    Component,
    Fact,
    Graduated,
    MaximumComponent,
    MeterReadingRow,
    MinimumComponent,
    NamingComponent,
    OutageRow,
    Package,
    PriceIndexRow,
    RegionComponent,
    Restart,
    SharingComponent,
    SiteTenancyRow,
    UseComponent,
    UseTier,
    Volume,
)

RESERVED = {
    RENT,
    "early_termination",
    "buy_out",
    "loss",
    "damage",
    "missing_parts",
    "capacity_shortfall",
    "logistics",
    "adjustment",
}
"""What invoices call by these names comes from elsewhere."""

Row = MeterReadingRow | OutageRow | SiteTenancyRow | PriceIndexRow


# Components


def refuse_bad_components(components: Sequence[Component]) -> None:
    """Raise `BadComponents` with every fault at once."""
    found = list(component_faults(components))
    if found:
        raise BadComponents("; ".join(fault.message for fault in found), fields=found)


def component_faults(components: Sequence[Component]) -> Iterator[FieldError]:
    counts = Counter(component.code for component in components)
    for i, component in enumerate(components):
        place = f"/components/{i}"
        if component.code in RESERVED:
            yield FieldError(
                f"{place}/code", "reserved", f"{component.code} is the name of another"
            )
        if counts[component.code] > 1:
            message = f"{component.code} is the code of {counts[component.code]} components"
            yield FieldError(f"{place}/code", "code_twice", message)
        yield from vat_faults(component, place)
        if isinstance(component, CapacityComponent):
            yield from band_faults(component, place)
        elif isinstance(component, UseComponent):
            yield from use_faults(component, f"{place}/pricing")
        elif isinstance(component, NamingComponent):
            yield from naming_faults(component, components, place)


def vat_faults(component: Component, place: str) -> Iterator[FieldError]:
    changes = component.vat_changes
    if changes and component.vat_percent is None:
        message = "a rate that changes has one that holds before"
        yield FieldError(f"{place}/vat_percent", "missing", message)
    for i, (earlier, later) in enumerate(pairwise(changes)):
        if later.from_on <= earlier.from_on:
            message = f"{later.from_on} does not come after {earlier.from_on}"
            yield FieldError(f"{place}/vat_changes/{i + 1}/from_on", "not_ascending", message)


def band_faults(component: CapacityComponent, place: str) -> Iterator[FieldError]:
    bounds = [Decimal(band.from_percent) for band in component.bands]
    if bounds[0] != 0:
        message = f"the first band begins at 0, not at {bounds[0]}: every state has a price"
        yield FieldError(f"{place}/bands/0/from_percent", "not_from_zero", message)
    yield from ascending_faults(bounds, f"{place}/bands", "from_percent")


def ascending_faults(
    values: Sequence[Decimal | int], place: str, field: str
) -> Iterator[FieldError]:
    for i, (lower, upper) in enumerate(pairwise(values)):
        if upper <= lower:
            message = f"{upper} is not above {lower}"
            yield FieldError(f"{place}/{i + 1}/{field}", "not_ascending", message)


def use_faults(component: UseComponent, place: str) -> Iterator[FieldError]:
    pricing = component.pricing
    if isinstance(pricing, Graduated | Volume):
        yield from tier_faults(pricing.tiers, f"{place}/tiers")
    elif isinstance(pricing, Package) and Decimal(pricing.size) == 0:
        yield FieldError(f"{place}/size", "zero", "a package holds something")


def tier_faults(tiers: Sequence[UseTier], place: str) -> Iterator[FieldError]:
    for i, tier in enumerate(tiers[:-1]):
        if tier.up_to is None:
            message = "only the last tier is without a bound"
            yield FieldError(f"{place}/{i}/up_to", "missing", message)
    if tiers[-1].up_to is not None:
        message = "the last tier is without a bound: every quantity has a price"
        yield FieldError(f"{place}/{len(tiers) - 1}/up_to", "bounded", message)
    bounds = [Decimal(tier.up_to) for tier in tiers if tier.up_to is not None]
    if bounds and bounds[0] == 0:
        yield FieldError(f"{place}/0/up_to", "zero", "the first tier ends above 0")
    yield from ascending_faults(bounds, place, "up_to")


def naming_faults(
    component: NamingComponent, components: Sequence[Component], place: str
) -> Iterator[FieldError]:
    priced = {one.code: one for one in components if not isinstance(one, NamingComponent)}
    for i, code in enumerate(component.codes):
        pointer = f"{place}/codes/{i}"
        if code in component.codes[:i]:
            yield FieldError(pointer, "code_twice", f"{code} is named twice")
        elif code not in priced and code != RENT:
            known = ", ".join([RENT, *priced])
            message = f"{code} is not the code of a priced component, which are: {known}"
            yield FieldError(pointer, "unknown_code", message)
    taxes = {
        (priced[code].vat_percent, tuple(priced[code].vat_changes)) if code in priced else (None,)
        for code in component.codes
        if code in priced or code == RENT
    }
    # A component without a rate of its own is taxed as rent is.
    taxes = {(None,) if tax[0] is None else tax for tax in taxes}
    if component.vat_percent is None and len(taxes) > 1:
        message = "components of different VAT: name them apart, or say how this one is taxed"
        yield FieldError(f"{place}/vat_percent", "mixed_vat", message)
    if isinstance(component, AvailabilityComponent):
        yield from availability_faults(component, place)
    elif isinstance(component, SharingComponent):
        yield from sharing_faults(component, place)
    elif isinstance(component, RegionComponent):
        yield from region_faults(component, place)
    elif isinstance(component, MaximumComponent):
        yield from maximum_faults(component, components, place)


def availability_faults(component: AvailabilityComponent, place: str) -> Iterator[FieldError]:
    for i, (upper, lower) in enumerate(pairwise(component.tiers)):
        at = f"{place}/tiers/{i + 1}"
        if Decimal(lower.below_percent) >= Decimal(upper.below_percent):
            message = f"{lower.below_percent} is not below {upper.below_percent}"
            yield FieldError(f"{at}/below_percent", "not_descending", message)
        if Decimal(lower.credit_percent) < Decimal(upper.credit_percent):
            message = "a longer outage is not credited with less"
            yield FieldError(f"{at}/credit_percent", "not_ascending", message)


def sharing_faults(component: SharingComponent, place: str) -> Iterator[FieldError]:
    counts = [discount.tenants for discount in component.discounts]
    yield from ascending_faults(counts, f"{place}/discounts", "tenants")
    for i, discount in enumerate(component.discounts):
        if Decimal(discount.percent) + Decimal(component.anchor_percent) > 100:
            message = f"with the anchor's {component.anchor_percent} it is more than 100"
            yield FieldError(f"{place}/discounts/{i}/percent", "above_100", message)


def region_faults(component: RegionComponent, place: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, one in enumerate(component.coefficients):
        at = f"{place}/coefficients/{i}"
        if one.adcode_prefix in seen:
            message = f"{one.adcode_prefix} has a coefficient already"
            yield FieldError(f"{at}/adcode_prefix", "prefix_twice", message)
        seen.add(one.adcode_prefix)
        if Decimal(one.coefficient) == 0:
            yield FieldError(f"{at}/coefficient", "zero", "a price of nothing is no coefficient")


def maximum_faults(
    component: MaximumComponent, components: Sequence[Component], place: str
) -> Iterator[FieldError]:
    for other in components:
        if (
            isinstance(other, MinimumComponent)
            and set(other.codes) == set(component.codes)
            and other.amount > component.amount
        ):
            message = f"it is below the minimum {other.code} of the same, {other.amount}"
            yield FieldError(f"{place}/amount", "below_minimum", message)


# Facts


def refuse_bad_fact(row: Row, now: datetime) -> None:
    """Raise `BadFact` for what cannot be, with every fault at once."""
    found = list(fact_faults(row, now))
    if found:
        raise BadFact("; ".join(fault.message for fault in found), fields=found)


def fact_faults(row: Row, now: datetime) -> Iterator[FieldError]:
    yield from void_faults(row)
    if isinstance(row, MeterReadingRow):
        yield from reading_faults(row, now)
    elif isinstance(row, OutageRow):
        yield from outage_faults(row, now)
    elif isinstance(row, SiteTenancyRow):
        if row.to_on is not None and row.to_on <= row.from_on:
            message = f"{row.to_on} is not after {row.from_on}"
            yield FieldError("/to_on", "ends_before_start", message)
    else:
        yield from index_faults(row, now)


def void_faults(row: Fact) -> Iterator[FieldError]:
    if row.is_void and row.supersedes_id is None:
        message = "a row that takes another out names it"
        yield FieldError("/supersedes_id", "missing", message)


def reading_faults(row: MeterReadingRow, now: datetime) -> Iterator[FieldError]:
    if row.at > now:
        yield FieldError("/at", "in_the_future", f"{row.at} is after now, {now}")
    if (row.restart is Restart.ROLLOVER) != (row.register_max is not None):
        message = "the last number of a register is said of a rollover, and of nothing else"
        yield FieldError("/register_max", "rollover", message)
    elif row.register_max is not None and row.register_value > row.register_max:
        message = f"the register ends at {row.register_max}"
        yield FieldError("/register_value", "above_register", message)


def outage_faults(row: OutageRow, now: datetime) -> Iterator[FieldError]:
    if (row.site_id is None) == (row.line_id is None):
        message = "an outage is that of a site or of a line, and not of both"
        yield FieldError("/site_id", "one_of_two", message)
    if row.to_at <= row.from_at:
        yield FieldError("/to_at", "ends_before_start", f"{row.to_at} is not after {row.from_at}")
    if row.to_at > now:
        yield FieldError("/to_at", "in_the_future", f"{row.to_at} is after now, {now}")


def index_faults(row: PriceIndexRow, now: datetime) -> Iterator[FieldError]:
    if row.month.day != 1:
        yield FieldError("/month", "not_a_month", f"{row.month} is not the first day of a month")
    if Decimal(row.value) == 0:
        yield FieldError("/value", "zero", "an index is above 0")
    if row.published_on <= row.month:
        message = f"{row.published_on} is not after the month began"
        yield FieldError("/published_on", "before_month", message)
    if row.published_on > civil_date(now):
        yield FieldError("/published_on", "in_the_future", f"{row.published_on} is after today")
