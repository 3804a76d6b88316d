"""Health checks in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.model import Line
from leasing.db.pool import Connection
from leasing.health.model import Health
from leasing.kit.rows import convert_all
from schemas.health import Verdict


class PackToCheck(msgspec.Struct, frozen=True):
    """A pack with readings that nobody evaluated, and the line it stands in, if any."""

    pack_id: UUID
    unevaluated_from: datetime
    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    full_cell_mv: int | None
    line_id: UUID | None


class Finding(msgspec.Struct, frozen=True):
    """What a check found, and what it was held against."""

    pack: PackToCheck
    line: Line | None
    health: Health
    guarantee_mah: int | None
    verdict: Verdict


# Several workers may do this at once: each takes packs that no other has taken.
TAKE = """
SELECT pack_telemetry.pack_id,
       unevaluated_from,
       chemistry,
       cells_in_series,
       rated_capacity_mah,
       full_cell_mv,
       placement.line_id
  FROM pack_telemetry
  JOIN pack ON pack.id = pack_telemetry.pack_id
  LEFT JOIN placement ON placement.pack_id = pack.id AND placement.during @> $2::date
 WHERE unevaluated_from < $1
   AND pack_telemetry.pack_id > $3
   AND NOT EXISTS (
       SELECT FROM health_check
        WHERE health_check.pack_id = pack_telemetry.pack_id
          AND as_of = $2)
 ORDER BY pack_telemetry.pack_id
 LIMIT $4
   FOR UPDATE OF pack_telemetry SKIP LOCKED
"""


async def take(
    tx: Connection, before: datetime, on: date, after: UUID, limit: int
) -> list[PackToCheck]:
    """Lock the next packs that reported before an instant, were not evaluated since and have no
    check as of the day: what came in late after that waits for the next night."""
    return convert_all(await tx.fetch(TAKE, before, on, after, limit), PackToCheck)


WAITING = """
SELECT count(*)
  FROM pack_telemetry
 WHERE unevaluated_from < $1
   AND NOT EXISTS (
       SELECT FROM health_check
        WHERE health_check.pack_id = pack_telemetry.pack_id
          AND as_of = $2)
"""


async def waiting(tx: Connection, before: datetime, on: date) -> int:
    """How many packs there are to check."""
    found: int = await tx.fetchval(WAITING, before, on)
    return found


MARK_EVALUATED = """
UPDATE pack_telemetry
   SET unevaluated_from = CASE WHEN latest_at >= $2 THEN $2 END
 WHERE pack_id = ANY ($1::uuid[])
"""


async def mark_evaluated(tx: Connection, pack_ids: Sequence[UUID], to_at: datetime) -> None:
    """Everything before an instant is evaluated; what came after it waits for the next night."""
    await tx.execute(MARK_EVALUATED, pack_ids, to_at)


# A check is there once; what it rests on is never rewritten.
INSERT = """
INSERT INTO health_check (pack_id, line_id, as_of, verdict, method, capacity_mah, lower_mah,
                          upper_mah, guarantee_mah, measured_at, evidence)
SELECT pack_id, line_id, $1, verdict, method, capacity_mah, lower_mah, upper_mah, guarantee_mah,
       measured_at, evidence
  FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[],
              $9::int[], $10::timestamptz[], $11::jsonb[])
       WITH ORDINALITY
       AS given (pack_id, line_id, verdict, method, capacity_mah, lower_mah, upper_mah,
                 guarantee_mah, measured_at, evidence, position)
 ORDER BY position
    ON CONFLICT (pack_id, as_of) WHERE work_order_id IS NULL DO NOTHING
RETURNING pack_id, id
"""


async def insert(tx: Connection, findings: Sequence[Finding], as_of: date) -> dict[UUID, UUID]:
    """Store what was found; returns the check of each pack that had none as of this day."""
    rows = await tx.fetch(
        INSERT,
        as_of,
        [one.pack.pack_id for one in findings],
        [one.pack.line_id for one in findings],
        [one.verdict for one in findings],
        [one.health.method for one in findings],
        [one.health.capacity_mah for one in findings],
        [one.health.lower_mah for one in findings],
        [one.health.upper_mah for one in findings],
        [one.guarantee_mah for one in findings],
        [one.health.measured_at for one in findings],
        [one.health.evidence for one in findings],
    )
    return {row["pack_id"]: row["id"] for row in rows}


LIST = """
SELECT id, pack_id, line_id, as_of, verdict, method, capacity_mah, lower_mah, upper_mah,
       guarantee_mah, measured_at, evidence
  FROM health_check
 WHERE pack_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, pack_id: UUID, check_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, pack_id, check_id, limit)


LATEST = """
SELECT id, pack_id, line_id, as_of, verdict, method, capacity_mah, lower_mah, upper_mah,
       guarantee_mah, measured_at, evidence
  FROM health_check
 WHERE pack_id = $1
 ORDER BY as_of DESC
 LIMIT 1
"""


async def latest(tx: Connection, pack_id: UUID) -> Record | None:
    return await tx.fetchrow(LATEST, pack_id)
