"""Batches at recyclers and what was recovered from them, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.recovery import BatchState, RecoveryBatchCreate, RecoveryCertificateCreate

# Whose packs are treated, and where they are. In the order of their ids, so that two who lock some
# of the same wait for each other and no more.
LOCK_ROUTINGS = """
SELECT routing.id, pack_id, outlet_id, routing.recycler_id, state, mass_kg, handed_over_on,
       outlet.adcode
  FROM routing
  JOIN outlet ON outlet.id = outlet_id
 WHERE routing.id = ANY ($1::uuid[])
 ORDER BY routing.id
   FOR UPDATE OF routing
"""


async def lock_routings(tx: Connection, routing_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(LOCK_ROUTINGS, routing_ids)


OF_CONSIGNMENT = """
SELECT routing_id
  FROM consignment_pack
 WHERE consignment_id = $1
   AND NOT is_let_go
"""


async def of_consignment(tx: Connection, consignment_id: UUID) -> list[UUID]:
    rows = await tx.fetch(OF_CONSIGNMENT, consignment_id)
    return [row["routing_id"] for row in rows]


INSERT_BATCH = """
INSERT INTO recovery_batch (recycler_id, number, consignment_id, received_on, expected_kg,
                            mass_in_kg, entered_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id
"""

INSERT_BATCH_PACKS = """
INSERT INTO recovery_batch_pack (batch_id, routing_id)
SELECT $1, unnest($2::uuid[])
"""


async def insert_batch(
    tx: Connection,
    recycler_id: UUID,
    data: RecoveryBatchCreate,
    routing_ids: Sequence[UUID],
    *,
    expected_kg: int,
    by: str,
    now: datetime,
) -> UUID:
    batch_id: UUID = await tx.fetchval(
        INSERT_BATCH,
        recycler_id,
        data.number,
        data.consignment_id,
        data.received_on,
        expected_kg,
        Decimal(data.mass_in_kg),
        by,
        now,
    )
    await tx.execute(INSERT_BATCH_PACKS, batch_id, routing_ids)
    return batch_id


LOCK_BATCH = """
SELECT id, recycler_id, number, state, received_on, mass_in_kg
  FROM recovery_batch
 WHERE id = $1
   FOR UPDATE
"""


async def lock_batch(tx: Connection, batch_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_BATCH, batch_id)


PACKS_OF_BATCH = """
SELECT routing_id
  FROM recovery_batch_pack
 WHERE batch_id = $1
"""


async def packs_of_batch(tx: Connection, batch_id: UUID) -> list[UUID]:
    return [row["routing_id"] for row in await tx.fetch(PACKS_OF_BATCH, batch_id)]


INSERT_RATES = """
INSERT INTO recovery_rate (batch_id, metal, percent, input_kg, output_kg)
SELECT $1, metal, percent, input_kg, output_kg
  FROM unnest($2::text[], $3::numeric[], $4::numeric[], $5::numeric[])
       AS given (metal, percent, input_kg, output_kg)
"""

INSERT_PRODUCTS = """
INSERT INTO recovery_product (batch_id, product, mass_kg)
SELECT $1, product, mass_kg
  FROM unnest($2::text[], $3::numeric[]) AS given (product, mass_kg)
"""

CERTIFY_BATCH = """
UPDATE recovery_batch
   SET state = 'certified',
       certificate_number = $2,
       recycled_on = $3,
       recovered_kg = $4,
       residue_kg = $5,
       efficiency_percent = $6,
       is_below_floor = $7,
       is_below_eu_floor = $8
 WHERE id = $1
"""


def decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


async def certify_batch(
    tx: Connection,
    batch_id: UUID,
    data: RecoveryCertificateCreate,
    *,
    efficiency_percent: Decimal | None,
    is_below_floor: bool,
    is_below_eu_floor: bool,
) -> None:
    await tx.execute(
        INSERT_RATES,
        batch_id,
        [one.metal for one in data.metals],
        [Decimal(one.percent) for one in data.metals],
        [decimal(one.input_kg) for one in data.metals],
        [decimal(one.output_kg) for one in data.metals],
    )
    await tx.execute(
        INSERT_PRODUCTS,
        batch_id,
        [one.product for one in data.products],
        [Decimal(one.mass_kg) for one in data.products],
    )
    await tx.execute(
        CERTIFY_BATCH,
        batch_id,
        data.number,
        data.recycled_on,
        decimal(data.recovered_kg),
        decimal(data.residue_kg),
        efficiency_percent,
        is_below_floor,
        is_below_eu_floor,
    )


INSERT_CERTIFICATES = """
INSERT INTO recycling_certificate (routing_id, number, recycler_id, recycled_on, lithium_percent,
                                   nickel_cobalt_manganese_percent, batch_id)
SELECT unnest($1::uuid[]), $2, $3, $4, $5, $6, $7
"""


async def insert_certificates(
    tx: Connection,
    routing_ids: Sequence[UUID],
    number: str,
    recycler_id: UUID,
    recycled_on: date,
    lithium_percent: Decimal | None,
    ncm_percent: Decimal | None,
    batch_id: UUID,
) -> None:
    """Each pack's own certificate, which all of a batch share."""
    await tx.execute(
        INSERT_CERTIFICATES,
        routing_ids,
        number,
        recycler_id,
        recycled_on,
        lithium_percent,
        ncm_percent,
        batch_id,
    )


BATCH_VIEW = """
SELECT id, recycler_id, number, consignment_id,
       ARRAY(
         SELECT routing_id
           FROM recovery_batch_pack
          WHERE batch_id = recovery_batch.id
          ORDER BY routing_id) AS routing_ids,
       received_on, expected_kg, mass_in_kg, state, certificate_number, recycled_on, recovered_kg,
       residue_kg, efficiency_percent, is_below_floor, is_below_eu_floor, created_at
  FROM recovery_batch
"""

GET_BATCH = f"""{BATCH_VIEW}
 WHERE id = $1
"""

LIST_BATCHES = f"""{BATCH_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR recycler_id = $2)
   AND ($3::uuid IS NULL OR consignment_id = $3)
   AND ($4::text IS NULL OR state = $4)
   AND ($5::boolean IS NULL OR is_below_floor = $5)
 ORDER BY id
 LIMIT $6
"""

RATES = """
SELECT batch_id, metal, percent, input_kg, output_kg
  FROM recovery_rate
 WHERE batch_id = ANY ($1::uuid[])
 ORDER BY metal
"""

PRODUCTS = """
SELECT batch_id, product, mass_kg
  FROM recovery_product
 WHERE batch_id = ANY ($1::uuid[])
 ORDER BY product
"""


async def get_batch(tx: Connection, batch_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_BATCH, batch_id)


async def batches_after(
    tx: Connection,
    batch_id: UUID,
    recycler_id: UUID | None,
    consignment_id: UUID | None,
    state: BatchState | None,
    is_below_floor: bool | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(
        LIST_BATCHES, batch_id, recycler_id, consignment_id, state, is_below_floor, limit
    )


async def rates_and_products(
    tx: Connection, batch_ids: Sequence[UUID]
) -> tuple[list[Record], list[Record]]:
    return await tx.fetch(RATES, batch_ids), await tx.fetch(PRODUCTS, batch_ids)
