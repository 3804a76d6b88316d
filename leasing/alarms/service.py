"""Alarms: readings are judged as they are taken in, and what is found is told until somebody
answers for it."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
import numpy as np

from leasing.alarms import fleet, quarantines, store
from leasing.alarms.levels import RANK
from leasing.alarms.model import (
    NEXT_STATES,
    REPEAT_AFTER,
    AlarmInState,
    BadLimits,
    Batch,
    Change,
    DeviceAlarm,
    Limits,
    NoSuchAlarm,
    Readings,
    defaults,
)
from leasing.alarms.store import Sighting, Watched
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from schemas.alarms import (
    AlarmKind,
    AlarmLimitsCreate,
    AlarmLimitsView,
    AlarmSeverity,
    AlarmState,
    AlarmView,
)

BY = "rules:alarms"
"""Who raises and ends what nobody did by hand."""
EVIDENCE_ROWS = 20
MAX_AHEAD = timedelta(minutes=5)
"""Readings that are dated later are stored and not judged: one wrong clock would make every
later reading look late."""
THERMAL_CODES = {"thermal_runaway", "thermal_event"}
"""What a battery's own management calls a thermal runaway."""
LEVELS = {1: AlarmSeverity.CRITICAL, 2: AlarmSeverity.WARN}
"""Of a device's own alarms, where 1 is the most severe; the others are worth knowing."""


class Raised(msgspec.Struct, frozen=True):
    """What the rules found of a pack, with the limits they used and the readings they saw."""

    pack_id: UUID
    change: Change
    limits: dict[str, Any]
    rows: list[dict[str, Any]]


async def watch(tx: Connection, batch: Batch, *, now: datetime) -> None:
    """Judge what packs reported, within the transaction that takes it in."""
    rows = batch.rows
    latest_s = (now + MAX_AHEAD).timestamp()
    ranges = {
        pack_id: (first, first + int(np.searchsorted(rows.at_s[first:last], latest_s, "right")))
        for pack_id, (first, last) in zip(batch.packs, batch.ranges, strict=True)
    }
    pack_ids = sorted(pack_id for pack_id, (first, last) in ranges.items() if last > first)
    if not pack_ids:
        return
    await store.take_turns(tx, pack_ids, now)
    packs = await store.watched(tx, pack_ids, civil_date(now))
    judged = []
    for pack in packs:
        first, last = ranges[pack.pack_id]
        # What comes late or again is how readings travel, and no fault of the pack's clock.
        known = int(np.searchsorted(rows.at_s[first:last], pack.state.last_s, "right"))
        judged.append((first + known, last))
    limits = limits_of_all(packs)
    answers = fleet.check_all(rows, judged, [pack.state for pack in packs], limits)
    states = {}
    found = []
    told = zip(packs, limits, judged, answers, strict=True)
    for pack, used, (first, last), (changes, state) in told:
        states[pack.pack_id] = state
        if changes:
            of_pack = fleet.own(rows, first, last)
            shown = msgspec.to_builtins(used)
            found += [
                Raised(pack.pack_id, one, shown, window(of_pack, one.at_s)) for one in changes
            ]
    await store.carry(tx, states)
    await raise_all(tx, found, now)


def limits_of_all(packs: Sequence[Watched]) -> list[Limits]:
    """Those of each pack. Packs of one kind have one object."""
    known: dict[bytes, Limits] = {}
    found = []
    for pack in packs:
        key = msgspec.msgpack.encode((*LIMITED_BY(pack), pack.changes))
        if key not in known:
            known[key] = limits_of(pack)
        found.append(known[key])
    return found


LIMITED_BY = attrgetter(
    "chemistry", "cells_in_series", "rated_capacity_mah", "rated_voltage_mv", "full_cell_mv"
)


def limits_of(pack: Watched) -> Limits:
    return defaults(
        pack.chemistry,
        cells_in_series=pack.cells_in_series,
        rated_capacity_mah=pack.rated_capacity_mah,
        rated_voltage_mv=pack.rated_voltage_mv,
        full_cell_mv=pack.full_cell_mv,
        changes=pack.changes,
    )


def window(rows: Readings, at_s: float) -> list[dict[str, Any]]:
    """The last readings up to an instant, as evidence."""
    upto = int(np.searchsorted(rows.at_s, at_s, side="right"))
    last = rows.rows(slice(max(0, upto - EVIDENCE_ROWS), upto))
    return [
        {
            "at": instant(float(at)).isoformat(),
            **{name: known(getattr(last, name)[i]) for name in SHOWN},
            "cells_mv": [known(value) for value in last.cells_mv[i]],
        }
        for i, at in enumerate(last.at_s)
    ]


