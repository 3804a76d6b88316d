"""What carrying, packing and waiting cost: assumptions, dated, that routing rests on.

Nobody publishes such rates for waste batteries; the defaults are of a plausible size and no more.
Whoever has contracts with carriers enters their own (`POST /v1/routing-terms`).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from leasing.kit.errors import Conflict, Invalid
from schemas.outlets import Hazard, OutletKind

HAZARDS = (Hazard.INTACT, Hazard.DAMAGED, Hazard.CRITICAL)


@dataclass(frozen=True)
class Terms:
    """By hazard in the order of HAZARDS: `freight` in 0.0000001 CNY/(kg·km) of road, `packing` in
    0.0001 CNY/kg. `hold` is what a kilogram that waits is worth, 0.0001 CNY. Road is
    `circuity_percent` of the great circle."""

    from_on: date
    circuity_percent: int
    freight: tuple[int, ...]
    packing: tuple[int, ...]
    hold: int
    single_load_kg: dict[str, int]
    reservation_days: int


DEFAULT = Terms(
    from_on=date.min,
    circuity_percent=130,
    freight=(14_000, 26_000, 55_000),
    packing=(1_200, 6_500, 21_000),
    hold=-15_000,
    single_load_kg={OutletKind.COLLECTING: 600, OutletKind.CONCENTRATED: 5_000},
    reservation_days=7,
)
"""1.4, 2.6 and 5.5 CNY/(t·km), 120, 650 and 2,100 CNY/t; 1,500 CNY/t against waiting."""


class TermsOfThatDay(Conflict):
    code = "routing_terms_of_that_day"
    title = "There are routing terms from this day on already"


class RuleOverlaps(Conflict):
    code = "province_rule_overlaps"
    title = "There is a rule for this province on some of these days already"


class TooManyRules(Conflict):
    code = "too_many_province_rules"
    title = "No more provinces can keep their packs at one time"


class EmptyDays(Invalid):
    code = "empty_days"
    title = "There is no day between the two"


CONSTRAINTS = {
    "routing_terms_one_a_day": TermsOfThatDay,
    "province_rule_one_at_a_time": RuleOverlaps,
}


def on(day: date, entered: list[Terms]) -> Terms:
    """Those in force on a day."""
    past = [terms for terms in entered if terms.from_on <= day]
    return max(past, key=lambda terms: terms.from_on, default=DEFAULT)


def expires_on(terms: Terms, hand_over_on: date) -> date:
    """The day at whose beginning a reservation is given up."""
    days = min(terms.reservation_days + 1, (date.max - hand_over_on).days)
    return hand_over_on + timedelta(days=days)


def ten_thousandths(value: Decimal) -> int:
    return int((value * 10_000).to_integral_value())
