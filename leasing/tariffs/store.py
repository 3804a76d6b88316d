"""Price plans and their versions in the database, and what their evaluation rests on."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection, fetch_for
from leasing.kit.time import midnight
from leasing.pricing.plan_model import Capacity, Facts, Outage, Stay, Tenancy
from leasing.pricing.registers import Reading
from schemas.tariffs import Component, Measure, OutageCause, PricePlanCreate, Restart

PLAN_COLUMNS = "id, code, name, name_en, currency, created_by, created_at"

INSERT_PLAN = f"""
INSERT INTO price_plan (code, name, name_en, currency, created_by, created_at)
VALUES ($1, $2, $3, $4, $5, $6)
RETURNING {PLAN_COLUMNS}
"""


async def insert_plan(tx: Connection, data: PricePlanCreate, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(INSERT_PLAN, data.code, data.name, data.name_en, data.currency, by, now)
    assert row is not None
    return row


GET_PLAN = f"""
SELECT {PLAN_COLUMNS}
  FROM price_plan
 WHERE id = $1
"""

LOCK_PLAN = f"""{GET_PLAN}
   FOR UPDATE
"""


async def get_plan(tx: Connection, plan_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_PLAN, plan_id)


async def lock_plan(tx: Connection, plan_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_PLAN, plan_id)


LIST_PLANS = f"""
SELECT {PLAN_COLUMNS}
  FROM price_plan
 WHERE id > $1
 ORDER BY id
 LIMIT $2
"""


async def plans_after(tx: Connection, plan_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_PLANS, plan_id, limit)


VERSION_COLUMNS = """id, plan_id, number, currency, valid_from, components, state, created_by,
       created_at, published_by, published_at, version"""

# The caller holds the plan, so that numbers follow each other.
INSERT_VERSION = f"""
INSERT INTO price_plan_version (plan_id, number, currency, valid_from, components, created_by,
                                created_at)
SELECT $1, 1 + coalesce((SELECT max(number) FROM price_plan_version WHERE plan_id = $1), 0),
       $2, $3, $4, $5, $6
RETURNING {VERSION_COLUMNS}
"""


async def insert_version(
    tx: Connection,
    plan_id: UUID,
    currency: str,
    valid_from: date,
    components: Sequence[Component],
    by: str,
    now: datetime,
) -> Record:
    row = await tx.fetchrow(INSERT_VERSION, plan_id, currency, valid_from, components, by, now)
    assert row is not None
    return row


GET_VERSION = f"""
SELECT {VERSION_COLUMNS}
  FROM price_plan_version
 WHERE id = $1
"""

LOCK_VERSION = f"""{GET_VERSION}
   FOR UPDATE
"""


async def get_version(tx: Connection, version_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_VERSION, version_id)


async def lock_version(tx: Connection, version_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK_VERSION, version_id)


LIST_VERSIONS = f"""
SELECT {VERSION_COLUMNS}
  FROM price_plan_version
 WHERE plan_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def versions_after(
    tx: Connection, plan_id: UUID, version_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_VERSIONS, plan_id, version_id, limit)


UPDATE_VERSION = f"""
UPDATE price_plan_version
   SET valid_from = $2,
       components = $3,
       version = version + 1
 WHERE id = $1
RETURNING {VERSION_COLUMNS}
"""


async def update_version(
    tx: Connection, version_id: UUID, valid_from: date, components: object
) -> Record:
    row = await tx.fetchrow(UPDATE_VERSION, version_id, valid_from, components)
    assert row is not None
    return row


PUBLISH = f"""
UPDATE price_plan_version
   SET state = 'published',
       published_by = $2,
       published_at = $3,
       version = version + 1
 WHERE id = $1
RETURNING {VERSION_COLUMNS}
"""


async def publish(tx: Connection, version_id: UUID, by: str, now: datetime) -> Record:
    row = await tx.fetchrow(PUBLISH, version_id, by, now)
    assert row is not None
    return row


COMPONENTS = """
SELECT id, components
  FROM price_plan_version
 WHERE id = ANY ($1::uuid[])
"""


