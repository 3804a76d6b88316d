"""Chunks of work that workers claim one after the other."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from leasing.db.pool import Connection


class Chunk(NamedTuple):
    stage: str
    number: int
    ids: list[UUID]
    attempts: int
    """How many times somebody began it, this time with them."""


# Numbers are given in the order of chunks, so those are finalised one after the other.
CLAIM = """
UPDATE billing_chunk
   SET claimed_by = $3,
       claimed_until = clock_timestamp() + $4::interval,
       attempts = attempts + 1
 WHERE run_id = $1
   AND stage = $2
   AND number = (
     SELECT number
       FROM billing_chunk
      WHERE run_id = $1
        AND stage = $2
        AND state = 'pending'
        AND (claimed_until IS NULL OR claimed_until < clock_timestamp())
        AND ($2 <> 'finalise' OR number = (
              SELECT min(number)
                FROM billing_chunk
               WHERE run_id = $1
                 AND stage = $2
                 AND state = 'pending'))
      ORDER BY number
      LIMIT 1
        FOR UPDATE SKIP LOCKED)
RETURNING number, ids, attempts
"""


async def claim(
    tx: Connection, run_id: UUID, stage: str, worker: str, lease_s: float
) -> Chunk | None:
    """The next chunk that nobody is at, for as long as the lease lasts."""
    row = await tx.fetchrow(CLAIM, run_id, stage, worker, timedelta(seconds=lease_s))
    return Chunk(stage, row["number"], row["ids"], row["attempts"]) if row else None


KEEP = """
SELECT true
  FROM billing_chunk
 WHERE run_id = $1
   AND stage = $2
   AND number = $3
   AND state = 'pending'
   AND claimed_by = $4
   FOR UPDATE
"""


async def keep(tx: Connection, run_id: UUID, chunk: Chunk, worker: str) -> bool:
    """Hold a chunk that is still ours for this transaction; False when another has taken it."""
    return bool(await tx.fetchval(KEEP, run_id, chunk.stage, chunk.number, worker))


FINISH = """
UPDATE billing_chunk
   SET state = 'done'
 WHERE run_id = $1
   AND stage = $2
   AND number = $3
"""


async def finish(tx: Connection, run_id: UUID, chunk: Chunk) -> None:
    await tx.execute(FINISH, run_id, chunk.stage, chunk.number)


LEFT = """
SELECT count(*)
  FROM billing_chunk
 WHERE run_id = $1
   AND stage = $2
   AND state = 'pending'
"""


async def left(tx: Connection, run_id: UUID, stage: str) -> int:
    found: int = await tx.fetchval(LEFT, run_id, stage)
    return found


MAKE_CHUNKS = """
INSERT INTO billing_chunk (run_id, stage, number, ids)
SELECT $1, $2, (position - 1) / $4::integer + 1 + (
         SELECT coalesce(max(number), 0) FROM billing_chunk WHERE run_id = $1 AND stage = $2),
       array_agg(id ORDER BY position)
  FROM unnest($3::uuid[]) WITH ORDINALITY AS given (id, position)
 GROUP BY (position - 1) / $4::integer
"""


async def make_chunks(
    tx: Connection, run_id: UUID, stage: str, ids: Sequence[UUID], most: int
) -> None:
    await tx.execute(MAKE_CHUNKS, run_id, stage, ids, most)
