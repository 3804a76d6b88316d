"""Timelines and custody in the database. Row-level security decides what an outsider finds."""

from datetime import date
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.time import CIVIL_ZONE

# An invoice may be about thousands of contracts; an entry names a hundred of its subjects at most.
COLUMNS = """event.id,
       entry.happened_on AS on,
       entry.recorded_at,
       event.kind,
       event.data AS facts,
       event.aggregate,
       event.aggregate_id,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'id', subject_id)
                                  ORDER BY kind, subject_id), '[]')
          FROM (
            SELECT kind, subject_id
              FROM event_subject
             WHERE event_subject.event_id = event.id
             ORDER BY subject_id <> $1, kind, subject_id
             LIMIT 100) AS named) AS subjects"""

# A page begins behind the entry with the id of the cursor, by the index on subject and order. (Not
# with coalesce(): PostgreSQL takes that for a leak and would read an outsider's rows one by one.)
FROM_BEGINNING = f"$2::uuid = '{UUID(int=0)}'"

ROWS = f"""FROM event_subject AS entry
  JOIN domain_event AS event ON event.id = entry.event_id
 WHERE entry.subject_id = $1
   AND (entry.happened_on, entry.recorded_at, entry.event_id) > (
         CASE WHEN {FROM_BEGINNING} THEN '-infinity' ELSE (
           SELECT happened_on FROM event_subject WHERE event_id = $2 AND subject_id = $1) END,
         CASE WHEN {FROM_BEGINNING} THEN '-infinity' ELSE (
           SELECT recorded_at FROM event_subject WHERE event_id = $2 AND subject_id = $1) END,
         $2)
   AND ($3::date IS NULL OR entry.happened_on <= $3)
   AND ($4::date IS NULL OR (entry.recorded_at AT TIME ZONE '{CIVIL_ZONE.key}')::date <= $4)
 ORDER BY entry.happened_on, entry.recorded_at, entry.event_id
 LIMIT $5"""

PAGE = f"""
SELECT {COLUMNS},
       event.actor
  {ROWS}
"""

# Outside the lessor names of staff are not shown; the roles of PostgreSQL may not read them.
PAGE_OUTSIDE = f"""
SELECT {COLUMNS},
       event.actor_role AS actor
  {ROWS}
"""


async def page(
    tx: Connection,
    subject_id: UUID,
    after: UUID,
    *,
    until: date | None,
    as_of: date | None,
    limit: int,
    outside: bool,
) -> list[Record]:
    sql = PAGE_OUTSIDE if outside else PAGE
    return await tx.fetch(sql, subject_id, after, until, as_of, limit)


# Whoever had a pack may look back at that time, though the pack itself is another's now.
KNOWS_PACK = """
SELECT EXISTS (SELECT FROM pack WHERE id = $1)
    OR EXISTS (SELECT FROM custody WHERE pack_id = $1)
"""


async def knows_pack(tx: Connection, pack_id: UUID) -> bool:
    known: bool = await tx.fetchval(KNOWS_PACK, pack_id)
    return known


CUSTODY = """
SELECT lower(during) AS from_on,
       upper(during) AS to_on,
       state,
       party_id,
       line_id,
       site_id,
       slot,
       routing_id,
       outlet_id,
       recorded_at
  FROM custody
 WHERE pack_id = $1
 ORDER BY lower(during)
"""


async def custody(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(CUSTODY, pack_id)


AT_SITE = """
SELECT placement.slot,
       placement.pack_id,
       placement.line_id,
       lease_line.contract_id,
       lower(placement.during) AS from_on,
       upper(placement.during) AS to_on
  FROM placement
  JOIN lease_line ON lease_line.id = placement.line_id
 WHERE placement.site_id = $1
   AND placement.during @> $2::date
   AND placement.slot > $3
 ORDER BY placement.slot
 LIMIT $4
"""


async def at_site(
    tx: Connection, site_id: UUID, on: date, after_slot: int, limit: int
) -> list[Record]:
    return await tx.fetch(AT_SITE, site_id, on, after_slot, limit)
