"""What is known of packs from measurement to measurement, in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.health.smoothing import RANK, TEST_PERCENT, Known, Measurement, Source, Step
from leasing.kit.time import midnight

# Tests to the end, by whoever made them. A battery's own day begins at midnight of ours.
TESTS = """
SELECT pack_id, tested_on AS "on", id, capacity_mah,
       CASE WHEN method IN ('gbt34015', 'site_check_discharge') THEN 'standard_test'
            ELSE 'other_test' END AS source
  FROM capacity_test
 WHERE pack_id = ANY ($1::uuid[])
   AND capacity_mah IS NOT NULL
   AND tested_on < $2
UNION ALL
SELECT pack_id, accepted_on, id, tested_capacity_mah, 'joint_test'
  FROM acceptance
 WHERE pack_id = ANY ($1::uuid[])
   AND accepted_on < $2
"""


async def tests(
    tx: Connection, pack_ids: Sequence[UUID], before: date
) -> dict[UUID, list[Measurement]]:
    """Capacities that were tested before a day: joint tests at hand-over, and reports of tests
    that went to the end."""
    found: dict[UUID, list[Measurement]] = {pack_id: [] for pack_id in pack_ids}
    for row in await tx.fetch(TESTS, pack_ids, before):
        source = Source(row["source"])
        found[row["pack_id"]].append(
            Measurement(
                at=midnight(row["on"]),
                source=source,
                ref=str(row["id"]),
                capacity_mah=float(row["capacity_mah"]),
                own_percent=TEST_PERCENT[source],
            )
        )
    return found


TEST_REFS = """
SELECT pack_id, ref
  FROM health_state
 WHERE pack_id = ANY ($1::uuid[])
   AND source IN ('joint_test', 'other_test', 'standard_test')
"""


async def test_refs(tx: Connection, pack_ids: Sequence[UUID]) -> dict[UUID, set[str]]:
    """The tests that were taken into account."""
    found: dict[UUID, set[str]] = {pack_id: set() for pack_id in pack_ids}
    for row in await tx.fetch(TEST_REFS, pack_ids):
        found[row["pack_id"]].add(row["ref"])
    return found


LAST_BEFORE = """
SELECT asked.pack_id, at, mean, covariance
  FROM unnest($1::uuid[], $2::timestamptz[]) AS asked (pack_id, from_at)
 CROSS JOIN LATERAL (
       SELECT at, mean, covariance
         FROM health_state
        WHERE health_state.pack_id = asked.pack_id
          AND at < asked.from_at
        ORDER BY at DESC, rank DESC, ref DESC
        LIMIT 1) AS last
"""


async def last_before(tx: Connection, from_ats: Mapping[UUID, datetime]) -> dict[UUID, Known]:
    """What was known of packs before an instant of each."""
    rows = await tx.fetch(LAST_BEFORE, list(from_ats), list(from_ats.values()))
    return {row["pack_id"]: Known(row["at"], row["mean"], row["covariance"]) for row in rows}


TAKE_BACK = """
DELETE FROM health_state
 USING unnest($1::uuid[], $2::timestamptz[]) AS asked (pack_id, from_at)
 WHERE health_state.pack_id = asked.pack_id
   AND at >= asked.from_at
RETURNING health_state.pack_id, at, source, ref, capacity_mah, own_percent, sensor_percent,
          count_percent
"""


async def take_back(
    tx: Connection, from_ats: Mapping[UUID, datetime]
) -> dict[UUID, list[Measurement]]:
    """Remove the states of packs from an instant of each on; what had been measured."""
    found: dict[UUID, list[Measurement]] = {pack_id: [] for pack_id in from_ats}
    for row in await tx.fetch(TAKE_BACK, list(from_ats), list(from_ats.values())):
        found[row["pack_id"]].append(measurement(row))
    return found


def measurement(row: Record) -> Measurement:
    names = Measurement.__struct_fields__
    return msgspec.convert({name: row[name] for name in names}, Measurement)


COLUMNS = (
    "pack_id",
    "at",
    "rank",
    "source",
    "ref",
    "capacity_mah",
    "own_percent",
    "sensor_percent",
    "count_percent",
    "mean",
    "covariance",
)


async def keep(tx: Connection, steps: Mapping[UUID, Sequence[Step]]) -> None:
    """Store what was known after each measurement."""
    rows = [
        (
            pack_id,
            step.measurement.at,
            RANK[step.measurement.source],
            step.measurement.source.value,
            step.measurement.ref,
            step.measurement.capacity_mah,
            step.measurement.own_percent,
            step.measurement.sensor_percent,
            step.measurement.count_percent,
            step.known.mean,
            step.known.covariance,
        )
        for pack_id, taken in steps.items()
        for step in taken
    ]
    if rows:
        await tx.copy_records_to_table("health_state", records=rows, columns=COLUMNS)
