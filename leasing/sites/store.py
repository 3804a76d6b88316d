"""Sites in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.sites import SiteCreate

COLUMNS = """id, party_id, code, name, kind, adcode, longitude, latitude, datum, site_class, load_w,
       required_autonomy_minutes, vin, version, created_at"""

INSERT = """
INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, site_class,
                  load_w, required_autonomy_minutes, vin, created_at)
SELECT party_id, code, name, kind, adcode, longitude, latitude, datum, site_class,
       load_w, required_autonomy_minutes, vin, $13
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[],
              $7::float8[], $8::text[], $9::text[], $10::int[], $11::int[], $12::text[])
       WITH ORDINALITY
       AS given (party_id, code, name, kind, adcode, longitude, latitude, datum, site_class,
                 load_w, required_autonomy_minutes, vin, position)
 ORDER BY position
RETURNING id
"""


async def insert(tx: Connection, sites: Sequence[SiteCreate], now: datetime) -> list[UUID]:
    """Insert sites; their ids come back in the same order."""
    rows = await tx.fetch(
        INSERT,
        [site.party_id for site in sites],
        [site.code for site in sites],
        [site.name for site in sites],
        [site.kind for site in sites],
        [site.adcode for site in sites],
        [site.longitude for site in sites],
        [site.latitude for site in sites],
        [site.datum for site in sites],
        [site.site_class for site in sites],
        [site.load_w for site in sites],
        [site.required_autonomy_minutes for site in sites],
        [site.vin for site in sites],
        now,
    )
    return [row["id"] for row in rows]


GET = f"""
SELECT {COLUMNS}
  FROM site
 WHERE id = $1
"""


async def get(tx: Connection, site_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, site_id)


LIST = f"""
SELECT {COLUMNS}
  FROM site
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(tx: Connection, site_id: UUID, party_id: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(LIST, site_id, party_id, limit)


LOCK = f"""
SELECT {COLUMNS}
  FROM site
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""


async def lock(tx: Connection, site_ids: Sequence[UUID]) -> list[Record]:
    """Lock sites, always in the same order, so that two who lock several do not block each
    other."""
    return await tx.fetch(LOCK, site_ids)


UPDATE = """
UPDATE site
   SET name = given.name,
       adcode = given.adcode,
       longitude = given.longitude,
       latitude = given.latitude,
       datum = given.datum,
       site_class = given.site_class,
       load_w = given.load_w,
       required_autonomy_minutes = given.required_autonomy_minutes,
       version = version + 1
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::float8[], $5::float8[], $6::text[],
              $7::text[], $8::int[], $9::int[])
       AS given (id, name, adcode, longitude, latitude, datum, site_class, load_w,
                 required_autonomy_minutes)
 WHERE site.id = given.id
"""

EDITABLE = (
    "name",
    "adcode",
    "longitude",
    "latitude",
    "datum",
    "site_class",
    "load_w",
    "required_autonomy_minutes",
)


async def update(tx: Connection, sites: Mapping[UUID, Mapping[str, object]]) -> None:
    """Set every editable field of sites."""
    columns = [[values[field] for values in sites.values()] for field in EDITABLE]
    await tx.execute(UPDATE, list(sites), *columns)


# The sites that a new lessee has of the same code already are left as they are.
LEAVE = """
UPDATE site
   SET left_on = $2
 WHERE id = ANY ($1::uuid[])
   AND kind = 'vehicle'
"""

COPY = """
INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, site_class,
                  load_w, required_autonomy_minutes, vin, created_at)
SELECT $2, code, name, kind, adcode, longitude, latitude, datum, site_class, load_w,
       required_autonomy_minutes, vin, $3
  FROM site
 WHERE id = ANY ($1::uuid[])
    ON CONFLICT (party_id, code) DO NOTHING
RETURNING id, code, adcode
"""


async def copy(
    tx: Connection, site_ids: Sequence[UUID], party_id: UUID, on: date, now: datetime
) -> list[Record]:
    """Give another customer sites of the same codes; returns those it did not have. A vehicle
    leaves the one it was with."""
    await tx.execute(LEAVE, site_ids, on)
    return await tx.fetch(COPY, site_ids, party_id, now)
