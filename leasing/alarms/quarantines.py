"""Quarantine of a pack that ran away, and the hold on packs with the same cells."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.alarms.model import NoSuchHold, NoSuchQuarantine, Released
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from schemas.alarms import QuarantineView, SafetyHoldView

MAX_HELD = 10_000
"""Packs of one batch that are held at once."""

OPEN = """
INSERT INTO quarantine (pack_id, holder_id, alarm_id, reason, opened_at)
SELECT id, holder_id, $2, $3, $4
  FROM pack
 WHERE id = $1
    ON CONFLICT (pack_id) WHERE released_at IS NULL DO NOTHING
RETURNING id
"""

# A batch is the maker's cells of one day: a GB/T 34014 code of 24 characters without its serial. It
# is looked for in the cells that are known to be in the pack, in what the pack was made from, and
# in the pack's own code; another pack is found by any of these.
ALIKE = """
WITH own AS (
  SELECT code FROM part_stay WHERE pack_id = $1 AND upper_inf(during)
   UNION
  SELECT code FROM pack_origin WHERE pack_id = $1 AND scheme = 'gbt34014'
   UNION
  SELECT code FROM pack_code WHERE pack_id = $1 AND scheme = 'gbt34014'
),
batch AS (
  SELECT DISTINCT left(code, 17) AS beginning
    FROM own
   WHERE length(code) = 24
     AND substr(code, 4, 1) IN ('P', 'M', 'C')
),
alike AS (
  SELECT pack_id, beginning
    FROM batch
    JOIN part_stay ON code >= beginning AND code < beginning || '~' AND upper_inf(during)
   WHERE pack_id IS NOT NULL
   UNION
  SELECT pack_id, beginning
    FROM batch
    JOIN pack_origin ON code >= beginning AND code < beginning || '~'
   UNION
  SELECT pack_id, beginning
    FROM batch
    JOIN pack_code ON code >= beginning AND code < beginning || '~'
)
SELECT pack_id, min(beginning) AS batch
  FROM alike
  JOIN pack ON pack.id = pack_id
 WHERE pack_id <> $1
   AND pack.state <> 'recycled'
 GROUP BY pack_id
 ORDER BY pack_id
 LIMIT $2
"""


async def alike(tx: Connection, pack_id: UUID) -> dict[UUID, str]:
    """The packs with cells of the same batch as a pack, and the batch."""
    return {row["pack_id"]: row["batch"] for row in await tx.fetch(ALIKE, pack_id, MAX_HELD)}


# Whoever moves a pack holds its row until its transaction ends, and whoever tells of one counts its
# events. Not FOR UPDATE: rows that refer to the packs are written beside.
LOCK_PACKS = """
SELECT id
  FROM pack
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR NO KEY UPDATE
"""


async def lock_packs(tx: Connection, pack_ids: Collection[UUID]) -> None:
    """Take turns with everybody else who moves these packs or tells of them."""
    await tx.execute(LOCK_PACKS, sorted(set(pack_ids)))


HOLD = """
INSERT INTO safety_hold (quarantine_id, pack_id, batch, opened_at)
SELECT $1, pack_id, batch, $4
  FROM unnest($2::uuid[], $3::text[]) AS given (pack_id, batch)
"""


async def open_quarantine(
    tx: Connection, pack_id: UUID, alarm_id: UUID, reason: str, *, now: datetime
) -> list[Event]:
    """Put a pack into quarantine and hold the packs with the same cells; all of them are locked by
    the caller. Nothing when it is in quarantine already. Returns what happened, to be told."""
    quarantine_id = await tx.fetchval(OPEN, pack_id, alarm_id, reason, now)
    if quarantine_id is None:
        return []
    held = await alike(tx, pack_id)
    await tx.execute(HOLD, quarantine_id, list(held), list(held.values()), now)
    facts: dict[str, object] = {"quarantine_id": quarantine_id, "alarm_id": alarm_id}
    told = [Event("pack", pack_id, "pack.quarantined", {**facts, "held": len(held)})]
    for held_id, batch in held.items():
        told.append(Event("pack", held_id, "pack.held", {**facts, "batch": batch}))
    return told


QUARANTINE_COLUMNS = """id, pack_id, alarm_id, reason, opened_at, released_at, released_by,
       inspection_note"""

LOCK_QUARANTINE = """
SELECT id, pack_id, released_at
  FROM quarantine
 WHERE id = $1
   FOR UPDATE
