"""Utilisation firms behind outlets in the database: contracts, plants, and room in plants.

Room is taken and given back as at outlets, and after them: rows are locked in order of id.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Range, Record

from leasing.db.pool import Connection
from schemas.firms import OutletFirmCreate, TreatmentCapacityCreate

FIRM = """id, outlet_id, recycler_id, lower(valid) AS valid_from, upper(valid) AS valid_to,
       document, entered_by, entered_at"""

INSERT_FIRM = f"""
INSERT INTO outlet_firm (outlet_id, recycler_id, valid, document, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING {FIRM}
"""

END_FIRM = f"""
UPDATE outlet_firm
   SET valid = daterange(lower(valid), $2)
 WHERE id = $1
   AND lower(valid) < $2
   AND (upper_inf(valid) OR upper(valid) >= $2)
RETURNING {FIRM}
"""

LIST_FIRMS = f"""
SELECT {FIRM}
  FROM outlet_firm
 WHERE id > $1
   AND ($2::uuid IS NULL OR outlet_id = $2)
   AND ($3::uuid IS NULL OR recycler_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def insert_firm(tx: Connection, data: OutletFirmCreate, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(
        INSERT_FIRM,
        data.outlet_id,
        data.recycler_id,
        Range(data.valid_from, data.valid_to),
        data.document,
        by,
        now,
    )
    assert row is not None
    return row


async def end_firm(tx: Connection, link_id: UUID, ended_on: date) -> Record | None:
    return await tx.fetchrow(END_FIRM, link_id, ended_on)


async def firms_after(
    tx: Connection, link_id: UUID, outlet_id: UUID | None, recycler_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_FIRMS, link_id, outlet_id, recycler_id, limit)


CAPACITY = """id, recycler_id, chemistries, lower(valid) AS valid_from, upper(valid) AS valid_to,
       longitude, latitude, capacity_kg, reserved_kg, document, entered_by, entered_at"""

INSERT_CAPACITY = f"""
INSERT INTO treatment_capacity (recycler_id, chemistries, valid, longitude, latitude, capacity_kg,
                                document, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING {CAPACITY}
"""

LIST_CAPACITIES = f"""
SELECT {CAPACITY}
  FROM treatment_capacity
 WHERE id > $1
   AND ($2::uuid IS NULL OR recycler_id = $2)
   AND ($3::date IS NULL OR valid @> $3::date)
 ORDER BY id
 LIMIT $4
"""


async def insert_capacity(
    tx: Connection, data: TreatmentCapacityCreate, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(
        INSERT_CAPACITY,
        data.recycler_id,
        sorted(set(data.chemistries)),
        Range(data.valid_from, data.valid_to),
        data.longitude,
        data.latitude,
        data.capacity_kg,
        data.document,
        by,
        now,
    )
    assert row is not None
    return row


async def capacities_after(
    tx: Connection, capacity_id: UUID, recycler_id: UUID | None, on: date | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_CAPACITIES, capacity_id, recycler_id, on, limit)


IS_OUTLET_FIRM = "SELECT EXISTS (SELECT FROM outlet_firm WHERE id = $1)"


async def is_outlet_firm(tx: Connection, link_id: UUID) -> bool:
    found: bool = await tx.fetchval(IS_OUTLET_FIRM, link_id)
    return found


# --- Room in plants ---------------------------------------------------------------------------

LOCK = """
SELECT id, capacity_kg - reserved_kg AS free_kg
  FROM treatment_capacity
 WHERE id = ANY ($1::uuid[])
   AND capacity_kg IS NOT NULL
 ORDER BY id
   FOR NO KEY UPDATE
"""

ROOM = """
SELECT id, capacity_kg - reserved_kg AS free_kg
  FROM treatment_capacity
 WHERE id = ANY ($1::uuid[])
   AND capacity_kg IS NOT NULL
"""

# Never waits: what somebody else has locked counts as full.
LOCK_IF_FREE = """
SELECT id, capacity_kg - reserved_kg AS free_kg
  FROM treatment_capacity
 WHERE id = ANY ($1::uuid[])
   AND capacity_kg IS NOT NULL
 ORDER BY id
   FOR NO KEY UPDATE SKIP LOCKED
"""

MOVE = """
UPDATE treatment_capacity
   SET reserved_kg = reserved_kg + given.kg
  FROM unnest($1::uuid[], $2::bigint[]) AS given (id, kg)
 WHERE treatment_capacity.id = given.id
   AND capacity_kg IS NOT NULL
"""


async def lock(tx: Connection, capacity_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The room of what has a limit, locked."""
    rows = await tx.fetch(LOCK, capacity_ids)
    return {row["id"]: row["free_kg"] for row in rows}


async def room(tx: Connection, capacity_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The room of what has a limit, as it is now."""
    rows = await tx.fetch(ROOM, capacity_ids)
    return {row["id"]: row["free_kg"] for row in rows}


async def move(tx: Connection, kg: dict[UUID, int]) -> None:
    """Take room of plants that are locked; give it back where below 0."""
    ids = sorted(kg)
    await tx.execute(MOVE, ids, [kg[one] for one in ids])


async def take(tx: Connection, capacity_ids: Sequence[UUID], mass_kg: int) -> bool:
    """Take room for a pack wherever it meets a limit; False, and nothing, when one has none. The
    limits stay locked."""
    if not capacity_ids:
        return True
    room = await lock(tx, capacity_ids)
    if any(free_kg < mass_kg for free_kg in room.values()):
        return False
    await move(tx, dict.fromkeys(room, mass_kg))
    return True


async def take_if_free(tx: Connection, capacity_ids: Sequence[UUID], mass_kg: int) -> bool:
    """The same without waiting. `capacity_ids` are limits, all of them."""
    if not capacity_ids:
        return True
    rows = await tx.fetch(LOCK_IF_FREE, capacity_ids)
    if len(rows) < len(capacity_ids) or any(row["free_kg"] < mass_kg for row in rows):
        return False
    await move(tx, dict.fromkeys(capacity_ids, mass_kg))
    return True


async def give_back(tx: Connection, kg: dict[UUID, int]) -> None:
    """Give back what was taken, by capacity."""
    if kg:
        await lock(tx, list(kg))
        await move(tx, {one: -mass for one, mass in kg.items()})


UNFIT = """
SELECT firm.id
  FROM unnest($1::uuid[]) AS firm (id)
 WHERE EXISTS (
         SELECT
           FROM unnest($3::text[]) AS needed (kind)
          WHERE NOT EXISTS (
            SELECT FROM qualification
             WHERE qualification.party_id = firm.id
               AND qualification.kind = needed.kind
               AND qualification.valid @> $2::date))
"""


async def unfit(
    tx: Connection, recycler_ids: Sequence[UUID], on: date, required: Sequence[str]
) -> set[UUID]:
    """Which of these firms lack evidence on a day."""
    rows = await tx.fetch(UNFIT, recycler_ids, on, required)
    return {row["id"] for row in rows}
