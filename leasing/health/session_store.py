"""Sessions of packs, and what else is worked out of readings, in the database."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.health.model import PackType, Session
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.telemetry import hours, store
from leasing.telemetry.columns import instant
from leasing.telemetry.quality import Flag


class PackToSeal(msgspec.Struct, frozen=True):
    """A pack with readings that were not summed up."""

    pack_id: UUID
    unsealed_from: datetime
    latest_at: datetime
    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    full_cell_mv: int | None

    @property
    def rated_ah(self) -> float:
        return self.rated_capacity_mah / 1000

    @property
    def type(self) -> PackType:
        return PackType(
            chemistry=self.chemistry,
            cells_in_series=self.cells_in_series,
            rated_capacity_mah=self.rated_capacity_mah,
            full_cell_v=None if self.full_cell_mv is None else self.full_cell_mv / 1000,
        )


TAKE = """
SELECT pack_telemetry.pack_id,
       unsealed_from,
       latest_at,
       chemistry,
       cells_in_series,
       rated_capacity_mah,
       full_cell_mv
  FROM pack_telemetry
  JOIN pack ON pack.id = pack_telemetry.pack_id
 WHERE unsealed_from IS NOT NULL
   AND pack_telemetry.pack_id > $1
   AND ($3::timestamptz IS NULL OR unsealed_from < $3)
 ORDER BY pack_telemetry.pack_id
 LIMIT $2
   FOR UPDATE OF pack_telemetry SKIP LOCKED
"""


async def take(
    tx: Connection, after: UUID, limit: int, before: datetime | None
) -> list[PackToSeal]:
    return convert_all(await tx.fetch(TAKE, after, limit, before), PackToSeal)


TAKE_THESE = """
SELECT pack_telemetry.pack_id,
       unsealed_from,
       latest_at,
       chemistry,
       cells_in_series,
       rated_capacity_mah,
       full_cell_mv
  FROM pack_telemetry
  JOIN pack ON pack.id = pack_telemetry.pack_id
 WHERE unsealed_from IS NOT NULL
   AND pack_telemetry.pack_id = ANY ($1::uuid[])
 ORDER BY pack_telemetry.pack_id
   FOR UPDATE OF pack_telemetry
"""


async def take_these(tx: Connection, pack_ids: Sequence[UUID]) -> list[PackToSeal]:
    return convert_all(await tx.fetch(TAKE_THESE, pack_ids), PackToSeal)


MARK_SEALED = """
UPDATE pack_telemetry
   SET unsealed_from = NULL
 WHERE pack_id = ANY ($1::uuid[])
"""


async def mark_sealed(tx: Connection, pack_ids: Sequence[UUID]) -> None:
    await tx.execute(MARK_SEALED, pack_ids)


EARLIEST = """
SELECT pack_session.pack_id, min(started_at) AS started_at
  FROM unnest($1::uuid[], $2::timestamptz[]) AS asked (pack_id, from_at)
  JOIN pack_session ON pack_session.pack_id = asked.pack_id AND ended_at >= asked.from_at
 GROUP BY 1
"""


async def earliest(
    tx: Connection, pack_ids: Sequence[UUID], from_ats: Sequence[datetime]
) -> dict[UUID, datetime]:
    """When the first session began that had not ended by an instant, of packs that have one."""
    rows = await tx.fetch(EARLIEST, pack_ids, from_ats)
    return {row["pack_id"]: row["started_at"] for row in rows}


# A session whose readings are gone by their age stays: those days are in no stretch.
DELETE_SESSIONS = """
DELETE FROM pack_session
 USING unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
       AS asked (pack_id, from_at, first_at, last_at)
 WHERE pack_session.pack_id = asked.pack_id
   AND ended_at >= asked.from_at
   AND started_at BETWEEN asked.first_at AND asked.last_at