async def components_of(tx: Connection, version_ids: Sequence[UUID]) -> dict[UUID, list[Component]]:
    """What versions charge for, in the order of each; versions that are not there are left out."""
    return {
        row["id"]: msgspec.convert(row["components"], list[Component])
        for row in await tx.fetch(COMPONENTS, version_ids)
    }


# What evaluation rests on. Each statement asks for all lines at once, so that a chunk of lines
# costs six of them, however many there are.

# The fee of a line that went to another lessee with its pack was owed by the one before.
OF_LINES = """
SELECT lease_line.id,
       contract.time_zone,
       CASE WHEN NOT EXISTS (
              SELECT FROM placement
                JOIN lease_line AS earlier ON earlier.id = placement.line_id
                JOIN acceptance ON acceptance.id = lease_line.first_acceptance_id
               WHERE earlier.contract_id = contract.transferred_from
                 AND earlier.end_reason = 'transferred'
                 AND placement.pack_id = acceptance.pack_id
                 AND upper(placement.during) = lease_line.started_on)
            THEN lease_line.started_on END AS started_on
  FROM lease_line
  JOIN contract ON contract.id = lease_line.contract_id
 WHERE lease_line.id = ANY ($1::uuid[])
"""

# Energy is what was drawn, in ampere-hours, at the rated voltage, as rated energy is: so that the
# state of health is the same by either. The last test by the first day, and those that follow.
TESTS = """
SELECT DISTINCT
       test.id,
       stay.pack_id,
       test.tested_on,
       test.capacity_mah::numeric * pack.rated_voltage_mv * 0.000001 AS usable_wh
  FROM unnest($1::uuid[], $2::date[], $3::date[]) AS stay (pack_id, from_on, to_on)
  JOIN pack ON pack.id = stay.pack_id
  JOIN LATERAL (
         (SELECT id, tested_on, capacity_mah
            FROM capacity_test
           WHERE pack_id = stay.pack_id
             AND capacity_mah IS NOT NULL
             AND tested_on <= stay.from_on
           ORDER BY tested_on DESC, id DESC
           LIMIT 1)
          UNION ALL
         SELECT id, tested_on, capacity_mah
           FROM capacity_test
          WHERE pack_id = stay.pack_id
            AND capacity_mah IS NOT NULL
            AND tested_on > stay.from_on
            AND tested_on < stay.to_on
          UNION ALL
         (SELECT id, accepted_on, tested_capacity_mah
            FROM acceptance
           WHERE pack_id = stay.pack_id
             AND accepted_on <= stay.from_on
           ORDER BY accepted_on DESC, id DESC
           LIMIT 1)
          UNION ALL
         SELECT id, accepted_on, tested_capacity_mah
           FROM acceptance
          WHERE pack_id = stay.pack_id
            AND accepted_on > stay.from_on
            AND accepted_on < stay.to_on) AS test ON true
"""

# With the neighbours of both ends of a stay, between which the register is read.
READINGS = """
SELECT DISTINCT
       reading.id,
       stay.pack_id,
       wanted.measure,
       reading.at,
       reading.register_value,
       reading.restart,
       reading.register_max
  FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS stay (pack_id, from_at, to_at)
 CROSS JOIN unnest($4::text[]) AS wanted (measure)
  JOIN LATERAL (
         (SELECT *
            FROM meter_reading
           WHERE meter_reading.pack_id = stay.pack_id
             AND meter_reading.measure = wanted.measure
             AND at <= stay.from_at
             AND is_current
             AND NOT is_void
           ORDER BY at DESC
           LIMIT 1)
          UNION ALL
         SELECT *
           FROM meter_reading
          WHERE meter_reading.pack_id = stay.pack_id
            AND meter_reading.measure = wanted.measure
            AND at > stay.from_at
            AND at < stay.to_at
            AND is_current
            AND NOT is_void
          UNION ALL
         (SELECT *
            FROM meter_reading
           WHERE meter_reading.pack_id = stay.pack_id
             AND meter_reading.measure = wanted.measure
             AND at >= stay.to_at
             AND is_current
             AND NOT is_void
           ORDER BY at
           LIMIT 1)) AS reading ON true
"""

