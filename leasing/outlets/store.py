"""Outlets in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from asyncpg import Range, Record

from leasing.db.pool import Connection
from leasing.outlets.generator import Network
from schemas.outlets import LimitCreate, OutletCreate, OutletDutyCreate, OutletKind

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


# --- One outlet -------------------------------------------------------------------------------

# What may still be reserved today: nothing at an outlet that is closed, or over its limit.
FREE_KG = """CASE WHEN outlet.closed_from <= {today} THEN 0
            ELSE greatest(0, store_limit_kg - stock_kg - reserved_kg - in_transit_kg)
       END"""

VIEW = f"""outlet.id, code, name_zh, name_en, kind, adcode, longitude, latitude, address,
       contact_name, contact_phone, opening_hours, recycler_id, chemistries, hazards,
       store_limit_kg, store_days, stock_kg, reserved_kg, in_transit_kg,
       {FREE_KG.format(today="$1::date")} AS free_kg,
       greatest(0, stock_kg + reserved_kg + in_transit_kg - store_limit_kg) AS over_limit_kg,
       closed_from, closing_reason, generated, version"""

GET = f"""
SELECT {VIEW}
  FROM outlet
 WHERE id = $2
"""


async def get(tx: Connection, outlet_id: UUID, today: date) -> Record | None:
    return await tx.fetchrow(GET, today, outlet_id)


LOCK = """
SELECT id, code, name_zh, name_en, kind, adcode, longitude, latitude, address, contact_name,
       contact_phone, opening_hours, recycler_id, chemistries, hazards, store_limit_kg, closed_from,
       version
  FROM outlet
 WHERE id = $1
   FOR NO KEY UPDATE
"""


async def lock(tx: Connection, outlet_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, outlet_id)


# Lists cannot be rows of an array of arrays of unequal length, so they travel as JSON.
INSERT = """
INSERT INTO outlet (code, name_zh, name_en, kind, adcode, longitude, latitude, recycler_id,
                    chemistries, hazards, store_limit_kg, store_days, address, contact_name,
                    contact_phone, opening_hours)
SELECT given.code, given.name_zh, given.name_en, given.kind, given.adcode, given.longitude,
       given.latitude, given.recycler_id, given.chemistries, given.hazards, given.store_limit_kg,
       given.store_days, given.address, given.contact_name, given.contact_phone,
       given.opening_hours
  FROM jsonb_to_recordset($1) AS given (
         position integer, code text, name_zh text, name_en text, kind text, adcode text,
         longitude double precision, latitude double precision, recycler_id uuid,
         chemistries text[], hazards text[], store_limit_kg integer, store_days integer,
         address text, contact_name text, contact_phone text, opening_hours text)
 ORDER BY given.position
RETURNING id, code
"""


async def insert(
    tx: Connection, outlets: Sequence[OutletCreate], limits_kg: Sequence[int]
) -> dict[str, UUID]:
    """Enter outlets; returns their ids by code."""
    given = [
        {
            "position": position,
            "code": one.code,
            "name_zh": one.name_zh,
            "name_en": one.name_en,
            "kind": one.kind,
            "adcode": one.adcode,
            "longitude": one.longitude,
            "latitude": one.latitude,
            "recycler_id": one.recycler_id,
            "chemistries": one.chemistries,
            "hazards": one.hazards,
            "store_limit_kg": limit_kg,
            "store_days": one.store_days,
            "address": one.address,
            "contact_name": one.contact_name,
            "contact_phone": one.contact_phone,
            "opening_hours": one.opening_hours,
        }
        for position, (one, limit_kg) in enumerate(zip(outlets, limits_kg, strict=True))
    ]
    return {row["code"]: row["id"] for row in await tx.fetch(INSERT, given)}


UPDATE = """
UPDATE outlet
   SET name_zh = $2,
       name_en = $3,
       adcode = $4,
       longitude = $5,
       latitude = $6,
       chemistries = $7,
       hazards = $8,
       address = $9,
       contact_name = $10,
       contact_phone = $11,
       opening_hours = $12,
       version = version + 1
 WHERE id = $1
