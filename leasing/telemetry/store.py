"""Readings in the database."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import date, datetime
from uuid import UUID

import asyncpg
from asyncpg import Record

from leasing.db.pool import Connection, quote_identifier, savepoint
from leasing.kit.time import month_of
from schemas.telemetry import Reading

COLUMNS = ("pack_id", "at", "voltage_v", "current_a", "soc_percent", "temperature_c")

Row = tuple[UUID, datetime, float, float, float | None, float | None]


def as_row(reading: Reading) -> Row:
    return (
        reading.pack_id,
        reading.at,
        reading.voltage_v,
        reading.current_a,
        reading.soc_percent,
        reading.temperature_c,
    )


UNKNOWN_PACKS = """
SELECT given
  FROM unnest($1::uuid[]) AS given
 WHERE NOT EXISTS (SELECT FROM pack WHERE pack.id = given)
"""


async def unknown_packs(tx: Connection, pack_ids: Collection[UUID]) -> set[UUID]:
    return {row["given"] for row in await tx.fetch(UNKNOWN_PACKS, list(pack_ids))}


PARTITIONS = """
SELECT relname
  FROM pg_inherits
  JOIN pg_class ON pg_class.oid = inhrelid
 WHERE inhparent = 'reading'::regclass
"""

LOCK_PARTITIONS = "SELECT pg_advisory_xact_lock(hashtextextended('reading partitions', 0))"


async def ensure_partitions(tx: Connection, months: Collection[date]) -> None:
    """Make the monthly partitions that are missing. A new one is attached rather than created
    in place, so that reading and writing the others goes on."""
    wanted = {f"reading_{first:%Y_%m}": first for first in months}
    if wanted.keys() <= await partitions(tx):
        return
    await tx.execute(LOCK_PARTITIONS)
    for name in sorted(wanted.keys() - await partitions(tx)):
        first, following = month_of(wanted[name])
        table = quote_identifier(name)
        await tx.execute(f"CREATE TABLE {table} (LIKE reading INCLUDING ALL)")
        await tx.execute(
            f"ALTER TABLE reading ATTACH PARTITION {table}"
            f" FOR VALUES FROM ('{first} 00:00+00') TO ('{following} 00:00+00')"
        )


async def partitions(tx: Connection) -> set[str]:
    return {row["relname"] for row in await tx.fetch(PARTITIONS)}


MAKE_STAGE = """
CREATE TEMPORARY TABLE reading_stage (LIKE reading) ON COMMIT DROP
"""

FROM_STAGE = """
INSERT INTO reading (pack_id, at, voltage_v, current_a, soc_percent, temperature_c)
SELECT pack_id, at, voltage_v, current_a, soc_percent, temperature_c
  FROM reading_stage
    ON CONFLICT (pack_id, at) DO NOTHING
"""


async def insert(tx: Connection, rows: Sequence[Row]) -> int:
    """Store readings and return how many were new.

    Most batches hold nothing twice, so they are copied straight in. One that does is sent a
    second time through a stage, where what is there already is passed over.
    """
    with suppress(asyncpg.UniqueViolationError):
        async with savepoint(tx):
            await tx.copy_records_to_table("reading", records=rows, columns=COLUMNS)
        return len(rows)
    await tx.execute(MAKE_STAGE)
    await tx.copy_records_to_table("reading_stage", records=rows, columns=COLUMNS)
    done = await tx.execute(FROM_STAGE)
    await tx.execute("DROP TABLE reading_stage")
    return int(done.rpartition(" ")[2])


# In order of pack, so that two batches that touch the same packs queue up instead of locking
# each other out.
NOTE_LATEST = """
INSERT INTO pack_telemetry AS known
       (pack_id, latest_at, voltage_v, current_a, soc_percent, temperature_c, unevaluated_from)
SELECT pack_id, latest_at, voltage_v, current_a, soc_percent, temperature_c, earliest_at
  FROM unnest($1::uuid[], $2::timestamptz[], $3::real[], $4::real[], $5::real[], $6::real[],
              $7::timestamptz[])
       AS given (pack_id, latest_at, voltage_v, current_a, soc_percent, temperature_c, earliest_at)
 ORDER BY pack_id
    ON CONFLICT (pack_id) DO UPDATE
   SET latest_at = greatest(known.latest_at, excluded.latest_at),
       voltage_v = CASE WHEN excluded.latest_at > known.latest_at
                        THEN excluded.voltage_v ELSE known.voltage_v END,
       current_a = CASE WHEN excluded.latest_at > known.latest_at
                        THEN excluded.current_a ELSE known.current_a END,
       soc_percent = CASE WHEN excluded.latest_at > known.latest_at
                          THEN excluded.soc_percent ELSE known.soc_percent END,
       temperature_c = CASE WHEN excluded.latest_at > known.latest_at
                            THEN excluded.temperature_c ELSE known.temperature_c END,
       unevaluated_from = least(known.unevaluated_from, excluded.unevaluated_from)
"""


async def note_latest(tx: Connection, latest: Sequence[Row], earliest: Sequence[datetime]) -> None:
    """Remember each pack's newest values, and from when on it has to be evaluated. A reading
    that comes late never replaces a newer one."""
    columns = [list(column) for column in zip(*latest, strict=True)]
    await tx.execute(NOTE_LATEST, *columns, list(earliest))


BETWEEN = """
SELECT at, voltage_v, current_a, soc_percent, temperature_c
  FROM reading
 WHERE pack_id = $1
   AND at >= $2
   AND at < $3
 ORDER BY at
 LIMIT $4
"""


async def between(
    tx: Connection, pack_id: UUID, from_at: datetime, to_at: datetime, limit: int
) -> list[Record]:
    return await tx.fetch(BETWEEN, pack_id, from_at, to_at, limit)
