"""What recyclers pay for a kilogram, by days, in the database."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.recyclers import OfferCreate

COLUMNS = """id, recycler_id, chemistry, disposition, lower(valid) AS valid_from,
       upper(valid) AS valid_to, cny_per_kg, material_cny_per_kg,
       cny_per_kg - material_cny_per_kg AS money_cny_per_kg, source, entered_by, entered_at"""

OVERLAPPING = f"""
SELECT {COLUMNS}
  FROM scrap_offer
 WHERE recycler_id = $1
   AND chemistry = $2
   AND disposition = $3
   AND valid && daterange($4, $5)
 ORDER BY lower(valid)
 LIMIT 1
"""


async def overlapping(tx: Connection, data: OfferCreate) -> Record | None:
    """The first offer that holds for the same in a part of the same time."""
    return await tx.fetchrow(
        OVERLAPPING,
        data.recycler_id,
        data.chemistry,
        data.disposition,
        data.valid_from,
        data.valid_to,
    )


INSERT = f"""
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg,
                         material_cny_per_kg, source, entered_by, entered_at)
VALUES ($1, $2, $3, daterange($4, $5), $6, $7, $8, $9, $10)
RETURNING {COLUMNS}
"""


async def insert(tx: Connection, data: OfferCreate, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(
        INSERT,
        data.recycler_id,
        data.chemistry,
        data.disposition,
        data.valid_from,
        data.valid_to,
        Decimal(data.cny_per_kg),
        Decimal(data.material_cny_per_kg),
        data.source,
        by,
        now,
    )
    assert row is not None
    return row


GET = f"""
SELECT {COLUMNS}
  FROM scrap_offer
 WHERE id = $1
"""

LOCK = f"""{GET}   FOR UPDATE
"""


async def lock(tx: Connection, offer_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, offer_id)


END = f"""
UPDATE scrap_offer
   SET valid = daterange(lower(valid), $2)
 WHERE id = $1
   AND lower(valid) < $2
   AND (upper_inf(valid) OR upper(valid) >= $2)
RETURNING {COLUMNS}
"""


async def end(tx: Connection, offer_id: UUID, ended_on: date) -> Record | None:
    return await tx.fetchrow(END, offer_id, ended_on)


LIST = f"""
SELECT {COLUMNS}
  FROM scrap_offer
 WHERE id > $1
   AND ($2::uuid IS NULL OR recycler_id = $2)
   AND ($3::text IS NULL OR chemistry = $3)
   AND ($4::text IS NULL OR disposition = $4)
   AND ($5::date IS NULL OR valid @> $5::date)
 ORDER BY id
 LIMIT $6
"""


async def after(
    tx: Connection,
    offer_id: UUID,
    limit: int,
    *,
    recycler_id: UUID | None = None,
    chemistry: str | None = None,
    disposition: str | None = None,
    on: date | None = None,
) -> list[Record]:
    return await tx.fetch(LIST, offer_id, recycler_id, chemistry, disposition, on, limit)
