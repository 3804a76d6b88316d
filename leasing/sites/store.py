"""Sites in the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
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
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, site_id: UUID) -> Record | None:
    return await tx.fetchrow(LOCK, site_id)


UPDATE = """
UPDATE site
   SET name = $2,
       adcode = $3,
       longitude = $4,
       latitude = $5,
       datum = $6,
       site_class = $7,
       load_w = $8,
       required_autonomy_minutes = $9,
       version = version + 1
 WHERE id = $1
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


async def update(tx: Connection, site_id: UUID, values: Mapping[str, object]) -> None:
    """Set every editable field of a site."""
    await tx.execute(UPDATE, site_id, *[values[field] for field in EDITABLE])
