"""The compliance gate: lines that are not billed while their pack's records contradict each other,
or while a fact is missing."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from leasing.billing.model import Item
from leasing.billing.runs import Run
from leasing.db.pool import Connection, fetch_for

# A stay says that a pack stands in a line; custody, which traceability records make, says who has
# it and where. Where they contradict each other a rent cannot be justified. Almost always one
# record of custody covers all days of the stay; the others are looked at in full.
HOLD = """
WITH item AS MATERIALIZED (
  SELECT *
    FROM unnest($2::uuid[], $3::date[], $4::date[]) AS item (contract_id, from_on, to_on)
), stay AS (
  SELECT line.id AS line_id,
         placement.pack_id,
         placement.during * daterange(item.from_on, least(item.to_on, $5::date + 1)) AS days
    FROM unnest($6::uuid[]) AS given (line_id)
    JOIN lease_line AS line ON line.id = given.line_id
    JOIN item ON item.contract_id = line.contract_id
    JOIN placement
      ON placement.line_id = line.id
     AND placement.during && daterange(item.from_on, least(item.to_on, $5::date + 1))
), doubtful AS (
  SELECT *
    FROM stay
   WHERE NOT EXISTS (
           SELECT FROM custody
            WHERE custody.line_id = stay.line_id
              AND custody.pack_id = stay.pack_id
              AND custody.state = 'leased'
              AND custody.during @> stay.days)
), held AS (
  SELECT doubtful.line_id,
         doubtful.pack_id,
         lower(doubtful.days - coalesce(shown.days, '{}')) AS on_day
    FROM (SELECT line_id, pack_id, datemultirange(days) AS days FROM doubtful) AS doubtful
   CROSS JOIN LATERAL (
           SELECT range_agg(during) AS days
             FROM custody
            WHERE custody.line_id = doubtful.line_id
              AND custody.pack_id = doubtful.pack_id
              AND custody.state = 'leased') AS shown
   WHERE NOT coalesce(shown.days, '{}') @> doubtful.days
)
INSERT INTO billing_hold (run_id, line_id, code, reason)
SELECT $1,
       held.line_id,
       CASE WHEN custody.pack_id IS NULL THEN 'custody_missing' ELSE 'custody_elsewhere' END,
       'pack ' || held.pack_id || ' stands in the line on ' || on_day || ', its records say '
         || coalesce(custody.state || coalesce(' in line ' || custody.line_id, ''), 'nothing')
  FROM held
  LEFT JOIN custody
    ON custody.pack_id = held.pack_id
   AND custody.during @> on_day
    ON CONFLICT (run_id, line_id, code) DO UPDATE SET reason = excluded.reason
RETURNING line_id
"""


async def hold_inconsistent(
    tx: Connection, run: Run, items: Sequence[Item], line_ids: Sequence[UUID]
) -> list[UUID]:
    """Note which of some lines of contracts are not billed, and why; returns them."""
    if not line_ids:
        return []
    rows = await fetch_for(
        tx,
        len(line_ids),
        HOLD,
        run.id,
        [item.contract_id for item in items],
        [item.from_on for item in items],
        [item.to_on for item in items],
        run.as_of,
        line_ids,
    )
    return [row["line_id"] for row in rows]


HOLD_LINE = """
INSERT INTO billing_hold (run_id, line_id, code, reason)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (run_id, line_id, code) DO UPDATE SET reason = excluded.reason
"""


async def hold(tx: Connection, run_id: UUID, line_id: UUID, code: str, reason: str) -> None:
    await tx.execute(HOLD_LINE, run_id, line_id, code, reason)


COUNT_HELD = """
SELECT count(DISTINCT line_id)
  FROM billing_hold
 WHERE run_id = $1
"""


async def count_held(tx: Connection, run_id: UUID) -> int:
    found: int = await tx.fetchval(COUNT_HELD, run_id)
    return found


HOLDS = """
SELECT line_id, code, reason
  FROM billing_hold
 WHERE run_id = $1
   AND line_id > $2
 ORDER BY line_id, code
 LIMIT $3
"""


async def holds_after(tx: Connection, run_id: UUID, line_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(HOLDS, run_id, line_id, limit)
