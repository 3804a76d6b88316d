"""Alarms, limits and what is carried between readings, in the database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.alarms.rules import START, State
from leasing.db.pool import Connection
from leasing.kit.rows import convert
from schemas.alarms import AlarmKind, AlarmSeverity

# What is carried


class Watched(msgspec.Struct, frozen=True):
    """A pack with what its rules need."""

    pack_id: UUID
    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    rated_voltage_mv: int
    full_cell_mv: int | None
    changes: dict[str, Any]
    """What was set for its model."""
    state: State


# In order of pack, so that two batches with the same packs queue up.
WATCHED = """
SELECT pack.id AS pack_id, chemistry, cells_in_series, rated_capacity_mah, rated_voltage_mv,
       full_cell_mv, coalesce(model.limits, '{}') AS changes, pack_watch.state
  FROM pack
  LEFT JOIN pack_watch ON pack_watch.pack_id = pack.id
  LEFT JOIN LATERAL (
       SELECT alarm_limits.limits
         FROM pack_code
         JOIN alarm_limits ON model = left(code, 7)
        WHERE pack_code.pack_id = pack.id
          AND is_printed
          AND scheme IN ('gbt34014', 'gbt34014_cascade')
          AND valid_from <= $2
        ORDER BY valid_from DESC, version DESC
        LIMIT 1) AS model ON true
 WHERE pack.id = ANY ($1::uuid[])
 ORDER BY pack.id
"""


async def watched(tx: Connection, pack_ids: Collection[UUID], on: date) -> list[Watched]:
    """Packs with their limits as of a day, in order of id."""
    found = []
    for row in await tx.fetch(WATCHED, list(pack_ids), on):
        state = START if row["state"] is None else restored(row["state"])
        found.append(convert({**row, "state": state}, Watched))
    return found


def restored(stored: bytes) -> State:
    """What was carried. Rules that changed their mind about what to carry begin anew."""
    try:
        return msgspec.msgpack.decode(stored, type=State)
    except msgspec.ValidationError:
        return START


# Two batches of one pack at a time: the one that comes second waits here for the first, and goes
# on from what that carried.
TAKE_TURNS = """
INSERT INTO pack_watch (pack_id, state, watched_at)
SELECT pack_id, $2, $3
  FROM unnest($1::uuid[]) AS given (pack_id)
 ORDER BY pack_id
    ON CONFLICT (pack_id) DO UPDATE SET watched_at = excluded.watched_at
"""


async def take_turns(tx: Connection, pack_ids: Sequence[UUID], now: datetime) -> None:
    await tx.execute(TAKE_TURNS, pack_ids, msgspec.msgpack.encode(START), now)


CARRY = """
UPDATE pack_watch
   SET state = given.state
  FROM unnest($1::uuid[], $2::bytea[]) AS given (pack_id, state)
 WHERE pack_watch.pack_id = given.pack_id
"""


async def carry(tx: Connection, states: Mapping[UUID, State]) -> None:
    # What rules carried out of an array is a number of numpy's, of whatever width.
    encoded = [msgspec.msgpack.encode(state, enc_hook=float) for state in states.values()]
    await tx.execute(CARRY, list(states), encoded)


# Alarms

# One that is open already was seen again; one that grew is told anew, also when somebody had
# acknowledged it.
RAISE = """
INSERT INTO alarm AS known
       (pack_id, holder_id, kind, severity, cell, code, serial, since, last_seen_at, limits,
        evidence, raised_at, next_repeat_at)
SELECT pack.id, holder_id, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11
  FROM pack
 WHERE pack.id = $1
    ON CONFLICT (pack_id, kind, cell, code, serial) WHERE state <> 'closed' DO UPDATE
   SET last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
       severity = CASE WHEN $12 THEN excluded.severity ELSE known.severity END,
       evidence = CASE WHEN $12 THEN excluded.evidence ELSE known.evidence END,
       limits = CASE WHEN $12 THEN excluded.limits ELSE known.limits END,
       state = CASE WHEN $12 THEN 'raised' ELSE known.state END,
       next_repeat_at = CASE WHEN $12 THEN excluded.next_repeat_at ELSE known.next_repeat_at END,
       acknowledged_at = CASE WHEN $12 THEN NULL ELSE known.acknowledged_at END,
       acknowledged_by = CASE WHEN $12 THEN NULL ELSE known.acknowledged_by END