"""

EDITABLE = (
    "name_zh",
    "name_en",
    "adcode",
    "longitude",
    "latitude",
    "chemistries",
    "hazards",
    "address",
    "contact_name",
    "contact_phone",
    "opening_hours",
)


async def update(tx: Connection, outlet_id: UUID, values: Mapping[str, object]) -> None:
    """Set every editable field of an outlet."""
    await tx.execute(UPDATE, outlet_id, *[values[field] for field in EDITABLE])


CLOSE = """
UPDATE outlet
   SET closed_from = $2,
       closing_reason = $3,
       version = version + 1
 WHERE id = $1
"""


async def close(tx: Connection, outlet_id: UUID, closed_from: date, reason: str) -> None:
    await tx.execute(CLOSE, outlet_id, closed_from, reason)


OPEN_ROUTINGS = """
SELECT count(*) AS open_routings,
       coalesce(sum(mass_kg), 0)::bigint AS open_kg
  FROM routing
 WHERE outlet_id = $1
   AND state = 'reserved'
   AND hand_over_on >= $2
"""


async def open_routings(tx: Connection, outlet_id: UUID, from_on: date) -> Record:
    """What is reserved at an outlet and to be handed over on a day or later."""
    row = await tx.fetchrow(OPEN_ROUTINGS, outlet_id, from_on)
    assert row is not None
    return row


# --- Lists ------------------------------------------------------------------------------------

LIST = f"""
SELECT {VIEW}
  FROM outlet
 WHERE id > $2
   AND ($3::text IS NULL OR adcode = $3)
   AND ($4::text IS NULL OR kind = $4)
   AND ($5::uuid IS NULL OR recycler_id = $5)
   AND ($6::boolean IS NULL OR generated = $6)
   AND ($7::uuid IS NULL OR EXISTS (
         SELECT FROM outlet_duty
          WHERE outlet_id = outlet.id
            AND party_id = $7
            AND valid @> $1::date))
 ORDER BY id
 LIMIT $8
"""


async def after(
    tx: Connection,
    outlet_id: UUID,
    limit: int,
    *,
    today: date,
    adcode: str | None,
    kind: OutletKind | None,
    recycler_id: UUID | None,
    generated: bool | None,
    duty_of: UUID | None,
) -> list[Record]:
    return await tx.fetch(
        LIST, today, outlet_id, adcode, kind, recycler_id, generated, duty_of, limit
    )


DIRECTORY = """
SELECT id, code, name_zh, name_en, kind, adcode, longitude, latitude, address, opening_hours,
       generated
  FROM outlet
 WHERE id > $1
   AND ($2::text IS NULL OR adcode = $2)
   AND (closed_from IS NULL OR closed_from > $3)
 ORDER BY id
 LIMIT $4