"""

SESSION_COLUMNS = Session.__struct_fields__


async def replace_sessions(
    tx: Connection,
    stretches: Sequence[tuple[UUID, datetime, datetime, datetime]],
    sessions: Sequence[tuple[UUID, Session]],
) -> None:
    """The sessions of packs become these, in stretches of readings: each with its pack, the
    instant by which a session must have ended to stay, the first reading and the last."""
    if stretches:
        await tx.execute(DELETE_SESSIONS, *map(list, zip(*stretches, strict=True)))
    if not sessions:
        return
    days = {civil_date(session.started_at) for _, session in sessions}
    await store.ensure_partitions(tx, store.SESSIONS, days)
    await tx.copy_records_to_table(
        store.SESSIONS,
        records=[(pack_id, *msgspec.structs.astuple(session)) for pack_id, session in sessions],
        columns=("pack_id", *SESSION_COLUMNS),
    )


# An hour of which readings are gone by their age stays as it was.
HOURS_FROM_STAGE = """
INSERT INTO reading_hour AS known
SELECT *
  FROM reading_hour_stage
    ON CONFLICT (pack_id, hour_at) DO UPDATE
   SET {columns}
 WHERE known.readings <= excluded.readings
""".format(columns=", ".join(f"{name} = excluded.{name}" for name in hours.COLUMNS[2:]))

MAKE_HOUR_STAGE = """
CREATE TEMPORARY TABLE reading_hour_stage (LIKE reading_hour) ON COMMIT DROP
"""


async def put_hours(tx: Connection, rows: Sequence[hours.Row]) -> None:
    """Hours as they are now."""
    if not rows:
        return
    starts = {row[1] for row in rows}
    days = {civil_date(start) for start in starts if isinstance(start, datetime)}
    await store.ensure_partitions(tx, store.HOURS, days)
    await tx.execute(MAKE_HOUR_STAGE)
    await tx.copy_records_to_table("reading_hour_stage", records=rows, columns=hours.COLUMNS)
    await tx.execute(HOURS_FROM_STAGE)
    await tx.execute("DROP TABLE reading_hour_stage")


DELETE_FLAGS = """
DELETE FROM reading_flag
 USING unnest($1::uuid[], $2::timestamptz[]) AS asked (pack_id, from_at)
 WHERE reading_flag.pack_id = asked.pack_id
   AND to_at >= asked.from_at
   AND kind <> 'clock_ahead'
"""


async def replace_flags(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    flags: Sequence[Flag],
) -> None:
    """What was noted of readings up to an instant and later, of each pack, becomes this."""
    await tx.execute(DELETE_FLAGS, pack_ids, from_ats)
    if flags:
        await tx.copy_records_to_table(
            "reading_flag",
            records=[
                (
                    pack_ids[one.pack],
                    one.kind,
                    one.quantity,
                    instant(one.from_us),
                    instant(one.to_us),
                    one.readings,
                )
                for one in flags
            ],
        )


ENDED = """
SELECT asked.pack_id AS pack, {columns}
  FROM unnest($1::uuid[], $2::timestamptz[]) AS asked (pack_id, from_at)
  JOIN pack_session ON pack_session.pack_id = asked.pack_id
                   AND ended_at >= asked.from_at
 WHERE started_at >= $3
   AND ended_at < $4
 ORDER BY asked.pack_id, started_at
""".format(columns=", ".join(SESSION_COLUMNS))


async def ended(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    oldest: datetime,
    before: datetime,
) -> dict[UUID, list[Session]]:
    """The sessions of packs that ended at an instant of each or later, and before one that holds
    for all; none that began before `oldest`."""
    rows = await tx.fetch(ENDED, pack_ids, from_ats, oldest, before)
    found: dict[UUID, list[Session]] = {pack_id: [] for pack_id in pack_ids}
    for row, session in zip(rows, convert_all(rows, Session), strict=True):
        found[row["pack"]].append(session)
    return found


LIST = """
SELECT {columns}
  FROM pack_session
 WHERE pack_id = $1
   AND started_at > $2
 ORDER BY started_at
 LIMIT $3
""".format(columns=", ".join(SESSION_COLUMNS))


async def after(tx: Connection, pack_id: UUID, started_at: datetime, limit: int) -> list[Record]:
    return await tx.fetch(LIST, pack_id, started_at, limit)
