"""Deals and their ledgers in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.deals.model import Deal, Open, Snapshot, Term
from leasing.kit.rows import convert, convert_all
from schemas.deals import (
    DealCreate,
    DealMetal,
    DealMovementKind,
    DealSnapshotCreate,
    DealState,
    DealView,
    Material,
)

INSERT = """
INSERT INTO deal (number, recycler_id, chemistry, limit_g, limit_amount, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING id
"""

INSERT_TERMS = """
INSERT INTO deal_term (deal_id, metal, material, content_percent, recovery_percent,
                       coefficient_percent)
SELECT $1, metal, material, content_percent, recovery_percent, coefficient_percent
  FROM unnest($2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[])
       AS given (metal, material, content_percent, recovery_percent, coefficient_percent)
"""


async def insert(
    tx: Connection, data: DealCreate, terms: Sequence[Term], limit_g: int, now: datetime
) -> UUID:
    deal_id: UUID = await tx.fetchval(
        INSERT, data.number, data.recycler_id, data.chemistry, limit_g, data.limit_amount, now
    )
    await tx.execute(
        INSERT_TERMS,
        deal_id,
        [term.metal for term in terms],
        [term.material for term in terms],
        [term.content_percent for term in terms],
        [term.recovery_percent for term in terms],
        [term.coefficient_percent for term in terms],
    )
    return deal_id


INSERT_SNAPSHOT = """
INSERT INTO deal_snapshot (deal_id, number, source, quoted_on, expires_at, entered_by, entered_at)
SELECT $1, 1 + count(*), $2, $3, $4, $5, $6
  FROM deal_snapshot
 WHERE deal_id = $1
RETURNING id
"""

INSERT_PRICES = """
INSERT INTO deal_price (snapshot_id, material, amount_per_tonne)
SELECT $1, material, amount_per_tonne
  FROM unnest($2::text[], $3::bigint[]) AS given (material, amount_per_tonne)
"""


async def insert_snapshot(
    tx: Connection, deal_id: UUID, data: DealSnapshotCreate, by: str, now: datetime
) -> None:
    snapshot_id: UUID = await tx.fetchval(
        INSERT_SNAPSHOT, deal_id, data.source, data.quoted_on, data.expires_at, by, now
    )
    await tx.execute(
        INSERT_PRICES,
        snapshot_id,
        [one.material for one in data.prices],
        [one.amount_per_tonne for one in data.prices],
    )


VIEW = """
SELECT id, number, recycler_id, chemistry, state, (limit_g / 1000.0)::numeric(20, 3) AS limit_kg,
limit_amount, created_at, accepted_at, accepted_by, declined_at, decline_reason, closed_at
  FROM deal
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR recycler_id = $2)
   AND ($3::text IS NULL OR chemistry = $3)
   AND ($4::text IS NULL OR state = $4)
 ORDER BY id
 LIMIT $5
"""


async def get(tx: Connection, deal_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, deal_id)


async def after(
    tx: Connection,
    deal_id: UUID,
    recycler_id: UUID | None,
    chemistry: str | None,
    state: DealState | None,
    limit: int,
) -> list[DealView]:
    rows = await tx.fetch(LIST, deal_id, recycler_id, chemistry, state, limit)
    return convert_all(rows, DealView)


LOCK = """
SELECT id, number, recycler_id, chemistry, state
  FROM deal
 WHERE id = $1
   FOR NO KEY UPDATE
"""


async def lock(tx: Connection, deal_id: UUID) -> Deal | None:
    row = await tx.fetchrow(LOCK, deal_id)
    return convert(row, Deal) if row else None


TERMS = """
SELECT metal, material, content_percent, recovery_percent, coefficient_percent
  FROM deal_term
 WHERE deal_id = $1
 ORDER BY metal DESC
"""


async def terms(tx: Connection, deal_id: UUID) -> list[Term]:
    return convert_all(await tx.fetch(TERMS, deal_id), Term)


NEWEST_SNAPSHOT = """
SELECT id, number, source, quoted_on, expires_at,
       (SELECT jsonb_object_agg(material, amount_per_tonne)
          FROM deal_price
         WHERE snapshot_id = deal_snapshot.id) AS prices
  FROM deal_snapshot
 WHERE deal_id = $1
 ORDER BY number DESC
 LIMIT 1
"""


async def newest_snapshot(tx: Connection, deal_id: UUID) -> Record:
    row = await tx.fetchrow(NEWEST_SNAPSHOT, deal_id)
    assert row is not None
    return row


async def snapshot(tx: Connection, deal_id: UUID) -> Snapshot:
    return convert(await newest_snapshot(tx, deal_id), Snapshot)


ACCEPT = """
UPDATE deal
   SET state = 'accepted',
       snapshot_id = $2,
       accepted_at = $3,
       accepted_by = $4
 WHERE id = $1
"""

DECLINE = """
UPDATE deal
   SET state = 'declined',
       declined_at = $2,
       decline_reason = $3
 WHERE id = $1
"""

CLOSE = """
UPDATE deal
   SET state = 'closed',
       closed_at = $2
 WHERE id = $1