SHOWN = (
    "voltage_v",
    "current_a",
    "soc_percent",
    "temperature_c",
    "temperature_min_c",
    "insulation_kohm",
)


def known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def instant(at_s: float) -> datetime:
    return datetime.fromtimestamp(at_s, UTC)


async def raise_all(tx: Connection, alarms: Sequence[Raised], now: datetime) -> None:
    """Write what was found: begun, grown or over. A thermal runaway puts its pack into quarantine
    in the same transaction, and never ends by itself."""
    if not alarms:
        return
    thermal = {one.pack_id for one in alarms if one.change.kind is AlarmKind.THERMAL_RUNAWAY}
    await lock_with_alike(tx, {one.pack_id for one in alarms}, thermal)
    told: list[Event] = []
    for one in sorted(alarms, key=lambda alarm: (alarm.pack_id, alarm.change.at_s)):
        change = one.change
        if change.severity is not None:
            told += await begin(tx, sighting(one, change.severity), now=now)
        elif change.kind is not AlarmKind.THERMAL_RUNAWAY:
            told += await end(
                tx, one.pack_id, change.kind, change.cell, at=instant(change.at_s), now=now
            )
    await events.append(tx, told, actor=BY, now=now)


async def lock_with_alike(tx: Connection, pack_ids: set[UUID], thermal: set[UUID]) -> None:
    """Lock packs that something is told of, and with those that ran away the ones that will be
    held for them: all at once and in one order."""
    for pack_id in thermal:
        pack_ids = pack_ids | (await quarantines.alike(tx, pack_id)).keys()
    await quarantines.lock_packs(tx, pack_ids)


def sighting(raised: Raised, severity: AlarmSeverity) -> Sighting:
    change = raised.change
    return Sighting(
        pack_id=raised.pack_id,
        kind=change.kind,
        severity=severity,
        cell=change.cell,
        at=instant(change.at_s),
        limits=raised.limits,
        evidence={
            "value": known(change.value),
            "limit": known(change.limit),
            "readings": raised.rows,
        },
    )


async def begin(tx: Connection, seen: Sighting, *, now: datetime) -> list[Event]:
    """An alarm begins, or is seen again, or grows. One that is only seen again is not told anew."""
    before = await store.find_open(tx, seen)
    grows = before is not None and RANK[seen.severity] > RANK[AlarmSeverity(before["severity"])]
    repeat_at = now + REPEAT_AFTER[seen.severity]
    alarm_id = await store.raise_alarm(tx, seen, grows=grows, repeat_at=repeat_at, now=now)
    told = []
    if before is None or grows:
        kind = "pack.alarm_grown" if grows else "pack.alarm_raised"
        told.append(Event("pack", seen.pack_id, kind, facts_of(alarm_id, seen)))
    thermal = seen.kind is AlarmKind.THERMAL_RUNAWAY or seen.code in THERMAL_CODES
    if thermal:
        reason = f"thermal runaway at {seen.at:%Y-%m-%d %H:%M:%SZ}"
        told += await quarantines.open_quarantine(tx, seen.pack_id, alarm_id, reason, now=now)
    return told


def facts_of(alarm_id: UUID, seen: Sighting) -> dict[str, object]:
    return {
        "alarm_id": alarm_id,
        "alarm": seen.code or seen.kind,
        "severity": seen.severity,
        "cell": seen.cell,
        "since": seen.at,
    }


async def end(
    tx: Connection,
    pack_id: UUID,
    kind: AlarmKind,
    cell: int | None = None,
    code: str | None = None,
    serial: str | None = None,
    *,
    at: datetime,
    now: datetime,
) -> list[Event]:
    reason = "ended by the device" if kind is AlarmKind.DEVICE else "back within its limits"
    ids = await store.end(
        tx, pack_id, kind, cell, code, serial, at=at, by=BY, reason=reason, now=now
    )
    return [
        Event(
            "pack",
            pack_id,
            "pack.alarm_closed",
            {"alarm_id": alarm_id, "alarm": code or kind, "cell": cell, "reason": reason},
        )
        for alarm_id in ids
    ]