RETURNING id
"""

# What is open of the same.
OPEN = """
SELECT id, severity, state
  FROM alarm
 WHERE pack_id = $1
   AND kind = $2
   AND cell IS NOT DISTINCT FROM $3
   AND code IS NOT DISTINCT FROM $4
   AND serial IS NOT DISTINCT FROM $5
   AND state <> 'closed'
   FOR UPDATE
"""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as it is to be written."""

    pack_id: UUID
    kind: AlarmKind
    severity: AlarmSeverity
    cell: int | None = None
    code: str | None = None
    serial: str | None = None
    at: datetime
    limits: dict[str, Any]
    evidence: dict[str, Any]


async def find_open(tx: Connection, seen: Sighting) -> Record | None:
    return await tx.fetchrow(OPEN, seen.pack_id, seen.kind, seen.cell, seen.code, seen.serial)


async def raise_alarm(
    tx: Connection, seen: Sighting, *, grows: bool, repeat_at: datetime, now: datetime
) -> UUID:
    alarm_id: UUID = await tx.fetchval(
        RAISE,
        seen.pack_id,
        seen.kind,
        seen.severity,
        seen.cell,
        seen.code,
        seen.serial,
        seen.at,
        seen.limits,
        seen.evidence,
        now,
        repeat_at,
        grows,
    )
    return alarm_id


# One of the rules is found by its kind and cell, one of the device by its serial, or by its code
# when it has none.
# Alarms that a device tells by flags that are up; they have no serial.
FLAGS = """
SELECT pack_id, max(last_seen_at) AS told_at,
       coalesce(array_agg(code) FILTER (WHERE state <> 'closed'), '{}') AS up
  FROM alarm
 WHERE pack_id = ANY ($1::uuid[])
   AND kind = 'device'
   AND serial IS NULL
 GROUP BY pack_id
"""


async def flags(
    tx: Connection, pack_ids: Collection[UUID]
) -> dict[UUID, tuple[datetime, frozenset[str]]]:
    """When a pack's own alarms without a serial were last told of, and which of them are up."""
    rows = await tx.fetch(FLAGS, list(pack_ids))
    return {row["pack_id"]: (row["told_at"], frozenset(row["up"])) for row in rows}


END = """
UPDATE alarm
   SET state = 'closed',
       last_seen_at = greatest(last_seen_at, $6),
       next_repeat_at = NULL,
       closed_at = $7,
       closed_by = $8,
       close_reason = $9
 WHERE pack_id = $1
   AND kind = $2
   AND cell IS NOT DISTINCT FROM $3
   AND ($5::text IS NOT NULL OR code IS NOT DISTINCT FROM $4)
   AND serial IS NOT DISTINCT FROM $5
   AND state <> 'closed'
RETURNING id
"""


async def end(
    tx: Connection,
    pack_id: UUID,
    kind: AlarmKind,
    cell: int | None,
    code: str | None,
    serial: str | None,
    *,
    at: datetime,
    by: str,
    reason: str,
    now: datetime,
) -> list[UUID]:
    """Close what is open of an alarm; the alarms that were."""
    rows = await tx.fetch(END, pack_id, kind, cell, code, serial, at, now, by, reason)
    return [row["id"] for row in rows]


COLUMNS = """id, pack_id, kind, severity, cell, code, serial, since, last_seen_at, limits, evidence,
       state, raised_at, next_repeat_at, repeats, acknowledged_at, acknowledged_by, closed_at,
       closed_by, close_reason"""

GET = f"""
SELECT {COLUMNS}
  FROM alarm
 WHERE id = $1
"""

LOCK = f"""
SELECT {COLUMNS}
  FROM alarm
 WHERE id = $1
   FOR UPDATE
"""

