"""End of life in the database."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.end_of_life.model import Routing
from leasing.kit.rows import convert

# A pack waits where it stood last: the site of its newest return.
CONDEMNED = """
SELECT disposition.id AS disposition_id, disposition.decision, inspection.hazard, site.adcode,
       site.longitude, site.latitude, pack.chemistry, pack.mass_kg
  FROM disposition
  JOIN pack ON pack.id = disposition.pack_id
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


IS_CLOSED = """
SELECT closed_from <= $2::date IS TRUE
  FROM outlet
 WHERE id = $1
"""


async def is_closed(tx: Connection, outlet_id: UUID, on: date) -> bool:
    found: bool = await tx.fetchval(IS_CLOSED, outlet_id, on)
    return found


# The reservation decides, not what was read before: of two that want the last room one gets it.
RESERVE = """
UPDATE outlet
   SET reserved_kg = reserved_kg + $2
 WHERE id = $1
   AND stock_kg + reserved_kg + in_transit_kg + $2 <= store_limit_kg
   AND (closed_from IS NULL OR closed_from > $3::date)
   AND NOT EXISTS (
         SELECT
           FROM unnest($4::text[]) AS needed (kind)
          WHERE NOT EXISTS (
            SELECT FROM qualification
             WHERE qualification.party_id = $5
               AND qualification.kind = needed.kind
               AND qualification.valid @> $3::date))
"""


async def reserve(
    tx: Connection, outlet_id: UUID, mass_kg: int, on: date, required: list[str], recycler_id: UUID
) -> bool:
    """Take room for what is handed over on a day; False when there is none, the outlet is closed,
    or the recycler at the end of the way lacks evidence on that day."""
    return await tx.execute(RESERVE, outlet_id, mass_kg, on, required, recycler_id) == "UPDATE 1"


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
                     hand_over_on, explanation, chosen_at, expires_at, capacity_ids)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
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
    expires_at: datetime,
    capacity_ids: list[UUID],
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
        expires_at,
        capacity_ids,
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
       expires_at,
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


IS_RELEASED = """
SELECT state = 'released'
  FROM routing
 WHERE id = $1
   FOR UPDATE
"""


async def is_released(tx: Connection, routing_id: UUID) -> bool:
    """Whether a routing was given up. It is locked from now on."""
    return bool(await tx.fetchval(IS_RELEASED, routing_id))


LOCK_ROUTING = """
SELECT routing.id, pack_id, outlet_id, routing.recycler_id, state, mass_kg, hand_over_on,
       outlet.adcode, capacity_ids
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
