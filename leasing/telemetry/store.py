"""Readings in the database: chunks, the newest values, who spoke and is not known."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, quote_identifier
from leasing.kit.time import civil_date, midnight, month_of
from leasing.telemetry.columns import QUANTITIES
from leasing.telemetry.model import Source

CHUNKS, SESSIONS, HOURS = "reading_chunk", "pack_session", "reading_hour"
PARTITIONED = (CHUNKS, SESSIONS, HOURS)
"""Tables with a partition for each month of the lessor's."""


# --- Partitions -------------------------------------------------------------------------------

PARTITIONS = """
SELECT relname
  FROM pg_inherits
  JOIN pg_class ON pg_class.oid = inhrelid
 WHERE inhparent = $1::text::regclass
"""

LOCK_PARTITIONS = "SELECT pg_advisory_xact_lock(hashtextextended('reading partitions', 0))"


async def ensure_partitions(tx: Connection, table: str, days: Collection[date]) -> None:
    """Make the monthly partitions that are missing around civil days. A new one is attached
    rather than created in place, so that reading and writing the others goes on."""
    firsts = {month_of(day)[0] for day in days}
    wanted = {f"{table}_{first:%Y_%m}": first for first in firsts}
    if wanted.keys() <= await partitions(tx, table):
        return
    await tx.execute(LOCK_PARTITIONS)
    for name in sorted(wanted.keys() - await partitions(tx, table)):
        first, following = month_of(wanted[name])
        made = quote_identifier(name)
        await tx.execute(
            f"CREATE TABLE {made} (LIKE {table} INCLUDING ALL);"
            f" ALTER TABLE {table} ATTACH PARTITION {made}"
            f" FOR VALUES FROM ('{midnight(first)}') TO ('{midnight(following)}')"
        )


async def partitions(tx: Connection, table: str) -> set[str]:
    return {row["relname"] for row in await tx.fetch(PARTITIONS, table)}


async def drop_partitions(tx: Connection, table: str, before: date) -> list[str]:
    """Drop the months of a table that ended before a day; returns their names."""
    dropped = []
    for name in sorted(await partitions(tx, table)):
        year, month = name.rsplit("_", 2)[1:]
        if month_of(date(int(year), int(month), 1))[1] <= before:
            await tx.execute(f"DROP TABLE {quote_identifier(name)}")
            dropped.append(name)
    return dropped


# --- Whose readings ---------------------------------------------------------------------------

KNOWN_PACKS = """
SELECT id
  FROM pack
 WHERE id = ANY ($1::uuid[])
"""

# A code that stands on two packs names neither of them.
PACKS_BY_CODE = """
SELECT code, min(pack_id::text)::uuid AS pack_id
  FROM pack_code
 WHERE code = ANY ($1::text[])
 GROUP BY code
HAVING count(DISTINCT pack_id) = 1
"""

PACKS_BY_VEHICLE = """
SELECT given.position, pack_id
  FROM unnest($1::text[], $2::int[], $3::date[])
       WITH ORDINALITY AS given (vin, part, day, position)
 CROSS JOIN LATERAL (
       SELECT pack_id, row_number() OVER (ORDER BY line_revision.slot) AS part
         FROM site
         JOIN line_revision ON line_revision.site_id = site.id
         JOIN placement ON placement.line_id = line_revision.line_id
        WHERE site.vin = given.vin
          AND line_revision.during @> given.day
          AND placement.during @> given.day) AS standing
 WHERE standing.part = given.part
"""


async def known_packs(tx: Connection, pack_ids: Collection[UUID]) -> set[int]:
    """Those of the packs that exist, as the numbers of their ids."""
    return {row["id"].int for row in await tx.fetch(KNOWN_PACKS, list(pack_ids))}


async def packs_by_code(tx: Connection, codes: Collection[str]) -> dict[str, UUID]:
    rows = await tx.fetch(PACKS_BY_CODE, list(codes))
    return {row["code"]: row["pack_id"] for row in rows}


