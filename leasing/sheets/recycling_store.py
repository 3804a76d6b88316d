"""What sheets of outlets and prices need of the database."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection

OUTLET = """
SELECT outlet.id,
       outlet.version,
       outlet.code,
       outlet.name_zh,
       outlet.name_en,
       outlet.kind,
       outlet.adcode,
       outlet.longitude,
       outlet.latitude,
       outlet.recycler_id,
       party.name AS recycler_name,
       party.credit_code,
       outlet.chemistries,
       outlet.hazards,
       outlet.store_limit_kg,
       outlet.store_days,
       outlet.address,
       outlet.contact_name,
       outlet.contact_phone,
       outlet.opening_hours
  FROM outlet
  JOIN party ON party.id = outlet.recycler_id"""

FIND_OUTLETS = f"""{OUTLET}
 WHERE outlet.id = ANY ($1::uuid[])
    OR outlet.code = ANY ($2::text[])
"""


async def find_outlets(tx: Connection, ids: Sequence[UUID], codes: Sequence[str]) -> list[Record]:
    return await tx.fetch(FIND_OUTLETS, ids, codes)


EXPORT_OUTLETS = f"""{OUTLET}
 WHERE $1::uuid IS NULL
    OR outlet.recycler_id = $1
 ORDER BY outlet.id
 LIMIT $2
"""


async def export_outlets(tx: Connection, recycler_id: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(EXPORT_OUTLETS, recycler_id, limit)


OFFER = """
SELECT scrap_offer.id,
       scrap_offer.recycler_id,
       party.name AS recycler_name,
       party.credit_code,
       scrap_offer.chemistry,
       scrap_offer.disposition,
       lower(scrap_offer.valid) AS valid_from,
       upper(scrap_offer.valid) AS valid_to,
       scrap_offer.cny_per_kg,
       scrap_offer.material_cny_per_kg,
       scrap_offer.source
  FROM scrap_offer
  JOIN party ON party.id = scrap_offer.recycler_id"""

FIND_OFFERS = f"""{OFFER}
 WHERE scrap_offer.recycler_id = ANY ($1::uuid[])
"""


async def find_offers(tx: Connection, recycler_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(FIND_OFFERS, recycler_ids)


EXPORT_OFFERS = f"""{OFFER}
 WHERE $1::uuid IS NULL
    OR scrap_offer.recycler_id = $1
 ORDER BY scrap_offer.id
 LIMIT $2
"""


async def export_offers(tx: Connection, recycler_id: UUID | None, limit: int) -> list[Record]:
    return await tx.fetch(EXPORT_OFFERS, recycler_id, limit)
