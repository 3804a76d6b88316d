"""End of life in the database."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.end_of_life.model import Candidate, Routing
from leasing.kit.rows import convert, convert_all

# A pack waits where it stood last: the site of its newest return.
CONDEMNED = """
SELECT disposition.id AS disposition_id, inspection.hazard, site.adcode, site.longitude,
       site.latitude
  FROM disposition
  JOIN inspection ON inspection.id = disposition.inspection_id
  JOIN LATERAL (
         SELECT line_id
           FROM pack_return
          WHERE pack_return.pack_id = disposition.pack_id
          ORDER BY returned_on DESC
          LIMIT 1) AS newest_return ON true
  JOIN LATERAL (
         SELECT site_id
           FROM placement
          WHERE placement.line_id = newest_return.line_id
            AND placement.pack_id = disposition.pack_id
          ORDER BY lower(during) DESC
          LIMIT 1) AS last_stay ON true
  JOIN site ON site.id = last_stay.site_id
 WHERE disposition.pack_id = $1
   AND disposition.decision IN ('dismantle', 'recycle')
 ORDER BY disposition.decided_on DESC, disposition.id DESC
 LIMIT 1
"""


async def condemned(tx: Connection, pack_id: UUID) -> Record | None:
    return await tx.fetchrow(CONDEMNED, pack_id)


# Every outlet, with the evidence its recycler lacks on the day. Each outlet is judged in code,
# by rules one can test, and not left out here.
CANDIDATES = """
WITH lacking AS (
  SELECT recycler.id,
         array(
           SELECT needed.kind
             FROM unnest($2::text[]) AS needed (kind)
            WHERE NOT EXISTS (
              SELECT FROM qualification
               WHERE qualification.party_id = recycler.id
                 AND qualification.kind = needed.kind
                 AND qualification.valid @> $1::date)) AS missing
    FROM party AS recycler
   WHERE recycler.kind = 'recycler'
)
SELECT outlet.id,
       outlet.code,
       outlet.kind,
       outlet.longitude,
       outlet.latitude,
       outlet.recycler_id,
       outlet.chemistries,
       outlet.hazards,
       outlet.store_limit_kg - outlet.stock_kg - outlet.reserved_kg - outlet.in_transit_kg
         AS free_kg,
       lacking.missing
  FROM outlet
  JOIN lacking ON lacking.id = outlet.recycler_id
 WHERE outlet.closed_from IS NULL
    OR outlet.closed_from > $1::date
"""


async def candidates(tx: Connection, on: date, required: list[str]) -> list[Candidate]:
    return convert_all(await tx.fetch(CANDIDATES, on, required), Candidate)


LACKING = """
SELECT needed.kind
  FROM unnest($3::text[]) AS needed (kind)
 WHERE NOT EXISTS (
   SELECT FROM qualification
    WHERE qualification.party_id = $1
      AND qualification.kind = needed.kind
      AND qualification.valid @> $2::date)
"""


async def lacking(tx: Connection, recycler_id: UUID, on: date, required: list[str]) -> list[str]:
    """The evidence a recycler does not hold on a day."""
    rows = await tx.fetch(LACKING, recycler_id, on, required)
    return [row["kind"] for row in rows]


# The reservation decides, not what was read before: of two that want the last room one gets it.
RESERVE = """
UPDATE outlet
   SET reserved_kg = reserved_kg + $2
 WHERE id = $1
   AND stock_kg + reserved_kg + in_transit_kg + $2 <= store_limit_kg
"""


async def reserve(tx: Connection, outlet_id: UUID, mass_kg: int) -> bool:
    return await tx.execute(RESERVE, outlet_id, mass_kg) == "UPDATE 1"


MOVE_MASS = """
UPDATE outlet
   SET reserved_kg = reserved_kg + $2,
       stock_kg = stock_kg + $3,
       in_transit_kg = in_transit_kg + $4
 WHERE id = $1
"""


async def move_mass(
    tx: Connection,
    outlet_id: UUID,
    *,
    reserved_kg: int = 0,
    stock_kg: int = 0,
    in_transit_kg: int = 0,
) -> None:
    """Change what an outlet has reserved, in stock and on the way to it, by differences."""
    await tx.execute(MOVE_MASS, outlet_id, reserved_kg, stock_kg, in_transit_kg)


INSERT_ROUTING = """
INSERT INTO routing (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m,
                     hand_over_on, explanation, chosen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id
"""


async def insert_routing(
    tx: Connection,
    *,
    pack_id: UUID,
    disposition_id: UUID,
    outlet_id: UUID,
    recycler_id: UUID,
    mass_kg: int,
    distance_m: int,
    hand_over_on: date,
    explanation: dict[str, object],
    now: datetime,
) -> UUID:
    created: UUID = await tx.fetchval(
        INSERT_ROUTING,
        pack_id,
        disposition_id,
        outlet_id,
        recycler_id,
        mass_kg,
        distance_m,
        hand_over_on,
        explanation,
        now,
    )
    return created


ROUTING_VIEW = """
SELECT routing.id,
       pack_id,
       outlet_id,
       outlet.code AS outlet_code,
       routing.recycler_id,
       state,
       mass_kg,
       distance_m,
       hand_over_on,
       explanation,
       chosen_at,
       handed_over_on,
       recycled_on,
       released_on,
       release_reason
  FROM routing
  JOIN outlet ON outlet.id = outlet_id
"""

GET_ROUTING = f"""{ROUTING_VIEW}
 WHERE routing.id = $1
"""

LIST_ROUTINGS = f"""{ROUTING_VIEW}
 WHERE routing.id > $1
   AND ($2::uuid IS NULL OR pack_id = $2)
   AND ($3::text IS NULL OR state = $3)
 ORDER BY routing.id
 LIMIT $4
"""


async def get_routing(tx: Connection, routing_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_ROUTING, routing_id)


async def routings_after(
    tx: Connection, routing_id: UUID, pack_id: UUID | None, state: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_ROUTINGS, routing_id, pack_id, state, limit)


LOCK_ROUTING = """
SELECT routing.id, pack_id, outlet_id, routing.recycler_id, state, mass_kg, hand_over_on,
       outlet.adcode
  FROM routing
  JOIN outlet ON outlet.id = outlet_id
 WHERE routing.id = $1
   FOR UPDATE OF routing
"""


async def lock_routing(tx: Connection, routing_id: UUID) -> Routing | None:
    row = await tx.fetchrow(LOCK_ROUTING, routing_id)
    return convert(row, Routing) if row else None


HAND_OVER = """
UPDATE routing
   SET state = 'handed_over',
       handed_over_on = $2
 WHERE id = $1
"""

RELEASE = """
UPDATE routing
   SET state = 'released',
       released_on = $2,
       release_reason = $3
 WHERE id = $1
"""

RECYCLE = """
UPDATE routing
   SET state = 'recycled',
       recycled_on = $2
 WHERE id = $1
"""


async def hand_over(tx: Connection, routing_id: UUID, on: date) -> None:
    await tx.execute(HAND_OVER, routing_id, on)


async def release(tx: Connection, routing_id: UUID, on: date, reason: str) -> None:
    await tx.execute(RELEASE, routing_id, on, reason)


async def recycle(tx: Connection, routing_id: UUID, on: date) -> None:
    await tx.execute(RECYCLE, routing_id, on)
