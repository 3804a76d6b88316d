"""Reports of capacity tests in the database."""

from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.packs import CapacityTestCreate

COLUMNS = """id, pack_id, tested_on, method, temperature_c, c_rate,
       CASE WHEN capacity_mah IS NULL THEN 'partial' ELSE 'full' END AS extent, depth_percent,
       discharged_mah, capacity_mah, energy_wh, internal_resistance_uohm, laboratory,
       report_number, document_sha256, signatory, created_at"""

INSERT = f"""
INSERT INTO capacity_test (pack_id, tested_on, method, temperature_c, c_rate, depth_percent,
                           discharged_mah, energy_wh, internal_resistance_uohm, laboratory,
                           report_number, document_sha256, signatory, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING {COLUMNS}
"""


async def insert(tx: Connection, pack_id: UUID, data: CapacityTestCreate, now: datetime) -> Record:
    row = await tx.fetchrow(
        INSERT,
        pack_id,
        data.tested_on,
        data.method,
        data.temperature_c,
        data.c_rate,
        data.depth_percent,
        data.discharged_mah,
        data.energy_wh,
        data.internal_resistance_uohm,
        data.laboratory,
        data.report_number,
        data.document_sha256,
        data.signatory,
        now,
    )
    assert row is not None
    return row


LIST = f"""
SELECT {COLUMNS}
  FROM capacity_test
 WHERE pack_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, pack_id: UUID, test_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, pack_id, test_id, limit)


# Of one day the report that was entered last.
LATEST_FULL = f"""
SELECT DISTINCT ON (pack_id) {COLUMNS}
  FROM capacity_test
 WHERE pack_id = ANY ($1::uuid[])
   AND capacity_mah IS NOT NULL
 ORDER BY pack_id, tested_on DESC, id DESC
"""


async def latest_full(tx: Connection, pack_ids: list[UUID]) -> list[Record]:
    """The latest capacity that was really measured, of each pack that has one."""
    return await tx.fetch(LATEST_FULL, pack_ids)