AFTER = f"""
SELECT {COLUMNS}
  FROM alarm
 WHERE id > $1
   AND ($2::text IS NULL OR state = $2)
   AND ($3::text IS NULL OR severity = $3)
   AND ($4::text IS NULL OR kind = $4)
   AND ($5::uuid IS NULL OR pack_id = $5)
 ORDER BY id
 LIMIT $6
"""


async def get(tx: Connection, alarm_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, alarm_id)


async def lock(tx: Connection, alarm_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, alarm_id)


async def after(
    tx: Connection,
    alarm_id: UUID,
    state: str | None,
    severity: str | None,
    kind: str | None,
    pack_id: UUID | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(AFTER, alarm_id, state, severity, kind, pack_id, limit)


ACKNOWLEDGE = """
UPDATE alarm
   SET state = 'acknowledged',
       next_repeat_at = NULL,
       acknowledged_at = $2,
       acknowledged_by = $3
 WHERE id = $1
"""


async def acknowledge(tx: Connection, alarm_id: UUID, by: str, now: datetime) -> None:
    await tx.execute(ACKNOWLEDGE, alarm_id, now, by)


CLOSE = """
UPDATE alarm
   SET state = 'closed',
       next_repeat_at = NULL,
       closed_at = $2,
       closed_by = $3,
       close_reason = $4
 WHERE id = $1
"""


async def close(tx: Connection, alarm_id: UUID, by: str, reason: str, now: datetime) -> None:
    await tx.execute(CLOSE, alarm_id, now, by, reason)


DUE = """
SELECT pack_id
  FROM alarm
 WHERE state = 'raised'
   AND next_repeat_at <= $1
 ORDER BY next_repeat_at, id
 LIMIT $2
"""


async def due(tx: Connection, now: datetime, limit: int) -> list[UUID]:
    """The packs of alarms that are to be told again, the longest overdue first."""
    return [row["pack_id"] for row in await tx.fetch(DUE, now, limit)]


# However late it is done, an alarm is told once.
REPEAT = """
UPDATE alarm
   SET repeats = repeats + 1,
       next_repeat_at = $1::timestamptz + CASE severity
           WHEN 'critical' THEN $2::interval WHEN 'warn' THEN $3 ELSE $4 END
 WHERE id IN (
       SELECT id
         FROM alarm
        WHERE state = 'raised'
          AND next_repeat_at <= $1
          AND pack_id = ANY ($5::uuid[])
        ORDER BY next_repeat_at, id
        LIMIT $6)
RETURNING id, pack_id, kind, severity, cell, code, repeats
"""


async def repeat(
    tx: Connection,
    now: datetime,
    waits: Mapping[AlarmSeverity, Any],
    pack_ids: Collection[UUID],
    limit: int,
) -> list[Record]:
    """Count alarms of packs that are due to be told again; which they are."""
    critical, warn = waits[AlarmSeverity.CRITICAL], waits[AlarmSeverity.WARN]
    info = waits[AlarmSeverity.INFO]
    return await tx.fetch(REPEAT, now, critical, warn, info, list(pack_ids), limit)


# Limits

SET_LIMITS = """
INSERT INTO alarm_limits (model, version, valid_from, limits, reason, entered_by, entered_at)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6
  FROM alarm_limits
 WHERE model = $1
RETURNING id, model, version, valid_from, limits, reason, entered_by, entered_at
"""


async def set_limits(
    tx: Connection,
    model: str,
    valid_from: date,
    limits: Mapping[str, Any],
    reason: str,
    by: str,
    now: datetime,
) -> Record:
    row = await tx.fetchrow(SET_LIMITS, model, valid_from, limits, reason, by, now)
    assert row is not None
    return row


LIMITS_AFTER = """
SELECT id, model, version, valid_from, limits, reason, entered_by, entered_at
  FROM alarm_limits
 WHERE id > $1
   AND ($2::text IS NULL OR model = $2)
 ORDER BY id
 LIMIT $3
"""


async def limits_after(
    tx: Connection, limits_id: UUID, model: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIMITS_AFTER, limits_id, model, limit)