async def from_device(
    tx: Connection, pack_id: UUID, alarms: Sequence[tuple[datetime, DeviceAlarm]], *, now: datetime
) -> None:
    """Alarms that the battery's own management raised or ended, in the order it sent them. An end
    is paired with its beginning by the device's serial, or by the code when it has none; an end
    without a beginning changes nothing."""
    if not alarms:
        return
    is_thermal = any(alarm.begins and alarm.code in THERMAL_CODES for _, alarm in alarms)
    await lock_with_alike(tx, {pack_id}, {pack_id} if is_thermal else set())
    told: list[Event] = []
    for at, alarm in alarms:
        if not alarm.begins:
            told += await end(
                tx, pack_id, AlarmKind.DEVICE, None, alarm.code, alarm.serial, at=at, now=now
            )
            continue
        severity = AlarmSeverity.INFO
        if alarm.code in THERMAL_CODES:
            severity = AlarmSeverity.CRITICAL
        elif alarm.level is not None:
            severity = LEVELS.get(alarm.level, AlarmSeverity.INFO)
        seen = Sighting(
            pack_id=pack_id,
            kind=AlarmKind.DEVICE,
            severity=severity,
            code=alarm.code,
            serial=alarm.serial,
            at=at,
            limits={},
            evidence={"text": alarm.text, "level": alarm.level},
        )
        told += await begin(tx, seen, now=now)
    await events.append(tx, told, actor=BY, now=now)


async def acknowledge(tx: Connection, alarm_id: UUID, *, by: str, now: datetime) -> AlarmView:
    """Somebody looks after it: it is not told again. Raises `NoSuchAlarm`, `AlarmInState`."""
    alarm = await locked(tx, alarm_id, AlarmState.ACKNOWLEDGED)
    await store.acknowledge(tx, alarm_id, by, now)
    facts: dict[str, object] = {"alarm_id": alarm_id, "alarm": alarm.code or alarm.kind}
    told = [Event("pack", alarm.pack_id, "pack.alarm_acknowledged", facts)]
    await events.append(tx, told, actor=by, now=now)
    return await get(tx, alarm_id)


async def close(
    tx: Connection, alarm_id: UUID, reason: str, *, by: str, now: datetime
) -> AlarmView:
    """End an alarm by hand. A quarantine that it opened stays: that is released by itself. Raises
    `NoSuchAlarm`, `AlarmInState`."""
    alarm = await locked(tx, alarm_id, AlarmState.CLOSED)
    await store.close(tx, alarm_id, by, reason, now)
    facts: dict[str, object] = {
        "alarm_id": alarm_id,
        "alarm": alarm.code or alarm.kind,
        "cell": alarm.cell,
        "reason": reason,
    }
    told = [Event("pack", alarm.pack_id, "pack.alarm_closed", facts)]
    await events.append(tx, told, actor=by, now=now)
    return await get(tx, alarm_id)


async def locked(tx: Connection, alarm_id: UUID, wanted: AlarmState) -> AlarmView:
    # The pack first, as those do who raise alarms.
    await quarantines.lock_packs(tx, [(await get(tx, alarm_id)).pack_id])
    row = await store.lock(tx, alarm_id)
    assert row is not None
    alarm = convert(row, AlarmView)
    if wanted not in NEXT_STATES[alarm.state]:
        raise AlarmInState(f"the alarm is {alarm.state}", state=alarm.state)
    return alarm


async def get(tx: Connection, alarm_id: UUID) -> AlarmView:
    row = await store.get(tx, alarm_id)
    if row is None:
        raise NoSuchAlarm
    return convert(row, AlarmView)


async def repeat(tx: Connection, limit: int, *, by: str, now: datetime) -> int:
    """Tell again what nobody acknowledged. Returns how many alarms were told."""
    due = await store.due(tx, now, limit)
    await quarantines.lock_packs(tx, due)
    rows = await store.repeat(tx, now, REPEAT_AFTER, due, limit)
    told = [
        Event(
            "pack",
            row["pack_id"],
            "pack.alarm_repeated",
            {
                "alarm_id": row["id"],
                "alarm": row["code"] or row["kind"],
                "severity": row["severity"],
                "cell": row["cell"],
                "repeats": row["repeats"],
            },
        )
        for row in rows
    ]
    await events.append(tx, told, actor=by, now=now)
    return len(rows)


async def set_limits(
    tx: Connection, data: AlarmLimitsCreate, *, by: str, now: datetime
) -> AlarmLimitsView:
    """Enter limits of a model of pack as a new version; those before stay as they were. Raises
    `BadLimits` naming every limit that is none."""
    faults = []
    for name, value in data.limits.items():
        try:
            msgspec.convert({name: value}, Limits)
        except msgspec.ValidationError as error:
            faults.append(FieldError(f"/limits/{name}", "bad_limit", str(error)))
    if faults:
        raise BadLimits(f"{len(faults)} of {len(data.limits)} limits", fields=faults)
    row = await store.set_limits(tx, data.model, data.valid_from, data.limits, data.reason, by, now)
    return convert(row, AlarmLimitsView)
