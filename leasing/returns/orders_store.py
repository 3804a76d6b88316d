"""Return orders in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from schemas.returns import ReturnOrderCreate, ReturnOrderView

# The packs that stand in lines of a contract now.
STANDING = """
SELECT lease_line.id AS line_id, lease_line.lessee_id, placement.pack_id
  FROM lease_line
  JOIN placement
    ON placement.line_id = lease_line.id
   AND upper_inf(placement.during)
 WHERE lease_line.contract_id = $1
   AND lease_line.id = ANY ($2::uuid[])
"""


async def standing(tx: Connection, contract_id: UUID, line_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(STANDING, contract_id, line_ids)


INSERT = """
INSERT INTO return_order (contract_id, lessee_id, mode, place, contact_name, contact_phone, reason,
                          state, planned_on, ordered_by, ordered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7,
        CASE WHEN $8::date IS NULL THEN 'ordered' ELSE 'scheduled' END, $8, $9, $10)
RETURNING id
"""

INSERT_ITEMS = """
INSERT INTO return_order_item (order_id, contract_id, line_id, lessee_id, pack_id)
SELECT $1, $2, line_id, $3, pack_id
  FROM unnest($4::uuid[], $5::uuid[]) WITH ORDINALITY AS given (line_id, pack_id, position)
 ORDER BY position
"""


async def insert(
    tx: Connection,
    data: ReturnOrderCreate,
    lessee_id: UUID,
    packs: dict[UUID, UUID],
    by: str,
    now: datetime,
) -> UUID:
    """An order for the packs of lines: `packs` by line."""
    order_id: UUID = await tx.fetchval(
        INSERT,
        data.contract_id,
        lessee_id,
        data.mode,
        data.place,
        data.contact_name,
        data.contact_phone,
        data.reason,
        data.planned_on,
        by,
        now,
    )
    await tx.execute(
        INSERT_ITEMS, order_id, data.contract_id, lessee_id, list(packs), list(packs.values())
    )
    return order_id


ORDER_VIEW = """
SELECT id, contract_id, lessee_id, mode, place, contact_name, contact_phone, reason, state,
       planned_on, collected_on, arrived_on, settled_on, cancel_reason, ordered_by, ordered_at,
       (SELECT jsonb_agg(
                 jsonb_build_object(
                   'id', item.id,
                   'line_id', item.line_id,
                   'pack_id', item.pack_id,
                   'result', item.result,
                   'resulted_on', item.resulted_on,
                   'incident_id', item.incident_id,
                   'inspection_id', item.inspection_id)
                 ORDER BY item.id)
          FROM return_order_item AS item
         WHERE item.order_id = return_order.id) AS items
  FROM return_order
"""

GET = f"""{ORDER_VIEW}
 WHERE id = $1
"""

LIST = f"""{ORDER_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR contract_id = $2)
   AND ($3::text IS NULL OR state = $3)
 ORDER BY id
 LIMIT $4
"""


async def get(tx: Connection, order_id: UUID) -> ReturnOrderView | None:
    row = await tx.fetchrow(GET, order_id)
    return convert(row, ReturnOrderView) if row else None


async def after(
    tx: Connection, order_id: UUID, contract_id: UUID | None, state: str | None, limit: int
) -> list[ReturnOrderView]:
    rows = await tx.fetch(LIST, order_id, contract_id, state, limit)
    return convert_all(rows, ReturnOrderView)


LOCK = """
SELECT id
  FROM return_order
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, order_id: UUID) -> ReturnOrderView | None:
    await tx.execute(LOCK, order_id)
    return await get(tx, order_id)


SCHEDULE = """
UPDATE return_order
   SET state = 'scheduled',
       planned_on = $2
 WHERE id = $1
"""

COLLECT = """
UPDATE return_order
   SET state = 'collected',
       collected_on = $2
 WHERE id = $1
"""

ARRIVE = """
UPDATE return_order
   SET state = 'arrived',
       arrived_on = $2
 WHERE id = $1
"""

CANCEL = """
UPDATE return_order
   SET state = 'cancelled',
       cancel_reason = $2
 WHERE id = $1
"""

CLOSE_ITEMS = """
UPDATE return_order_item
   SET is_open = false
 WHERE order_id = $1
"""

SETTLE = """
UPDATE return_order
   SET state = 'settled',
       settled_on = $2
 WHERE id = $1
"""


async def schedule(tx: Connection, order_id: UUID, on: date) -> None:
    await tx.execute(SCHEDULE, order_id, on)


async def collect(tx: Connection, order_id: UUID, on: date) -> None:
    await tx.execute(COLLECT, order_id, on)


async def arrive(tx: Connection, order_id: UUID, on: date) -> None:
    await tx.execute(ARRIVE, order_id, on)


async def cancel(tx: Connection, order_id: UUID, reason: str) -> None:
    await tx.execute(CANCEL, order_id, reason)
    await tx.execute(CLOSE_ITEMS, order_id)


async def settle(tx: Connection, order_id: UUID, on: date) -> None:
    await tx.execute(SETTLE, order_id, on)


# The return that was just written for the line and its pack.
RETURNED = """
UPDATE return_order_item AS item
   SET is_open = false,
       result = 'returned',
       resulted_on = $2,
       return_id = (
         SELECT pack_return.id
           FROM pack_return
          WHERE pack_return.line_id = item.line_id
            AND pack_return.pack_id = item.pack_id
            AND returned_on = $2
            AND pack_return.reason = 'end_of_lease')
 WHERE id = $1
"""

BEFELL = """
UPDATE return_order_item
   SET is_open = false,
       result = $2,
       resulted_on = $3,
       incident_id = $4
 WHERE id = $1
"""


async def returned(tx: Connection, item_id: UUID, on: date) -> None:
    await tx.execute(RETURNED, item_id, on)


async def befell(tx: Connection, item_id: UUID, result: str, on: date, incident_id: UUID) -> None:
    await tx.execute(BEFELL, item_id, result, on, incident_id)


# An order is inspected when all that came back was. What is left of a burnt pack may be inspected
# later: its order does not wait for it.
NOTE_INSPECTED = """
UPDATE return_order
   SET state = 'inspected'
 WHERE id = $1
   AND state = 'arrived'
   AND NOT EXISTS (
         SELECT FROM return_order_item
          WHERE order_id = $1
            AND result = 'returned'
            AND inspection_id IS NULL)
RETURNING id
"""


async def note_inspected(tx: Connection, order_id: UUID) -> bool:
    """Whether the order became inspected by this."""
    return await tx.fetchval(NOTE_INSPECTED, order_id) is not None