OUTAGES = """
SELECT stay.line_id, outage.id, outage.site_id, lower(during) AS from_at, upper(during) AS to_at,
       cause
  FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
       AS stay (line_id, site_id, from_at, to_at)
  JOIN outage
    ON outage.site_id = stay.site_id
   AND during && tstzrange(stay.from_at, stay.to_at)
 WHERE is_current
   AND NOT is_void
 UNION
SELECT stay.line_id, outage.id, NULL, lower(during), upper(during), cause
  FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[])
       AS stay (line_id, site_id, from_at, to_at)
  JOIN outage
    ON outage.line_id = stay.line_id
   AND during && tstzrange(stay.from_at, stay.to_at)
 WHERE is_current
   AND NOT is_void
"""

TENANCIES = """
SELECT DISTINCT
       site_tenancy.id,
       stay.site_id,
       lower(during) AS from_on,
       upper(during) AS to_on,
       tenants,
       is_anchor
  FROM unnest($1::uuid[], $2::date[], $3::date[]) AS stay (site_id, from_on, to_on)
  JOIN site_tenancy
    ON site_tenancy.site_id = stay.site_id
   AND during && daterange(stay.from_on, stay.to_on)
 WHERE is_current
   AND NOT is_void
"""

ADCODES = """
SELECT id, adcode
  FROM site
 WHERE id = ANY ($1::uuid[])
"""


async def facts_for(tx: Connection, lines: Mapping[UUID, Sequence[Stay]]) -> dict[UUID, Facts]:
    """All that `pricing.plans.evaluate` has to know of lines, given their stays in the period that
    is priced; periods may differ from line to line."""
    rows = {row["id"]: row for row in await tx.fetch(OF_LINES, list(lines))}
    stays = [(line_id, stay) for line_id, known in lines.items() for stay in known]
    zones = [rows[line_id]["time_zone"] for line_id, _ in stays]
    packs = [stay.pack_id for _, stay in stays]
    sites = [stay.site_id for _, stay in stays]
    first_days, last_days = [stay.from_on for _, stay in stays], [stay.to_on for _, stay in stays]
    starts = [midnight(on, zone) for on, zone in zip(first_days, zones, strict=True)]
    ends = [midnight(on, zone) for on, zone in zip(last_days, zones, strict=True)]
    tests: dict[UUID, list[Capacity]] = defaultdict(list)
    for row in await fetch_for(tx, len(stays), TESTS, packs, first_days, last_days):
        tests[row["pack_id"]].append(Capacity(row["id"], row["tested_on"], row["usable_wh"]))
    readings: dict[tuple[UUID, Measure], list[Reading]] = defaultdict(list)
    for row in await fetch_for(tx, len(stays), READINGS, packs, starts, ends, list(Measure)):
        readings[row["pack_id"], Measure(row["measure"])].append(
            Reading(
                row["id"],
                row["at"],
                row["register_value"],
                Restart(row["restart"]),
                row["register_max"],
            )
        )
    outages: dict[UUID, list[Outage]] = defaultdict(list)
    ids = [line_id for line_id, _ in stays]
    for row in await fetch_for(tx, len(stays), OUTAGES, ids, sites, starts, ends):
        cause = OutageCause(row["cause"])
        outages[row["line_id"]].append(
            Outage(row["id"], row["from_at"], row["to_at"], cause, row["site_id"])
        )
    tenancies: dict[UUID, list[Tenancy]] = defaultdict(list)
    for row in await fetch_for(tx, len(stays), TENANCIES, sites, first_days, last_days):
        tenancies[row["site_id"]].append(
            Tenancy(row["id"], row["from_on"], row["to_on"], row["tenants"], row["is_anchor"])
        )
    adcodes = {row["id"]: row["adcode"] for row in await tx.fetch(ADCODES, sites)}
    return {
        line_id: Facts(
            tests={stay.pack_id: tests.get(stay.pack_id, []) for stay in known},
            readings={
                (stay.pack_id, measure): readings.get((stay.pack_id, measure), [])
                for stay in known
                for measure in Measure
            },
            outages=outages.get(line_id, []),
            tenancies={stay.site_id: tenancies.get(stay.site_id, []) for stay in known},
            adcodes={stay.site_id: adcodes[stay.site_id] for stay in known},
            started_on=rows[line_id]["started_on"],
            time_zone=rows[line_id]["time_zone"],
        )
        for line_id, known in lines.items()
    }
