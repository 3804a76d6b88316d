"""The outbox: every change of state leaves a row here, in the transaction that made it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, fetch_for


class Event(msgspec.Struct, frozen=True):
    """One fact. `sequence` counts per aggregate and is given by the database."""

    aggregate: str
    aggregate_id: UUID
    kind: str
    data: dict[str, object]


APPEND = """
WITH fact AS (
  SELECT position, aggregate, aggregate_id, kind, data,
         row_number() OVER (PARTITION BY aggregate, aggregate_id ORDER BY position) AS step
    FROM unnest($1::text[], $2::uuid[], $3::text[], $4::jsonb[])
         WITH ORDINALITY AS given (aggregate, aggregate_id, kind, data, position)
)
INSERT INTO domain_event (aggregate, aggregate_id, sequence, kind, data, actor, occurred_at)
SELECT fact.aggregate,
       fact.aggregate_id,
       fact.step + coalesce((
         SELECT max(earlier.sequence)
           FROM domain_event AS earlier
          WHERE earlier.aggregate_id = fact.aggregate_id
            AND earlier.aggregate = fact.aggregate), 0),
       fact.kind,
       fact.data,
       $5,
       $6
  FROM fact
 ORDER BY fact.position
"""


async def append(tx: Connection, events: Sequence[Event], *, actor: str, now: datetime) -> None:
    """Record facts in the order given."""
    if events:
        await fetch_for(
            tx,
            len(events),
            APPEND,
            [event.aggregate for event in events],
            [event.aggregate_id for event in events],
            [event.kind for event in events],
            [event.data for event in events],
            actor,
            now,
        )


# A transaction that is still open may yet add rows before those already visible, so a reader
# stops below the oldest one running: nothing is ever skipped. The order is that of the column; a
# bare `xact` would be the text beside it, in which 1000 comes before 999.
PAGE = """
SELECT xact::text AS xact, id, aggregate, aggregate_id, sequence, kind, data, actor, occurred_at
  FROM domain_event
 WHERE (xact, id) > ($1::text::xid8, $2)
   AND xact < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY domain_event.xact, domain_event.id
 LIMIT $3
"""


async def page(tx: Connection, after: tuple[str, UUID], limit: int) -> list[Record]:
    return await tx.fetch(PAGE, *after, limit)
