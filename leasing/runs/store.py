"""What jobs were due, ran, failed or were parked: rows, so that any process may look or go on."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert


class Run(msgspec.Struct, frozen=True):
    id: UUID
    job: str
    as_of: datetime
    state: str
    attempts: int


ENTER = """
INSERT INTO job_run (job, as_of, created_at)
SELECT job, as_of, $3
  FROM unnest($1::text[], $2::timestamptz[]) AS due (job, as_of)
    ON CONFLICT (job, as_of) DO NOTHING
"""


async def enter(tx: Connection, due: Sequence[tuple[str, datetime]], now: datetime) -> None:
    """Note that jobs are due. What was noted before stays as it is."""
    await tx.execute(ENTER, [job for job, _ in due], [as_of for _, as_of in due], now)


NEWEST = """
SELECT known.job,
       (SELECT max(as_of) FROM job_run WHERE job_run.job = known.job) AS as_of
  FROM unnest($1::text[]) AS known (job)
"""


async def newest(tx: Connection, jobs: list[str]) -> dict[str, datetime | None]:
    """The newest instant for which each job was entered."""
    return {row["job"]: row["as_of"] for row in await tx.fetch(NEWEST, jobs)}


UNFINISHED = """
SELECT id, job, as_of, state, attempts
  FROM job_run
 WHERE state IN ('due', 'running', 'failed')
   AND ($1::text IS NULL OR job = $1)
 ORDER BY as_of, job
 LIMIT $2
"""


async def unfinished(tx: Connection, job: str | None, limit: int) -> list[Run]:
    """Runs that are still to be done, oldest first."""
    return [convert(row, Run) for row in await tx.fetch(UNFINISHED, job, limit)]


GET = """
SELECT id, job, as_of, state, attempts
  FROM job_run
 WHERE job = $1
   AND as_of = $2
"""


async def get(tx: Connection, job: str, as_of: datetime) -> Run | None:
    row = await tx.fetchrow(GET, job, as_of)
    return convert(row, Run) if row else None


START = """
  WITH unparked AS (
         DELETE FROM job_parked
          WHERE run_id = $1
       )
UPDATE job_run
   SET state = 'running',
       attempts = attempts + 1,
       worker = $2,
       started_at = $3,
       finished_at = NULL,
       error = NULL
 WHERE id = $1
   AND state IN ('due', 'running', 'failed', 'parked')
"""


async def start(tx: Connection, run_id: UUID, worker: str, now: datetime) -> None:
    """Begin an attempt. What was parked is tried again, and parked again if it still fails."""
    await tx.execute(START, run_id, worker, now)


PROGRESS = """
UPDATE job_run
   SET done = $2,
       parked = $3
 WHERE id = $1
"""


async def note_progress(tx: Connection, run_id: UUID, done: int, parked: int) -> None:
    await tx.execute(PROGRESS, run_id, done, parked)


FINISH = """
UPDATE job_run
   SET state = $2,
       error = $3,
       parked = $4,
       finished_at = $5
 WHERE id = $1
"""


async def finish(
    tx: Connection, run_id: UUID, state: str, error: str | None, parked: int, now: datetime
) -> None:
    """Close a run as done, failed or parked, with so many of its items put aside."""
    await tx.execute(FINISH, run_id, state, error, parked, now)


PARK = """
INSERT INTO job_parked (run_id, subject, subject_id, error, parked_at)
VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (run_id, subject, subject_id) DO UPDATE
   SET error = excluded.error,
       parked_at = excluded.parked_at
"""


async def park(
    tx: Connection, run_id: UUID, subject: str, subject_id: UUID, error: str, now: datetime
) -> None:
    """Put one item of a run aside with the reason, so that the run goes on."""
    await tx.execute(PARK, run_id, subject, subject_id, error, now)


PARKED = """
SELECT subject, subject_id, error, parked_at
  FROM job_parked
 WHERE run_id = $1
 ORDER BY subject, subject_id
"""


async def parked(tx: Connection, run_id: UUID) -> list[Record]:
    return await tx.fetch(PARKED, run_id)


LIST = """
SELECT id, job, as_of, state, attempts, worker, done, parked, error, started_at, finished_at
  FROM job_run
 WHERE id > $1
   AND ($2::text IS NULL OR job = $2)
   AND ($3::text IS NULL OR state = $3)
 ORDER BY id
 LIMIT $4
"""


async def after(
    tx: Connection, run_id: UUID, job: str | None, state: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, run_id, job, state, limit)
