"""When a check discharge (核对性放电) is due and how deep it goes, what it says of the capacity,
and how long a site was without the backup that was agreed."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from math import ceil, floor, sqrt

from leasing.health.estimators import depth
from leasing.health.model import Health
from leasing.health.rules import (
    MAX_OF_RATED,
    MIN_OF_RATED,
    PERCENT_PER_10_DEGREES,
    REFERENCE_C_DEGREES,
    judge,
)
from leasing.kit.time import add_months, midnight
from leasing.maintenance.model import BadResult, Dark, Judged, Rule, Standing
from schemas.health import Verdict
from schemas.maintenance import CheckDischargeResult

HORIZON = timedelta(days=30)
"""A test is planned so long before it is due, and one that is overdue is due after as long."""
TO_THE_END = "check_discharge.full"
PARTIAL = "check_discharge.partial"
AT_LEAST = "check_discharge.at_least"
MIN_WINDOW_POINTS = 20.0
"""Below this a state of charge that is 5 points off says nothing (health.md 3.2)."""
DEFAULT_CLASS = "C"
"""Of a site whose class nobody entered."""


def due_on(pack: Standing, rule: Rule, on: date) -> date:
    """When a pack is to be tested next, as seen on a day: every 24 months, or after 25 % of its
    expected life if that is less; yearly after 85 % of it, and after a fall by more than 10
    points (IEEE 1188 as quoted by Fluke, health.md 3.5)."""
    old_on = add_months(pack.first_on, rule.life_months * rule.old_percent // 100)
    fallen = 100 * (pack.first_mah - pack.latest_mah) / pack.rated_capacity_mah
    if on >= old_on or fallen > rule.drop_points:
        return add_months(pack.tested_on, rule.old_months)
    months = min(rule.interval_months, rule.life_months * rule.life_percent // 100)
    return add_months(pack.tested_on, max(1, months))


def planned_for(pack: Standing, rules: Mapping[str, Rule], on: date) -> tuple[date, int] | None:
    """By when a pack is to be tested and how deep, when that is to be planned by now."""
    rule = rules[pack.site_class or DEFAULT_CLASS]
    due = due_on(pack, rule, on)
    if due > on + HORIZON:
        return None
    deep = (pack.tests_done + 1) % rule.deep_every == 0
    return (
        due if due > on else on + HORIZON,
        rule.deep_percent if deep else rule.depth_percent,
    )


def judge_discharge(
    data: CheckDischargeResult, rated_mah: int, guarantee_mah: int | None
) -> Judged:
    """What a check discharge says of the capacity.

    To the end voltage it is a measurement. Else the charge over the states of charge it moved
    between is bounded by what such pieces were off by (`depth.sigma_points`), in points of the
    rated capacity, with 1 % per 10 °C away from 25 °C. Without states of charge only one thing
    is known: what was taken was there. Raises `BadResult` for what cannot be.
    """
    taken = data.discharged_mah
    refuse_impossible(data, rated_mah)
    if data.depth_percent == 100:
        return around(data, taken, TO_THE_END, rated_mah, guarantee_mah)
    moved = window(data)
    if moved is not None:
        capacity = round(100 * taken / moved)
        if not MIN_OF_RATED <= capacity / rated_mah <= MAX_OF_RATED:
            raise BadResult(
                "/discharged_mah", f"{taken} mAh over {moved:g} points make {capacity} mAh"
            )
        return around(data, capacity, PARTIAL, rated_mah, guarantee_mah)
    facts = {**evidence(data), "at_least_mah": taken}
    if guarantee_mah is not None and taken >= guarantee_mah:
        upper = max(taken, ceil(MAX_OF_RATED * rated_mah))
        health = Health(AT_LEAST, taken, taken, upper, midnight(data.tested_on), facts)
        return Judged(health, Verdict.PASS)
    sentence = (
        "a part was discharged and no state of charge was given: only what was taken is known"
    )
    facts |= {"reason": "one_sided", "sentence": sentence}
    return Judged(Health(None, None, None, None, None, facts), Verdict.ABSTAINED)


def refuse_impossible(data: CheckDischargeResult, rated_mah: int) -> None:
    for name in ("soc_percent", "voltage_mv"):
        start, end = getattr(data, f"start_{name}"), getattr(data, f"end_{name}")
        if (start is None) != (end is None):
            missing = "start" if start is None else "end"
            raise BadResult(f"/{missing}_{name}", "give both ends or neither")
        if start is not None and end >= start:
            raise BadResult(f"/end_{name}", "a discharge ends lower than it starts")
    if data.start_soc_percent is None and data.start_voltage_mv is None:
        raise BadResult("/start_soc_percent", "give states of charge or voltages at both ends")
    taken_percent = 100 * data.discharged_mah / rated_mah
    if data.depth_percent < 100 and abs(taken_percent - data.depth_percent) > 5:
        raise BadResult(
            "/depth_percent", f"{data.discharged_mah} mAh are {taken_percent:.0f} % of the rating"
        )


def window(data: CheckDischargeResult) -> float | None:
    """Points of state of charge it moved; None when too few, or not known."""
    if data.start_soc_percent is None or data.end_soc_percent is None:
        return None
    moved = data.start_soc_percent - data.end_soc_percent
    return moved if moved >= MIN_WINDOW_POINTS else None


def around(
    data: CheckDischargeResult,
    capacity_mah: int,
    method: str,
    rated_mah: int,
    guarantee_mah: int | None,
) -> Judged:
    share = 1.0 if data.depth_percent == 100 else min(data.discharged_mah / rated_mah, 1.0)
    terms = {
        "depth": depth.sigma_points(share),
        "temperature": PERCENT_PER_10_DEGREES * abs(data.temperature_c - REFERENCE_C_DEGREES) / 10,
    }
    half = depth.COVER * sqrt(sum(term**2 for term in terms.values())) / 100 * rated_mah
    lower = floor(capacity_mah - half)
    if method == PARTIAL:
        lower = min(max(lower, data.discharged_mah), capacity_mah)
    health = Health(
        method,
        capacity_mah,
        max(lower, 0),
        ceil(capacity_mah + half),
        midnight(data.tested_on),
        {**evidence(data), "error_points": {name: round(term, 3) for name, term in terms.items()}},
    )
    assert health.lower_mah is not None
    assert health.upper_mah is not None
    return Judged(health, judge(health.lower_mah, health.upper_mah, guarantee_mah or 0))


def evidence(data: CheckDischargeResult) -> dict[str, object]:
    names = (
        "discharged_mah",
        "depth_percent",
        "duration_minutes",
        "temperature_c",
        "start_soc_percent",
        "end_soc_percent",
        "start_voltage_mv",
        "end_voltage_mv",
        "signatory",
        "document_sha256",
    )
    return {"tested_on": str(data.tested_on)} | {name: getattr(data, name) for name in names}


def missed(dark: Dark) -> tuple[datetime, datetime] | None:
    """The part of the agreed time of backup in which a site was dark. None when its packs carried
    it as long as agreed, or the grid was back at once."""
    until = dark.started_at + timedelta(minutes=dark.agreed_minutes)
    if dark.back_at is not None:
        until = min(until, dark.back_at)
    return (dark.dark_at, until) if dark.dark_at < until else None