"""


async def directory(
    tx: Connection, outlet_id: UUID, adcode: str | None, today: date, limit: int
) -> list[Record]:
    """What anybody may know of outlets that are open."""
    return await tx.fetch(DIRECTORY, outlet_id, adcode, today, limit)


# --- Limits by date ---------------------------------------------------------------------------

ADD_LIMIT = """
INSERT INTO outlet_limit (outlet_id, valid_from, limit_kg, store_days, document, entered_by,
                          entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
"""


async def add_limit(
    tx: Connection, outlet_id: UUID, data: LimitCreate, by: str, now: datetime
) -> UUID:
    added: UUID = await tx.fetchval(
        ADD_LIMIT,
        outlet_id,
        data.valid_from,
        data.limit_kg,
        data.store_days,
        data.document,
        by,
        now,
    )
    return added


# The limit of a day is the one entered last for the latest first day up to it.
LIMITS = """
SELECT id, outlet_id, valid_from, limit_kg, store_days, document, entered_by, entered_at,
       id = (SELECT newest.id
               FROM outlet_limit AS newest
              WHERE newest.outlet_id = outlet_limit.outlet_id
                AND newest.valid_from <= $2
              ORDER BY newest.valid_from DESC, newest.id DESC
              LIMIT 1) IS TRUE AS in_force,
       EXISTS (
         SELECT FROM outlet_limit AS later
          WHERE later.outlet_id = outlet_limit.outlet_id
            AND later.valid_from = outlet_limit.valid_from
            AND later.id > outlet_limit.id) AS superseded
  FROM outlet_limit
 WHERE outlet_id = $1
   AND id > $3
 ORDER BY id
 LIMIT $4
"""


async def limits(
    tx: Connection, outlet_id: UUID, today: date, after_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(LIMITS, outlet_id, today, after_id, limit)


# In the order of ids, as reservations do, so that nobody waits in a circle.
CARRY_OVER = """
WITH in_force AS (
  SELECT DISTINCT ON (outlet_id) outlet_id, limit_kg, store_days
    FROM outlet_limit
   WHERE valid_from <= $1
     AND ($2::uuid IS NULL OR outlet_id = $2)
   ORDER BY outlet_id, valid_from DESC, id DESC
),
differing AS (
  SELECT outlet.id, in_force.limit_kg, in_force.store_days
    FROM outlet
    JOIN in_force ON in_force.outlet_id = outlet.id
   WHERE (outlet.store_limit_kg, outlet.store_days)
         IS DISTINCT FROM (in_force.limit_kg, in_force.store_days)
   ORDER BY outlet.id
   LIMIT $3
     FOR NO KEY UPDATE OF outlet
)
UPDATE outlet
   SET store_limit_kg = differing.limit_kg,
       store_days = differing.store_days
  FROM differing
 WHERE outlet.id = differing.id
RETURNING outlet.id, outlet.store_limit_kg,
          greatest(0, stock_kg + reserved_kg + in_transit_kg - store_limit_kg) AS over_limit_kg
"""


async def carry_over(
    tx: Connection, today: date, outlet_id: UUID | None, limit: int
) -> list[Record]:
    """Give outlets the limits that are in force today; returns those that got another one."""
    return await tx.fetch(CARRY_OVER, today, outlet_id, limit)


# --- Duties -----------------------------------------------------------------------------------

DUTY = """outlet_duty.id, outlet_id, party_id, role,
       CASE role WHEN 'carmaker' THEN outlet.adcode ELSE prefecture.province_adcode END AS area,
       lower(valid) AS valid_from, upper(valid) AS valid_to, document"""

DUTIES_OF = """JOIN outlet ON outlet.id = outlet_duty.outlet_id
  JOIN prefecture ON prefecture.adcode = outlet.adcode"""

PLAYS = """
SELECT EXISTS (
  SELECT FROM party_role
   WHERE party_id = $1
     AND role = $2
     AND valid @> $3::date)
"""


async def plays(tx: Connection, party_id: UUID, role: str, on: date) -> bool:
    found: bool = await tx.fetchval(PLAYS, party_id, role, on)
    return found


ADD_DUTY = """
INSERT INTO outlet_duty (outlet_id, party_id, role, valid, document)
VALUES ($1, $2, $3, daterange($4, $5), $6)
RETURNING id
"""


async def add_duty(tx: Connection, outlet_id: UUID, data: OutletDutyCreate) -> UUID:
    added: UUID = await tx.fetchval(
        ADD_DUTY,
        outlet_id,
        data.party_id,
        data.role,
        data.valid_from,
        data.valid_to,
        data.document,
    )
    return added


END_DUTY = """
UPDATE outlet_duty
   SET valid = daterange(lower(valid), $2)
 WHERE id = $1
   AND lower(valid) < $2
   AND (upper_inf(valid) OR upper(valid) >= $2)
"""


async def end_duty(tx: Connection, duty_id: UUID, ended_on: date) -> bool:
    return await tx.execute(END_DUTY, duty_id, ended_on) == "UPDATE 1"


GET_DUTY = f"""
SELECT {DUTY}
  FROM outlet_duty
  {DUTIES_OF}
 WHERE outlet_duty.id = $1
   AND outlet_id = $2
"""


async def duty(tx: Connection, duty_id: UUID, outlet_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_DUTY, duty_id, outlet_id)


LIST_DUTIES = f"""
SELECT {DUTY}
  FROM outlet_duty
  {DUTIES_OF}
 WHERE outlet_id = $1
   AND outlet_duty.id > $2
   AND ($3::date IS NULL OR valid @> $3::date)
 ORDER BY outlet_duty.id
 LIMIT $4
"""


async def duties(
    tx: Connection, outlet_id: UUID, after_id: UUID, as_of: date | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_DUTIES, outlet_id, after_id, as_of, limit)


# --- Coverage ---------------------------------------------------------------------------------

COVERAGE = f"""
SELECT count(*) AS outlets,
       count(*) FILTER (WHERE outlet.kind = 'collecting') AS collecting,
       count(*) FILTER (WHERE outlet.kind = 'concentrated') AS concentrated,
       count(DISTINCT outlet.adcode) AS prefectures,
       count(DISTINCT prefecture.province_adcode) AS provinces,
       count(DISTINCT outlet.recycler_id) AS recyclers,
       count(*) FILTER (WHERE generated) AS generated,
       coalesce(sum(store_limit_kg), 0)::bigint AS store_limit_kg,
       coalesce(sum(stock_kg), 0)::bigint AS stock_kg,
       coalesce(sum(reserved_kg), 0)::bigint AS reserved_kg,
       coalesce(sum(in_transit_kg), 0)::bigint AS in_transit_kg,
       coalesce(sum({FREE_KG.format(today="$1::date")}), 0)::bigint AS free_kg,
       count(DISTINCT outlet.adcode) FILTER (WHERE generated) AS generated_prefectures,
       count(DISTINCT prefecture.province_adcode) FILTER (WHERE generated) AS generated_provinces,
       count(*) FILTER (WHERE NOT generated) AS real,
       count(DISTINCT outlet.adcode) FILTER (WHERE NOT generated) AS real_prefectures,
       count(DISTINCT prefecture.province_adcode) FILTER (WHERE NOT generated) AS real_provinces,
       (SELECT count(*) FROM outlet AS gone WHERE gone.closed_from <= $1) AS closed
  FROM outlet
  JOIN prefecture ON prefecture.adcode = outlet.adcode
 WHERE outlet.closed_from IS NULL
    OR outlet.closed_from > $1
"""


async def coverage(tx: Connection, today: date) -> dict[str, Any]:
    row = await tx.fetchrow(COVERAGE, today)
    assert row is not None
    return dict(row)


BY_PROVINCE = f"""
SELECT prefecture.province_adcode,
       prefecture.province_zh,
       prefecture.province_en,
       count(*) AS outlets,
       count(DISTINCT outlet.adcode) AS prefectures,
       count(*) FILTER (WHERE generated) AS generated,
       count(*) FILTER (WHERE NOT generated) AS real,
       sum(store_limit_kg)::bigint AS store_limit_kg,
       sum({FREE_KG.format(today="$1::date")})::bigint AS free_kg
  FROM outlet
  JOIN prefecture ON prefecture.adcode = outlet.adcode
 WHERE outlet.closed_from IS NULL
    OR outlet.closed_from > $1
 GROUP BY prefecture.province_adcode, prefecture.province_zh, prefecture.province_en
 ORDER BY prefecture.province_adcode
"""


async def by_province(tx: Connection, today: date) -> list[Record]:
    return await tx.fetch(BY_PROVINCE, today)
