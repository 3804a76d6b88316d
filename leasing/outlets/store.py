"""Outlets in the database."""

from datetime import datetime
from uuid import UUID

from asyncpg import Range, Record

from leasing.db.pool import Connection
from leasing.outlets.generator import Network

INSERT_RECYCLERS = """
INSERT INTO party (kind, name, credit_code, home_adcode, generated, created_at)
SELECT 'recycler', name, credit_code, home_adcode, true, $4
  FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
       AS given (name, credit_code, home_adcode, position)
 ORDER BY position
RETURNING id
"""


async def insert_network(tx: Connection, network: Network, now: datetime) -> list[UUID]:
    """Store a generated network; returns the recyclers' ids in their order."""
    rows = await tx.fetch(
        INSERT_RECYCLERS,
        [recycler.name_zh for recycler in network.recyclers],
        [recycler.credit_code for recycler in network.recyclers],
        [recycler.home_adcode for recycler in network.recyclers],
        now,
    )
    recycler_ids = [row["id"] for row in rows]
    await tx.copy_records_to_table(
        "qualification",
        columns=("party_id", "kind", "valid", "document"),
        records=[
            (party_id, paper.kind, Range(paper.valid_from, paper.valid_to), paper.document)
            for party_id, recycler in zip(recycler_ids, network.recyclers, strict=True)
            for paper in recycler.qualifications
        ],
    )
    await tx.copy_records_to_table(
        "outlet",
        columns=(
            "code",
            "name_zh",
            "name_en",
            "kind",
            "adcode",
            "longitude",
            "latitude",
            "recycler_id",
            "chemistries",
            "hazards",
            "store_limit_kg",
            "generated",
        ),
        records=[
            (
                outlet.code,
                outlet.name_zh,
                outlet.name_en,
                outlet.kind,
                outlet.adcode,
                outlet.longitude,
                outlet.latitude,
                recycler_ids[outlet.recycler],
                list(outlet.chemistries),
                list(outlet.hazard_classes),
                outlet.store_limit_kg,
                True,
            )
            for outlet in network.outlets
        ],
    )
    return recycler_ids


LIST = """
SELECT id, code, name_zh, name_en, kind, adcode, longitude, latitude, recycler_id, chemistries,
       hazards, store_limit_kg, stock_kg, reserved_kg, generated
  FROM outlet
 WHERE id > $1
   AND ($2::text IS NULL OR adcode = $2)
   AND ($3::text IS NULL OR kind = $3)
 ORDER BY id
 LIMIT $4
"""


async def after(
    tx: Connection, outlet_id: UUID, adcode: str | None, kind: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, outlet_id, adcode, kind, limit)


COVERAGE = """
SELECT count(*) AS outlets,
       count(*) FILTER (WHERE outlet.kind = 'collecting') AS collecting,
       count(*) FILTER (WHERE outlet.kind = 'concentrated') AS concentrated,
       count(DISTINCT outlet.adcode) AS prefectures,
       count(DISTINCT prefecture.province_adcode) AS provinces,
       count(DISTINCT outlet.recycler_id) AS recyclers,
       count(*) FILTER (WHERE outlet.generated) AS generated,
       coalesce(sum(outlet.store_limit_kg), 0)::bigint AS store_limit_kg,
       coalesce(sum(outlet.stock_kg), 0)::bigint AS stock_kg,
       coalesce(sum(outlet.reserved_kg), 0)::bigint AS reserved_kg
  FROM outlet
  JOIN prefecture ON prefecture.adcode = outlet.adcode
"""


async def coverage(tx: Connection) -> Record:
    row = await tx.fetchrow(COVERAGE)
    assert row is not None
    return row
