"""The life of each pack, step by step, in the order the steps were recorded (溯源)."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, fetch_for
from leasing.obligations import service as obligations


class Step(msgspec.Struct, frozen=True):
    """One step of a pack's life. `party_id` is whom it concerned beside the lessor."""

    pack_id: UUID
    kind: str
    happened_on: date
    data: dict[str, object]
    adcode: str | None = None
    party_id: UUID | None = None


APPEND = """
WITH step AS (
  SELECT position, pack_id, kind, happened_on, adcode, party_id, data,
         row_number() OVER (PARTITION BY pack_id ORDER BY position) AS number
    FROM unnest($1::uuid[], $2::text[], $3::date[], $4::text[], $5::uuid[], $6::jsonb[])
         WITH ORDINALITY
         AS given (pack_id, kind, happened_on, adcode, party_id, data, position)
)
INSERT INTO trace_record
       (pack_id, sequence, kind, happened_on, adcode, party_id, data, actor, recorded_at)
SELECT step.pack_id,
       step.number + coalesce((
         SELECT max(earlier.sequence)
           FROM trace_record AS earlier
          WHERE earlier.pack_id = step.pack_id), 0),
       step.kind,
       step.happened_on,
       step.adcode,
       step.party_id,
       step.data,
       $7,
       $8
  FROM step
 ORDER BY step.position
"""


async def record(tx: Connection, steps: Sequence[Step], *, by: str, now: datetime) -> None:
    """Write steps in the order given. The caller holds the lock on each pack's row."""
    if steps:
        await fetch_for(
            tx,
            len(steps),
            APPEND,
            [step.pack_id for step in steps],
            [step.kind for step in steps],
            [step.happened_on for step in steps],
            [step.adcode for step in steps],
            [step.party_id for step in steps],
            [step.data for step in steps],
            by,
            now,
        )
        await obligations.open_for(tx, [step.pack_id for step in steps], by=by, now=now)


CODES = """
SELECT scheme, code, is_current
  FROM pack_code
 WHERE pack_id = $1
 ORDER BY is_current DESC, scheme, code
"""

LIFE = """
SELECT sequence, kind, happened_on, adcode, party_id, data, actor, recorded_at
  FROM trace_record
 WHERE pack_id = $1
 ORDER BY sequence
"""


async def codes(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(CODES, pack_id)


async def life(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(LIFE, pack_id)


CAME_BACK = """
SELECT pack_id, max(happened_on) AS came_on
  FROM trace_record
 WHERE pack_id = ANY ($1::uuid[])
   AND kind IN ('pack.acquired', 'pack.returned', 'pack.found', 'pack.reinstated')
 GROUP BY pack_id
"""


async def came_back_on(tx: Connection, pack_ids: Sequence[UUID]) -> dict[UUID, date]:
    """The day on which each pack last came to the lessor, or was put back in stock; packs of
    which nobody wrote it down are left out."""
    rows = await tx.fetch(CAME_BACK, pack_ids)
    return {row["pack_id"]: row["came_on"] for row in rows}
