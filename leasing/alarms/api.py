"""Alarms, quarantines and safety holds over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.alarms import quarantines, service, store
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.alarms import (
    AlarmClose,
    AlarmKind,
    AlarmLimitsCreate,
    AlarmLimitsView,
    AlarmSeverity,
    AlarmState,
    AlarmView,
    QuarantineRelease,
    QuarantineView,
    SafetyHoldRelease,
    SafetyHoldView,
)

IsOpen = Annotated[bool | None, QueryParameter(name="open", description="True: not released yet.")]


@get("/alarms", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_alarms(
    tx: Tx,
    standing: Annotated[AlarmState | None, QueryParameter(name="state")] = None,
    severity: FromQuery[AlarmSeverity | None] = None,
    kind: FromQuery[AlarmKind | None] = None,
    pack_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AlarmView]:
    """Alarms of packs, oldest first. A customer finds those raised while it had the pack."""
    rows = await store.after(tx, after_id(cursor), standing, severity, kind, pack_id, limit + 1)
    return page_by_id(convert_all(rows, AlarmView), limit)


@get("/alarms/{alarm_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_alarm(tx: Tx, alarm_id: FromPath[UUID]) -> AlarmView:
    """One alarm, with the limits and the readings it rests on."""
    return await service.get(tx, alarm_id)


@post("/alarms/{alarm_id:uuid}/acknowledgement", status_code=200, responses=when_posting(404))
async def acknowledge_alarm(tx: Tx, caller: By, now: Now, alarm_id: FromPath[UUID]) -> AlarmView:
    """Look after an alarm: it is not told again unless it grows."""
    return await service.acknowledge(tx, alarm_id, by=str(caller), now=now)


@post("/alarms/{alarm_id:uuid}/closing", status_code=200, responses=when_posting(404))
async def close_alarm(
    tx: Tx, caller: By, now: Now, alarm_id: FromPath[UUID], data: JSONBody[AlarmClose]
) -> AlarmView:
    """End an alarm by hand, with the reason. A quarantine stays until it is released."""
    return await service.close(tx, alarm_id, data.reason, by=str(caller), now=now)


@get("/quarantines", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_quarantines(
    tx: Tx,
    is_open: IsOpen = None,
    pack_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[QuarantineView]:
    """Packs that are or were in quarantine, oldest first."""
    rows = await quarantines.after(tx, after_id(cursor), is_open, pack_id, limit + 1)
    return page_by_id(convert_all(rows, QuarantineView), limit)


@post("/quarantines/{quarantine_id:uuid}/release", status_code=200, responses=when_posting(404))
async def release_quarantine(
    tx: Tx,
    caller: By,
    now: Now,
    quarantine_id: FromPath[UUID],
    data: JSONBody[QuarantineRelease],
) -> QuarantineView:
    """Let a pack be moved after it was inspected."""
    return await quarantines.release(
        tx, quarantine_id, data.inspection_note, by=str(caller), now=now
    )


@get("/safety-holds", responses=when_reading())
async def list_safety_holds(
    tx: Tx,
    is_open: IsOpen = None,
    pack_id: FromQuery[UUID | None] = None,
    quarantine_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SafetyHoldView]:
    """Packs with cells of a batch of which one pack is or was in quarantine, oldest first."""
    rows = await quarantines.holds_after(
        tx, after_id(cursor), is_open, pack_id, quarantine_id, limit + 1
    )
    return page_by_id(convert_all(rows, SafetyHoldView), limit)


@post("/safety-holds/{hold_id:uuid}/release", status_code=200, responses=when_posting(404))
async def release_safety_hold(
    tx: Tx, caller: By, now: Now, hold_id: FromPath[UUID], data: JSONBody[SafetyHoldRelease]
) -> SafetyHoldView:
    """Let a pack be handed over that was held for its cells."""
    return await quarantines.release_hold(tx, hold_id, data.note, by=str(caller), now=now)


@get("/alarm-limits", responses=when_reading())
async def list_alarm_limits(
    tx: Tx, model: FromQuery[str | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[AlarmLimitsView]:
    """Limits that were set for models of pack, every version, oldest first."""
    rows = await store.limits_after(tx, after_id(cursor), model, limit + 1)
    return page_by_id(convert_all(rows, AlarmLimitsView), limit)


@post("/alarm-limits", responses=when_posting())
async def set_alarm_limits(
    tx: Tx, caller: By, now: Now, data: JSONBody[AlarmLimitsCreate]
) -> AlarmLimitsView:
    """Set limits for a model of pack from a day on, as a new version."""
    return await service.set_limits(tx, data, by=str(caller), now=now)


HANDLERS = [
    list_alarms,
    get_alarm,
    acknowledge_alarm,
    close_alarm,
    list_quarantines,
    release_quarantine,
    list_safety_holds,
    release_safety_hold,
    list_alarm_limits,
    set_alarm_limits,
]
