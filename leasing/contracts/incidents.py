"""What befell packs on lease, and what is owed once, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.contracts import IncidentCreate

INCIDENT_COLUMNS = """id, line_id, pack_id, kind, happened_on, description, police_report, liable,
       photo_sha256, found_on, entered_by, entered_at"""

INSERT = f"""
INSERT INTO incident (line_id, pack_id, kind, happened_on, description, police_report, liable,
                      photo_sha256, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
RETURNING {INCIDENT_COLUMNS}
"""


async def insert(
    tx: Connection, line_id: UUID, pack_id: UUID, data: IncidentCreate, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(
        INSERT,
        line_id,
        pack_id,
        data.kind,
        data.happened_on,
        data.description,
        data.police_report,
        data.liable,
        data.photo_sha256,
        by,
        now,
    )
    assert row is not None
    return row


LOCK = f"""
SELECT {INCIDENT_COLUMNS}
  FROM incident
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, incident_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, incident_id)


MARK_FOUND = f"""
UPDATE incident
   SET found_on = $2
 WHERE id = $1
RETURNING {INCIDENT_COLUMNS}
"""


async def mark_found(tx: Connection, incident_id: UUID, on: date) -> Record:
    row = await tx.fetchrow(MARK_FOUND, incident_id, on)
    assert row is not None
    return row


LIST = f"""
SELECT {INCIDENT_COLUMNS}
  FROM incident
 WHERE id > $1
   AND ($2::uuid IS NULL OR line_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(
    tx: Connection, incident_id: UUID, line_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, incident_id, line_id, limit)


# Fees

FEE_COLUMNS = "id, line_id, contract_id, pack_id, component, owed_on, amount, reason"

INSERT_FEES = f"""
INSERT INTO fee (line_id, contract_id, lessee_id, pack_id, component, owed_on, amount, reason,
                 entered_by, entered_at)
SELECT line_id, contract_id, lessee_id, pack_id, $3, $4, amount, $6, $7, $8
  FROM unnest($1::uuid[], $2::uuid[], $5::bigint[]) AS given (line_id, pack_id, amount)
  JOIN lease_line ON lease_line.id = given.line_id
 WHERE amount > 0
RETURNING {FEE_COLUMNS}
"""


async def insert_fees(
    tx: Connection,
    owed: Sequence[tuple[UUID, UUID | None, int]],
    component: str,
    owed_on: date,
    reason: str,
    by: str,
    now: datetime,
) -> list[Record]:
    """What lines owe once: `(line, pack, amount)`. Nothing is owed for an amount of nothing."""
    return await tx.fetch(
        INSERT_FEES,
        [line_id for line_id, _, _ in owed],
        [pack_id for _, pack_id, _ in owed],
        component,
        owed_on,
        [amount for _, _, amount in owed],
        reason,
        by,
        now,
    )


FEES = f"""
SELECT {FEE_COLUMNS}
  FROM fee
 WHERE id > $1
   AND ($2::uuid IS NULL OR contract_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def fees_after(
    tx: Connection, fee_id: UUID, contract_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(FEES, fee_id, contract_id, limit)