"""

RELEASE_QUARANTINE = f"""
UPDATE quarantine
   SET released_at = $2,
       released_by = $3,
       inspection_note = $4
 WHERE id = $1
RETURNING {QUARANTINE_COLUMNS}
"""


async def release(
    tx: Connection, quarantine_id: UUID, note: str, *, by: str, now: datetime
) -> QuarantineView:
    """The pack was inspected and may be moved. The holds on others stay: each is released by
    itself. Raises `NoSuchQuarantine`, `Released`."""
    found = await tx.fetchrow(LOCK_QUARANTINE, quarantine_id)
    if found is None:
        raise NoSuchQuarantine
    if found["released_at"] is not None:
        raise Released(f"the quarantine was released at {found['released_at']:%Y-%m-%d %H:%MZ}")
    row = await tx.fetchrow(RELEASE_QUARANTINE, quarantine_id, now, by, note)
    assert row is not None
    await lock_packs(tx, [found["pack_id"]])
    facts: dict[str, object] = {"quarantine_id": quarantine_id, "description": note}
    told = [Event("pack", found["pack_id"], "pack.quarantine_released", facts)]
    await events.append(tx, told, actor=by, now=now)
    return convert(row, QuarantineView)


LIST = f"""
SELECT {QUARANTINE_COLUMNS}
  FROM quarantine
 WHERE id > $1
   AND ($2::bool IS NULL OR (released_at IS NULL) = $2)
   AND ($3::uuid IS NULL OR pack_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def after(
    tx: Connection, quarantine_id: UUID, is_open: bool | None, pack_id: UUID | None, limit: int
) -> Sequence[Record]:
    return await tx.fetch(LIST, quarantine_id, is_open, pack_id, limit)


HOLD_COLUMNS = """id, quarantine_id, pack_id, batch, opened_at, released_at, released_by,
       release_note"""

LOCK_HOLD = """
SELECT id, pack_id, released_at
  FROM safety_hold
 WHERE id = $1
   FOR UPDATE
"""

RELEASE_HOLD = f"""
UPDATE safety_hold
   SET released_at = $2,
       released_by = $3,
       release_note = $4
 WHERE id = $1
RETURNING {HOLD_COLUMNS}
"""


async def release_hold(
    tx: Connection, hold_id: UUID, note: str, *, by: str, now: datetime
) -> SafetyHoldView:
    """The pack was looked at and may be handed over. Raises `NoSuchHold`, `Released`."""
    found = await tx.fetchrow(LOCK_HOLD, hold_id)
    if found is None:
        raise NoSuchHold
    if found["released_at"] is not None:
        raise Released(f"the hold was released at {found['released_at']:%Y-%m-%d %H:%MZ}")
    row = await tx.fetchrow(RELEASE_HOLD, hold_id, now, by, note)
    assert row is not None
    await lock_packs(tx, [found["pack_id"]])
    facts: dict[str, object] = {"hold_id": hold_id, "description": note}
    told = [Event("pack", found["pack_id"], "pack.hold_released", facts)]
    await events.append(tx, told, actor=by, now=now)
    return convert(row, SafetyHoldView)


HOLDS = f"""
SELECT {HOLD_COLUMNS}
  FROM safety_hold
 WHERE id > $1
   AND ($2::bool IS NULL OR (released_at IS NULL) = $2)
   AND ($3::uuid IS NULL OR pack_id = $3)
   AND ($4::uuid IS NULL OR quarantine_id = $4)
 ORDER BY id
 LIMIT $5
"""


async def holds_after(
    tx: Connection,
    hold_id: UUID,
    is_open: bool | None,
    pack_id: UUID | None,
    quarantine_id: UUID | None,
    limit: int,
) -> Sequence[Record]:
    return await tx.fetch(HOLDS, hold_id, is_open, pack_id, quarantine_id, limit)
