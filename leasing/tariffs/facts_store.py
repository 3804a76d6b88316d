"""Facts that prices rest on, in the database: rows that are added and never changed."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection, fetch_for
from schemas.tariffs import MeterReadingRow, OutageRow, PriceIndexRow, SiteTenancyRow

INSERT_READINGS = """
INSERT INTO meter_reading (pack_id, measure, at, register_value, restart, register_max, source,
                           source_reference, supersedes_id, is_void, entered_by, entered_at)
SELECT pack_id, measure, at, register_value, restart, register_max, source, source_reference,
       supersedes_id, is_void, $11, $12
  FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bigint[], $5::text[], $6::bigint[],
              $7::text[], $8::text[], $9::uuid[], $10::bool[])
       WITH ORDINALITY
       AS given (pack_id, measure, at, register_value, restart, register_max, source,
                 source_reference, supersedes_id, is_void, position)
 ORDER BY position
RETURNING id
"""


async def insert_readings(
    tx: Connection, rows: Sequence[MeterReadingRow], by: str, now: datetime
) -> list[UUID]:
    """Enter readings; their ids come back in the same order."""
    found = await fetch_for(
        tx,
        len(rows),
        INSERT_READINGS,
        [row.pack_id for row in rows],
        [row.measure for row in rows],
        [row.at for row in rows],
        [row.register_value for row in rows],
        [row.restart for row in rows],
        [row.register_max for row in rows],
        [row.source for row in rows],
        [row.source_reference for row in rows],
        [row.supersedes_id for row in rows],
        [row.is_void for row in rows],
        by,
        now,
    )
    return [row["id"] for row in found]


INSERT_OUTAGES = """
INSERT INTO outage (site_id, line_id, during, cause, evidence, reference, supersedes_id, is_void,
                    entered_by, entered_at)
SELECT site_id, line_id, tstzrange(from_at, to_at), cause, evidence, reference, supersedes_id,
       is_void, $10, $11
  FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[],
              $7::text[], $8::uuid[], $9::bool[])
       WITH ORDINALITY
       AS given (site_id, line_id, from_at, to_at, cause, evidence, reference, supersedes_id,
                 is_void, position)
 ORDER BY position
RETURNING id
"""


async def insert_outages(
    tx: Connection, rows: Sequence[OutageRow], by: str, now: datetime
) -> list[UUID]:
    """Enter outages; their ids come back in the same order."""
    found = await fetch_for(
        tx,
        len(rows),
        INSERT_OUTAGES,
        [row.site_id for row in rows],
        [row.line_id for row in rows],
        [row.from_at for row in rows],
        [row.to_at for row in rows],
        [row.cause for row in rows],
        [row.evidence for row in rows],
        [row.reference for row in rows],
        [row.supersedes_id for row in rows],
        [row.is_void for row in rows],
        by,
        now,
    )
    return [row["id"] for row in found]


INSERT_TENANCIES = """
INSERT INTO site_tenancy (site_id, during, tenants, is_anchor, supersedes_id, is_void, entered_by,
                          entered_at)
SELECT site_id, daterange(from_on, to_on), tenants, is_anchor, supersedes_id, is_void, $8, $9
  FROM unnest($1::uuid[], $2::date[], $3::date[], $4::int[], $5::bool[], $6::uuid[], $7::bool[])
       WITH ORDINALITY
       AS given (site_id, from_on, to_on, tenants, is_anchor, supersedes_id, is_void, position)
 ORDER BY position
RETURNING id
"""


async def insert_tenancies(
    tx: Connection, rows: Sequence[SiteTenancyRow], by: str, now: datetime
) -> list[UUID]:
    """Enter who shares sites; ids come back in the same order."""
    found = await fetch_for(
        tx,
        len(rows),
        INSERT_TENANCIES,
        [row.site_id for row in rows],
        [row.from_on for row in rows],
        [row.to_on for row in rows],
        [row.tenants for row in rows],
        [row.is_anchor for row in rows],
        [row.supersedes_id for row in rows],
        [row.is_void for row in rows],
        by,
        now,
    )
    return [row["id"] for row in found]


INSERT_INDEXES = """
INSERT INTO price_index (series, month, value, published_on, source, supersedes_id, is_void,
                         entered_by, entered_at)
SELECT series, month, value, published_on, source, supersedes_id, is_void, $8, $9
  FROM unnest($1::text[], $2::date[], $3::numeric[], $4::date[], $5::text[], $6::uuid[], $7::bool[])
       WITH ORDINALITY
       AS given (series, month, value, published_on, source, supersedes_id, is_void, position)
 ORDER BY position
RETURNING id
"""


async def insert_indexes(
    tx: Connection, rows: Sequence[PriceIndexRow], by: str, now: datetime
) -> list[UUID]:
    """Enter values of price indexes; their ids come back in the same order."""
    found = await fetch_for(
        tx,
        len(rows),
        INSERT_INDEXES,
        [row.series for row in rows],
        [row.month for row in rows],
        [Decimal(row.value) for row in rows],
        [row.published_on for row in rows],
        [row.source for row in rows],
        [row.supersedes_id for row in rows],
        [row.is_void for row in rows],
        by,
        now,
    )
    return [row["id"] for row in found]


# What was superseded is listed too: who reads on from the last id learns of every correction.

LIST_READINGS = """
SELECT id, pack_id, measure, at, register_value, restart, register_max, source, source_reference,
       supersedes_id, is_void, is_current, entered_by, entered_at
  FROM meter_reading
 WHERE id > $1
   AND ($2::uuid IS NULL OR pack_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def readings_after(
    tx: Connection, reading_id: UUID, pack_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_READINGS, reading_id, pack_id, limit)


LIST_OUTAGES = """
SELECT id, site_id, line_id, lower(during) AS from_at, upper(during) AS to_at, cause, evidence,
       reference, supersedes_id, is_void, is_current, entered_by, entered_at
  FROM outage
 WHERE id > $1
   AND ($2::uuid IS NULL OR site_id = $2)
   AND ($3::uuid IS NULL OR line_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def outages_after(
    tx: Connection, outage_id: UUID, site_id: UUID | None, line_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_OUTAGES, outage_id, site_id, line_id, limit)


LIST_TENANCIES = """
SELECT id, site_id, lower(during) AS from_on, upper(during) AS to_on, tenants, is_anchor,
       supersedes_id, is_void, is_current, entered_by, entered_at
  FROM site_tenancy
 WHERE id > $1
   AND ($2::uuid IS NULL OR site_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def tenancies_after(
    tx: Connection, tenancy_id: UUID, site_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_TENANCIES, tenancy_id, site_id, limit)


LIST_INDEXES = """
SELECT id, series, month, value, published_on, source, supersedes_id, is_void, is_current,
       entered_by, entered_at
  FROM price_index
 WHERE id > $1
   AND ($2::text IS NULL OR series = $2)
 ORDER BY id
 LIMIT $3
"""


async def indexes_after(
    tx: Connection, index_id: UUID, series: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_INDEXES, index_id, series, limit)


VALUES = """
SELECT month, value
  FROM price_index
 WHERE series = $1
   AND is_current
   AND NOT is_void
"""


async def index_values(tx: Connection, series: str) -> dict[date, Decimal]:
    """What is known of a price index, by first day of month."""
    return {row["month"]: row["value"] for row in await tx.fetch(VALUES, series)}