async def packs_by_vehicle(
    tx: Connection, sought: Sequence[tuple[str, int, date]]
) -> dict[tuple[str, int, date], UUID]:
    """The pack that stood in a vehicle on a day: the n-th by its slot."""
    vins, parts, days = zip(*sought, strict=True)
    rows = await tx.fetch(PACKS_BY_VEHICLE, list(vins), list(parts), list(days))
    return {sought[row["position"] - 1]: row["pack_id"] for row in rows}


PACKS_BY_DEVICE = """
SELECT position, placement.pack_id
  FROM unnest($1::text[], $2::int[], $3::date[])
       WITH ORDINALITY AS given (code, part, day, position)
  JOIN site_device ON site_device.code = given.code AND site_device.part = given.part
  JOIN placement
    ON placement.site_id = site_device.site_id
   AND placement.slot = site_device.slot
   AND placement.during @> given.day
"""


async def packs_by_device(
    tx: Connection, sought: Sequence[tuple[str, int, date]]
) -> dict[tuple[str, int, date], UUID]:
    """The pack that stood on a day in the slot of which a site's device speaks."""
    codes, parts, days = zip(*sought, strict=True)
    rows = await tx.fetch(PACKS_BY_DEVICE, list(codes), list(parts), list(days))
    return {sought[row["position"] - 1]: row["pack_id"] for row in rows}


NOTE_UNMATCHED = """
INSERT INTO unmatched_source AS known
       (kind, value, part, first_seen_at, last_seen_at, readings, reason)
SELECT kind, value, part, $1, $1, readings, reason
  FROM unnest($2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[])
       AS given (kind, value, part, readings, reason)
 ORDER BY kind, value, part
    ON CONFLICT (kind, value, part) DO UPDATE
   SET last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
       readings = known.readings + excluded.readings,
       reason = excluded.reason
"""


async def note_unmatched(
    tx: Connection, counts: Sequence[tuple[Source, int, str]], now: datetime
) -> None:
    """Count readings of sources that nobody here knows, each with the reason."""
    await tx.execute(
        NOTE_UNMATCHED,
        now,
        [source.kind.value for source, _, _ in counts],
        [source.value for source, _, _ in counts],
        [source.part for source, _, _ in counts],
        [count for _, count, _ in counts],
        [reason for _, _, reason in counts],
    )


UNMATCHED = """
SELECT kind, value, part, first_seen_at, last_seen_at, readings, reason
  FROM unmatched_source
 WHERE (kind, value, part) > ($1, $2, $3)
 ORDER BY kind, value, part
 LIMIT $4
"""


async def unmatched(tx: Connection, after: tuple[str, str, int], limit: int) -> list[Record]:
    return await tx.fetch(UNMATCHED, *after, limit)


# --- Chunks -----------------------------------------------------------------------------------


class Chunk(msgspec.Struct, frozen=True):
    """A stretch of a pack's readings within one civil day."""

    pack_id: UUID
    first_at: datetime
    last_at: datetime
    readings: int
    body: bytes


CHUNK_COLUMNS = ("pack_id", "first_at", "last_at", "readings", "body")


async def insert(
    tx: Connection, rows: Sequence[tuple[UUID, datetime, datetime, int, bytes]]
) -> None:
    await tx.copy_records_to_table(CHUNKS, records=rows, columns=CHUNK_COLUMNS)


# A chunk that began up to a day before may reach into the stretch.
OVERLAPPING = """
SELECT reading_chunk.pack_id, first_at, last_at, readings, body
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS asked (pack_id, from_at, to_at)
  JOIN reading_chunk ON reading_chunk.pack_id = asked.pack_id
                    AND first_at > asked.from_at - interval '1 day'
                    AND first_at <= asked.to_at
                    AND last_at >= asked.from_at
 WHERE first_at > $4
   AND first_at <= $5
 ORDER BY reading_chunk.pack_id, first_at
"""


async def overlapping(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    to_ats: Sequence[datetime],
) -> list[Record]:
    """The chunks that hold anything of a stretch of time, one stretch for each pack, both ends
    included; in order of pack and time."""
    if not pack_ids:
        return []
    # Bounds that hold for all of them let PostgreSQL leave out the other months.
    least = midnight(civil_date(min(from_ats))) - MOMENT
    return await tx.fetch(OVERLAPPING, pack_ids, from_ats, to_ats, least, max(to_ats))


MOMENT = datetime.resolution