"""


async def accept(tx: Connection, deal_id: UUID, snapshot_id: UUID, by: str, now: datetime) -> None:
    await tx.execute(ACCEPT, deal_id, snapshot_id, now, by)


async def decline(tx: Connection, deal_id: UUID, reason: str, now: datetime) -> None:
    await tx.execute(DECLINE, deal_id, now, reason)


async def close(tx: Connection, deal_id: UUID, now: datetime) -> None:
    await tx.execute(CLOSE, deal_id, now)


# The ledger

BALANCES = """
SELECT deal_term.material,
       coalesce(sum(grams), 0)::bigint AS grams,
       coalesce(sum(amount), 0)::bigint AS amount
  FROM deal_term
  LEFT JOIN deal_entry USING (deal_id, material)
 WHERE deal_id = $1
 GROUP BY deal_term.material
 ORDER BY deal_term.material
"""


async def balances(tx: Connection, deal_id: UUID) -> dict[Material, Open]:
    """What is open of each material of a deal: the sum of its entries."""
    rows = await tx.fetch(BALANCES, deal_id)
    return {Material(row["material"]): Open(row["grams"], row["amount"]) for row in rows}


VAT_OPEN = """
SELECT coalesce(sum(vat_amount), 0)::bigint
  FROM deal_movement
 WHERE deal_id = $1
"""


async def vat_open(tx: Connection, deal_id: UUID) -> int:
    """What is open of the tax on both sides, in fen."""
    found: int = await tx.fetchval(VAT_OPEN, deal_id)
    return found


INSERT_MOVEMENT = """
INSERT INTO deal_movement (deal_id, kind, happened_on, scrap_g, assay, consignment_id, document,
                           reverses_id, entered_by, entered_at, vat_percent, vat_amount)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING id
"""

INSERT_ENTRIES = """
INSERT INTO deal_entry (movement_id, deal_id, material, grams, amount)
SELECT $1, $2, material, grams, amount
  FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS given (material, grams, amount)
 WHERE grams <> 0
    OR amount <> 0
"""


async def insert_movement(
    tx: Connection,
    deal_id: UUID,
    kind: DealMovementKind,
    on: date,
    entries: Mapping[Material, Open],
    *,
    document: str,
    by: str,
    now: datetime,
    scrap_g: int | None = None,
    assay: Mapping[DealMetal, Decimal] | None = None,
    consignment_id: UUID | None = None,
    reverses_id: UUID | None = None,
    vat_percent: str | None = None,
    vat_amount: int = 0,
) -> UUID:
    told = None if assay is None else {str(metal): str(of) for metal, of in assay.items()}
    movement_id: UUID = await tx.fetchval(
        INSERT_MOVEMENT,
        deal_id,
        kind,
        on,
        scrap_g,
        told,
        consignment_id,
        document,
        reverses_id,
        by,
        now,
        None if vat_percent is None else Decimal(vat_percent),
        vat_amount,
    )
    await tx.execute(
        INSERT_ENTRIES,
        movement_id,
        deal_id,
        list(entries),
        [one.grams for one in entries.values()],
        [one.amount for one in entries.values()],
    )
    return movement_id


MOVEMENT_VIEW = """
SELECT id, kind, happened_on, (scrap_g / 1000.0)::numeric(20, 3) AS scrap_kg, assay, consignment_id,
document, reverses_id, vat_percent, vat_amount,
       (SELECT coalesce(
                 jsonb_agg(
                   jsonb_build_object(
                     'material', material, 'kg', (grams / 1000.0)::numeric(20, 3)::text, 'amount',
                     amount) ORDER BY material),
                 '[]')
          FROM deal_entry
         WHERE movement_id = deal_movement.id) AS entries,
       entered_by, entered_at
  FROM deal_movement
"""

GET_MOVEMENT = f"""{MOVEMENT_VIEW}
 WHERE deal_id = $1
   AND id = $2
"""

MOVEMENTS = f"""{MOVEMENT_VIEW}
 WHERE deal_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def get_movement(tx: Connection, deal_id: UUID, movement_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_MOVEMENT, deal_id, movement_id)


async def movements_after(
    tx: Connection, deal_id: UUID, movement_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(MOVEMENTS, deal_id, movement_id, limit)


ENTRIES_OF = """
SELECT material, grams, amount
  FROM deal_entry
 WHERE movement_id = $1
"""


async def entries_of(tx: Connection, movement_id: UUID) -> dict[Material, Open]:
    rows = await tx.fetch(ENTRIES_OF, movement_id)
    return {Material(row["material"]): Open(row["grams"], row["amount"]) for row in rows}


# Received by the recycler of the deal, of its chemistry alone, and not in a deal yet, other than by
# a movement that was reversed. The lock makes a second deal wait.
DELIVERED = """
SELECT weighed_kg, received_on
  FROM consignment
 WHERE id = $1
   AND recycler_id = $2
   AND state = 'received'
   AND NOT EXISTS (
         SELECT FROM consignment_pack
          WHERE consignment_id = consignment.id
            AND chemistry <> $3)
   FOR UPDATE
"""

COUNTED = """
SELECT EXISTS (
  SELECT FROM deal_movement
   WHERE consignment_id = $1
     AND NOT EXISTS (
           SELECT FROM deal_movement AS reversal
            WHERE reversal.reverses_id = deal_movement.id))
"""


async def delivered(
    tx: Connection, consignment_id: UUID, recycler_id: UUID, chemistry: str
) -> Record | None:
    """What a consignment weighed that no deal has counted."""
    row = await tx.fetchrow(DELIVERED, consignment_id, recycler_id, chemistry)
    if row is None or await tx.fetchval(COUNTED, consignment_id):
        return None
    return row
