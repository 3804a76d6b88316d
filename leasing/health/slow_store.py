"""What the slow alarms rest on, in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.health.estimators.standby import Drift
from leasing.kit.rows import convert_all


class Standing(msgspec.Struct, frozen=True):
    """A pack that was neither charged nor discharged for long, and since when."""

    pack_id: UUID
    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    charged_at: datetime


PREVIOUS = """
SELECT DISTINCT ON (pack_id) pack_id, capacity_mah
  FROM health_check
 WHERE pack_id = ANY ($1::uuid[])
   AND as_of < $2
   AND capacity_mah IS NOT NULL
 ORDER BY pack_id, as_of DESC
"""


async def previous(tx: Connection, pack_ids: Sequence[UUID], before: date) -> dict[UUID, int]:
    """The last capacity that was published before a day."""
    rows = await tx.fetch(PREVIOUS, pack_ids, before)
    return {row["pack_id"]: row["capacity_mah"] for row in rows}


OPEN_LIMITS = """
SELECT pack_id, (evidence ->> 'limit')::float8 AS limit_value
  FROM alarm
 WHERE pack_id = ANY ($1::uuid[])
   AND kind = $2
   AND state <> 'closed'
"""


async def open_limits(tx: Connection, pack_ids: Sequence[UUID], kind: str) -> dict[UUID, float]:
    """What the open alarms of a kind were held against."""
    rows = await tx.fetch(OPEN_LIMITS, pack_ids, kind)
    return {row["pack_id"]: row["limit_value"] for row in rows}


# Those whose slope was found lately are passed over.
STANDING = """
SELECT pack.id AS pack_id, chemistry, cells_in_series, rated_capacity_mah, last.charged_at
  FROM pack
 CROSS JOIN LATERAL (
       SELECT max(ended_at) AS charged_at
         FROM pack_session
        WHERE pack_session.pack_id = pack.id
          AND started_at >= $2) AS last
 WHERE pack.id = ANY ($1::uuid[])
   AND last.charged_at < $3
   AND NOT EXISTS (
       SELECT FROM standby_slope
        WHERE standby_slope.pack_id = pack.id
          AND found_on > $4)
 ORDER BY pack.id
"""


async def standing(
    tx: Connection, pack_ids: Sequence[UUID], oldest: datetime, before: datetime, found_after: date
) -> list[Standing]:
    rows = await tx.fetch(STANDING, pack_ids, oldest, before, found_after)
    return convert_all(rows, Standing)


REST_HOURS = """
SELECT hour_at, coalesce(cell_mv_mean, 1000 * voltage_v_mean / $4)::float8 AS cell_mv
  FROM reading_hour
 WHERE pack_id = $1
   AND hour_at >= $2
   AND hour_at < $3
   AND greatest(abs(current_a_min), abs(current_a_max)) < $5
   AND coalesce(cell_mv_mean, voltage_v_mean) IS NOT NULL
 ORDER BY hour_at
"""
REST_C = 0.02


async def rest_hours(
    tx: Connection, one: Standing, before: datetime
) -> list[tuple[datetime, float]]:
    """Millivolts of a pack's mean cell in the hours in which it rested."""
    rest_a = max(REST_C * one.rated_capacity_mah / 1000, 1.0)
    rows = await tx.fetch(
        REST_HOURS, one.pack_id, one.charged_at, before, one.cells_in_series, rest_a
    )
    return [(row["hour_at"], row["cell_mv"]) for row in rows]


PUT_SLOPE = """
INSERT INTO standby_slope (pack_id, chemistry, found_on, mv_per_day, lower_mv, upper_mv, days)
VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (pack_id) DO UPDATE
   SET found_on = excluded.found_on,
       mv_per_day = excluded.mv_per_day,
       lower_mv = excluded.lower_mv,
       upper_mv = excluded.upper_mv,
       days = excluded.days
"""


async def put_slope(tx: Connection, one: Standing, found: Drift, on: date) -> None:
    await tx.execute(
        PUT_SLOPE,
        one.pack_id,
        one.chemistry,
        on,
        found.mv_per_day,
        found.lower,
        found.upper,
        found.days,
    )


FLEET = """
SELECT chemistry, percentile_cont(0.5) WITHIN GROUP (ORDER BY mv_per_day) AS median
  FROM standby_slope
 GROUP BY chemistry
HAVING count(*) >= $1
"""


async def fleet(tx: Connection, least: int) -> dict[str, float]:
    """The median slope of each chemistry of which enough packs stand."""
    rows = await tx.fetch(FLEET, least)
    return {row["chemistry"]: row["median"] for row in rows}