CHUNKS_FROM = """
SELECT first_at, last_at, readings, body
  FROM reading_chunk
 WHERE pack_id = $1
   AND last_at >= $2
   AND first_at >= $3
   AND first_at < $4
 ORDER BY first_at
 LIMIT $5
"""


async def chunks_from(
    tx: Connection, pack_id: UUID, from_at: datetime, to_at: datetime, limit: int
) -> list[Record]:
    """The first chunks of a pack that hold anything at or after an instant and begin before
    another, in order of their beginnings."""
    day = midnight(civil_date(from_at))
    return await tx.fetch(CHUNKS_FROM, pack_id, from_at, day, to_at, limit)


DELETE_CHUNKS = """
DELETE FROM reading_chunk
 USING unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS asked (pack_id, from_at, to_at)
 WHERE reading_chunk.pack_id = asked.pack_id
   AND first_at >= asked.from_at
   AND first_at < asked.to_at
   AND first_at >= $4
   AND first_at < $5
"""


async def delete_chunks(
    tx: Connection,
    pack_ids: Sequence[UUID],
    from_ats: Sequence[datetime],
    to_ats: Sequence[datetime],
) -> None:
    """Those of packs that begin within stretches of time: the caller writes them anew."""
    await tx.execute(DELETE_CHUNKS, pack_ids, from_ats, to_ats, min(from_ats), max(to_ats))


# --- The newest values ------------------------------------------------------------------------

LATEST = (*QUANTITIES, "cells_mv", "temperatures_c")
ARRAY_TYPES = {"cells_mv": "text", "temperatures_c": "text"}
COLUMN_TYPES = {"cells_mv": "smallint[]", "temperatures_c": "real[]"}


def _note_latest() -> str:
    """The upsert, with its four lines for each quantity. Arrays of arrays would have to be of one
    length, so lists travel as text."""
    names = ", ".join(f"{name}, {name}_at" for name in LATEST)
    given = ", ".join(
        f"${2 * n + 6}::{ARRAY_TYPES.get(name, 'real')}[], ${2 * n + 7}::timestamptz[]"
        for n, name in enumerate(LATEST)
    )
    cast = ", ".join(
        f"given.{name}::{COLUMN_TYPES[name]}, given.{name}_at"
        if name in COLUMN_TYPES
        else f"given.{name}, given.{name}_at"
        for name in LATEST
    )
    kept = ",\n       ".join(
        f"{name} = CASE WHEN known.{name}_at >= excluded.{name}_at OR excluded.{name}_at IS NULL\n"
        f"            THEN known.{name} ELSE excluded.{name} END,\n"
        f"       {name}_at = greatest(known.{name}_at, excluded.{name}_at)"
        for name in LATEST
    )
    return f"""
INSERT INTO pack_telemetry AS known
       (pack_id, latest_at, received_at, online_since, unevaluated_from, unsealed_from,
       {names})
SELECT given.pack_id, given.latest_at, $4, given.earliest_at, given.earliest_at,
       given.earliest_at,
       {cast}
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], {given})
       AS given (pack_id, latest_at, earliest_at, {names})
 ORDER BY given.pack_id
    ON CONFLICT (pack_id) DO UPDATE
   SET latest_at = greatest(known.latest_at, excluded.latest_at),
       received_at = CASE WHEN excluded.latest_at > known.latest_at
                          THEN greatest(known.received_at, excluded.received_at)
                          ELSE known.received_at END,
       online_since = CASE WHEN excluded.online_since > known.latest_at + $5::interval
                           THEN excluded.online_since ELSE known.online_since END,
       unevaluated_from = CASE WHEN excluded.unevaluated_from > known.latest_at
                               THEN least(known.unevaluated_from, excluded.unevaluated_from)
                               ELSE known.unevaluated_from END,
       unsealed_from = CASE WHEN excluded.unsealed_from > known.latest_at
                            THEN least(known.unsealed_from, excluded.unsealed_from)
                            ELSE known.unsealed_from END,
       {kept}
RETURNING known.pack_id, old.latest_at
"""


NOTE_LATEST = _note_latest()


