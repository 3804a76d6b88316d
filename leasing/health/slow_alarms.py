"""Alarms that rest on a night's results and on months of rest: capacity, and self-discharge of
packs in standby."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from leasing.alarms import service as alarms
from leasing.alarms import slow
from leasing.alarms import store as alarm_store
from leasing.alarms.model import Change, Limits
from leasing.alarms.service import Raised
from leasing.db.pool import Connection
from leasing.health import slow_store
from leasing.health.estimators import standby
from leasing.health.estimators.standby import Drift
from leasing.health.slow_store import Standing
from leasing.health.store import Finding
from leasing.kit.time import midnight
from schemas.alarms import AlarmKind

STANDS = timedelta(days=60)
"""Of a pack that was charged or discharged since nothing can be said."""
OLDEST = timedelta(days=400)
AGAIN = timedelta(days=7)
"""A slope over months does not change in a night."""
MIN_FLEET = 5
"""Packs of a chemistry that make a median to compare with."""


async def watch(tx: Connection, findings: Sequence[Finding], *, as_of: date, now: datetime) -> None:
    """Raise and end the slow alarms of packs that were checked."""
    ids = [one.pack.pack_id for one in findings]
    previous = await slow_store.previous(tx, ids, as_of)
    limit_of = await slow_store.open_limits(tx, ids, AlarmKind.CAPACITY)
    standing = await slow_store.standing(
        tx, ids, midnight(as_of) - OLDEST, midnight(as_of) - STANDS, as_of - AGAIN
    )
    judged = {one.pack.pack_id for one in findings if one.health.upper_mah is not None}
    asked = judged | {one.pack_id for one in standing}
    limits = {
        one.pack_id: alarms.limits_of(one)
        for one in await alarm_store.watched(tx, sorted(asked), as_of)
    }
    found = []
    for one in findings:
        pack_id = one.pack.pack_id
        if pack_id in judged:
            change = capacity(one, previous.get(pack_id), limit_of.get(pack_id), limits[pack_id])
            found += raised(pack_id, change, limits[pack_id], evidence(one))
    found += await self_discharge(tx, standing, limits, as_of)
    await alarms.raise_all(tx, found, now)


def raised(
    pack_id: UUID, change: Change | None, limits: Limits, rows: list[dict[str, Any]]
) -> list[Raised]:
    return [] if change is None else [Raised(pack_id, change, msgspec.to_builtins(limits), rows)]


def evidence(one: Finding) -> list[dict[str, Any]]:
    health = one.health
    return [
        {
            "method": health.method,
            "capacity_mah": health.capacity_mah,
            "lower_mah": health.lower_mah,
            "upper_mah": health.upper_mah,
        }
    ]


def capacity(
    one: Finding, previous_mah: int | None, open_limit: float | None, limits: Limits
) -> Change | None:
    """What a result says of the capacity alarm: that it is raised, or, when the whole interval is
    back above the limit of one that is open, that it is over."""
    health = one.health
    assert health.upper_mah is not None
    assert health.lower_mah is not None
    assert health.measured_at is not None
    at_s = health.measured_at.timestamp()
    change = slow.capacity(
        at_s,
        health.upper_mah,
        guarantee_mah=one.guarantee_mah,
        rated_mah=one.pack.rated_capacity_mah,
        previous_mah=previous_mah,
        limits=limits,
    )
    if change is None and open_limit is not None and health.lower_mah >= open_limit:
        return Change(at_s, AlarmKind.CAPACITY, None, None, health.lower_mah, open_limit)
    return change


async def self_discharge(
    tx: Connection, standing: Sequence[Standing], limits: dict[UUID, Limits], as_of: date
) -> list[Raised]:
    """Packs that lose voltage at rest, each against the median of its chemistry."""
    slopes: dict[UUID, Drift] = {}
    for one in standing:
        found = await slope_of(tx, one, limits[one.pack_id], midnight(as_of))
        if found is not None:
            slopes[one.pack_id] = found
            await slow_store.put_slope(tx, one, found, as_of)
    fleet = await slow_store.fleet(tx, MIN_FLEET) if slopes else {}
    told = []
    for one in standing:
        median = fleet.get(one.chemistry)
        slope = slopes.get(one.pack_id)
        # A fleet that gains voltage at rest is being charged.
        if slope is None or median is None or median >= 0:
            continue
        change = slow.standby(midnight(as_of).timestamp(), slope, median, limits[one.pack_id])
        told += raised(one.pack_id, change, limits[one.pack_id], [dict(slope._asdict())])
    return told


async def slope_of(tx: Connection, one: Standing, limits: Limits, before: datetime) -> Drift | None:
    rows = await slow_store.rest_hours(tx, one, before)
    days = np.array([(at - one.charged_at).total_seconds() / 86_400 for at, _ in rows])
    volts = np.array([cell_mv / 1000 for _, cell_mv in rows])
    return standby.drift(days, volts, limits.standby_skip_days, limits.standby_days)
