"""Runs and their stages."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.billing.model import NoSuchRun
from leasing.db.pool import Connection
from leasing.kit.rows import convert

STAGES = ("plan", "rate", "draft", "review", "finalise", "deliver")


class Run(msgspec.Struct, frozen=True):
    id: UUID
    as_of: date
    buyer_id: UUID | None
    state: str
    max_invoices: int
    approved_by: str | None


OPEN = """
INSERT INTO billing_run (as_of, buyer_id, max_invoices, started_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT billing_run_once DO UPDATE SET max_invoices = excluded.max_invoices
RETURNING id
"""


async def open_run(
    tx: Connection, as_of: date, buyer_id: UUID | None, max_invoices: int, now: datetime
) -> UUID:
    """The run as of a day; the same one however often it is asked for."""
    run_id: UUID = await tx.fetchval(OPEN, as_of, buyer_id, max_invoices, now)
    return run_id


LOCK = """
SELECT id, as_of, buyer_id, state, max_invoices, approved_by
  FROM billing_run
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, run_id: UUID) -> Run | None:
    row = await tx.fetchrow(LOCK, run_id)
    return convert(row, Run) if row else None


READ = """
SELECT id, as_of, buyer_id, state, max_invoices, approved_by
  FROM billing_run
 WHERE id = $1
"""


async def get_run(tx: Connection, run_id: UUID) -> Run:
    row = await tx.fetchrow(READ, run_id)
    if row is None:
        raise NoSuchRun(f"there is no billing run {run_id}")
    return convert(row, Run)


UNFINISHED = """
SELECT id
  FROM billing_run
 WHERE state = 'running'
 ORDER BY as_of, id
"""


async def unfinished(tx: Connection) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(UNFINISHED)]


SET_STATE = """
UPDATE billing_run
   SET state = $2,
       stopped_because = $3,
       finished_at = CASE WHEN $2 = 'done' THEN $4::timestamptz END
 WHERE id = $1
"""


async def set_state(
    tx: Connection, run_id: UUID, state: str, because: str | None, now: datetime
) -> None:
    await tx.execute(SET_STATE, run_id, state, because, now)


FIND = """
SELECT id
  FROM billing_run
 WHERE as_of = $1
   AND buyer_id IS NOT DISTINCT FROM $2
"""


async def find(tx: Connection, as_of: date, buyer_id: UUID | None) -> UUID | None:
    """The run of a day, if there was anything to do on it."""
    run_id: UUID | None = await tx.fetchval(FIND, as_of, buyer_id)
    return run_id


APPROVE = """
UPDATE billing_run
   SET approved_by = $2,
       state = 'running',
       stopped_because = NULL
 WHERE id = $1
"""


async def approve(tx: Connection, run_id: UUID, by: str) -> None:
    await tx.execute(APPROVE, run_id, by)


# Stages

BEGIN_STAGE = """
INSERT INTO billing_stage (run_id, stage, total, started_at)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (run_id, stage) DO UPDATE
   SET state = 'running',
       total = billing_stage.total + excluded.total,
       finished_at = NULL
"""


async def begin_stage(tx: Connection, run_id: UUID, stage: str, total: int, now: datetime) -> None:
    await tx.execute(BEGIN_STAGE, run_id, stage, total, now)


END_STAGE = """
UPDATE billing_stage
   SET state = 'done',
       finished_at = $3
 WHERE run_id = $1
   AND stage = $2
"""


async def end_stage(tx: Connection, run_id: UUID, stage: str, now: datetime) -> None:
    await tx.execute(END_STAGE, run_id, stage, now)


COUNT = """
UPDATE billing_stage
   SET done = done + $3,
       charges = charges + $4
 WHERE run_id = $1
   AND stage = $2
"""


async def count(tx: Connection, run_id: UUID, stage: str, done: int, charges: int = 0) -> None:
    await tx.execute(COUNT, run_id, stage, done, charges)


CURRENT_STAGE = """
SELECT stage
  FROM billing_stage
 WHERE run_id = $1
   AND state = 'running'
"""


async def current_stage(tx: Connection, run_id: UUID) -> str | None:
    found: str | None = await tx.fetchval(CURRENT_STAGE, run_id)
    return found


# Reading

VIEW = """
SELECT billing_run.id,
       as_of,
       buyer_id,
       state,
       stopped_because,
       approved_by,
       started_at,
       finished_at,
       (SELECT count(*) FROM invoice
         WHERE run_id = billing_run.id AND invoice.state = 'final') AS invoices,
       (SELECT coalesce(sum(total_amount), 0)::bigint FROM invoice
         WHERE run_id = billing_run.id AND invoice.state = 'final') AS total_amount,
       (SELECT count(*) FROM invoice
         WHERE run_id = billing_run.id AND held_because IS NOT NULL) AS held_invoices,
       (SELECT count(*) FROM billing_item
         WHERE run_id = billing_run.id AND code IS NOT NULL) AS parked,
       (SELECT count(*) FROM billing_hold WHERE run_id = billing_run.id) AS held_lines
  FROM billing_run
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def get(tx: Connection, run_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, run_id)


async def after(tx: Connection, run_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, run_id, limit)


STAGES_OF = """
SELECT stage, state, total, done, charges, started_at, finished_at
  FROM billing_stage
 WHERE run_id = $1
 ORDER BY array_position(ARRAY['plan', 'rate', 'draft', 'review', 'finalise', 'deliver'], stage)
"""


async def stages(tx: Connection, run_id: UUID) -> list[Record]:
    return await tx.fetch(STAGES_OF, run_id)