class Newest(msgspec.Struct, frozen=True):
    """What a batch says of packs, each list in their order: their bounds, and by quantity the
    newest values with their instants, None where a pack has none. Lists of cells and probes are
    in PostgreSQL's own writing."""

    pack_ids: list[UUID]
    latest_at: list[datetime]
    earliest_at: list[datetime]
    values: dict[str, tuple[list[float | None] | list[str | None], list[datetime | None]]]


async def note_latest(
    tx: Connection, newest: Newest, *, now: datetime, silence: timedelta
) -> list[datetime | None]:
    """Hold the rows of packs until the transaction ends, and remember their newest values; give
    them in order of pack. Returns of each the newest instant that was known before, None for a
    pack that never reported.

    Whoever changes a pack's readings comes through here first, and in order of pack, so that two
    batches queue up and do not lock each other out. A value that comes late never replaces a
    newer one.
    """
    columns = [column for name in LATEST for column in newest.values.get(name, (None, None))]
    rows = await tx.fetch(
        NOTE_LATEST,
        newest.pack_ids,
        newest.latest_at,
        newest.earliest_at,
        now,
        silence,
        *columns,
    )
    return [row["latest_at"] for row in rows]


NOTE_LATE = """
UPDATE pack_telemetry
   SET unevaluated_from = least(unevaluated_from, given.from_at),
       unsealed_from = least(unsealed_from, given.from_at)
  FROM unnest($1::uuid[], $2::timestamptz[]) AS given (pack_id, from_at)
 WHERE pack_telemetry.pack_id = given.pack_id
"""


async def note_late(tx: Connection, pack_ids: Sequence[UUID], from_ats: Sequence[datetime]) -> None:
    """From these instants on packs have to be put together and evaluated again. The caller holds
    their rows."""
    await tx.execute(NOTE_LATE, pack_ids, from_ats)


GET_LATEST = """
SELECT pack_id, latest_at, received_at, online_since,
       {columns}
  FROM pack_telemetry
 WHERE pack_id = $1
""".format(columns=", ".join(f"{name}, {name}_at" for name in LATEST))


async def latest(tx: Connection, pack_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_LATEST, pack_id)


SILENT = """
SELECT pack_id, latest_at, received_at, online_since
  FROM pack_telemetry
 WHERE least(latest_at, received_at) < $1
   AND pack_id > $2
 ORDER BY pack_id
 LIMIT $3
"""


async def silent(tx: Connection, since: datetime, after: UUID, limit: int) -> list[Record]:
    """Packs of which nothing is newer than an instant, in order of id. One that never reported is
    none of them."""
    return await tx.fetch(SILENT, since, after, limit)


FLAGS = """
SELECT kind, quantity, from_at, to_at, readings
  FROM reading_flag
 WHERE pack_id = $1
   AND (from_at, kind, quantity) > ($2, $3, $4)
 ORDER BY from_at, kind, quantity
 LIMIT $5
"""


async def flags(
    tx: Connection, pack_id: UUID, after: tuple[datetime, str, str], limit: int
) -> list[Record]:
    return await tx.fetch(FLAGS, pack_id, *after, limit)


# A clock that goes on being ahead is one stretch.
NOTE_CLOCKS_AHEAD = """
INSERT INTO reading_flag AS known (pack_id, kind, quantity, from_at, to_at, readings)
SELECT given.pack_id, 'clock_ahead', 'at',
       coalesce((SELECT max(from_at) FROM reading_flag AS before
                  WHERE before.pack_id = given.pack_id
                    AND kind = 'clock_ahead'
                    AND before.to_at >= given.from_at - interval '1 day'), given.from_at),
       given.to_at, given.readings
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::int[])
       AS given (pack_id, from_at, to_at, readings)
 ORDER BY given.pack_id
    ON CONFLICT (pack_id, kind, quantity, from_at) DO UPDATE
   SET to_at = greatest(known.to_at, excluded.to_at),
       readings = known.readings + excluded.readings
"""


async def note_clocks_ahead(
    tx: Connection, stretches: Sequence[tuple[UUID, datetime, datetime, int]]
) -> None:
    """Packs whose readings are dated after they came in: the first and the last such instant, and
    how many. The caller holds their rows."""
    await tx.execute(NOTE_CLOCKS_AHEAD, *map(list, zip(*stretches, strict=True)))
