"""What sheets need of the database: rows by many keys at once, and whole exports."""

from collections.abc import Sequence
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection

# Whom a text may mean. A name counts only as the customer's; the others name any party, so that
# a recycler's credit code is told apart from one nobody has.
OWNERS = """
SELECT id::text AS said, id, kind, 1 AS preference
  FROM party
 WHERE id = ANY ($1::uuid[])
 UNION ALL
SELECT credit_code, id, kind, 2
  FROM party
 WHERE credit_code = ANY ($2::text[])
 UNION ALL
SELECT btrim(name), id, kind, 3
  FROM party
 WHERE btrim(name) = ANY ($3::text[])
"""


async def owners(
    tx: Connection, ids: Sequence[UUID], credit_codes: Sequence[str], names: Sequence[str]
) -> list[Record]:
    """`(said, id, kind, preference)`: the parties meant by ids, credit codes and names."""
    return await tx.fetch(OWNERS, ids, credit_codes, names)


SITE = """
SELECT site.id,
       site.version,
       site.party_id,
       party.name AS owner_name,
       party.credit_code AS owner_credit_code,
       site.code,
       site.name,
       site.kind,
       site.adcode,
       site.longitude,
       site.latitude,
       site.datum,
       site.site_class,
       site.load_w,
       site.required_autonomy_minutes,
       site.vin
  FROM site
  JOIN party ON party.id = site.party_id"""

FIND_SITES = f"""{SITE}
  JOIN unnest($1::uuid[]) AS given (id) ON given.id = site.id
 UNION{SITE}
  JOIN unnest($2::text[]) AS given (vin) ON given.vin = site.vin
 UNION{SITE}
  JOIN unnest($3::uuid[], $4::text[]) AS given (party_id, code)
    ON given.party_id = site.party_id
   AND given.code = site.code
"""


async def find_sites(
    tx: Connection,
    ids: Sequence[UUID] = (),
    vins: Sequence[str] = (),
    owners_and_codes: Sequence[tuple[UUID, str]] = (),
) -> list[Record]:
    owners, codes = zip(*owners_and_codes, strict=True) if owners_and_codes else ((), ())
    return await tx.fetch(FIND_SITES, ids, vins, owners, codes)


# An owner is shown by name where only one customer has it.
EXPORT_SITES = f"""
SELECT found.*,
       single.name IS NOT NULL AS owner_is_single
  FROM ({SITE}
         WHERE (site.kind = 'vehicle') = $1
           AND ($2::uuid IS NULL OR site.party_id = $2)
         ORDER BY site.id
         LIMIT $3) AS found
  LEFT JOIN (SELECT name
               FROM party
              WHERE kind = 'customer'
              GROUP BY name
             HAVING count(*) = 1) AS single
    ON single.name = found.owner_name
 ORDER BY found.id
"""


async def export_sites(
    tx: Connection, vehicles: bool, party_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(EXPORT_SITES, vehicles, party_id, limit)


PACK = """
SELECT pack.id,
       pack_code.code,
       ARRAY(SELECT earlier.code
               FROM pack_code AS earlier
              WHERE earlier.pack_id = pack.id
                AND NOT earlier.is_current
              ORDER BY earlier.code) AS original_codes,
       pack.version,
       pack.cells_in_series,
       pack.rated_voltage_mv,
       pack.rated_capacity_mah,
       pack.maker_energy_wh,
       pack.max_voltage_mv,
       pack.min_voltage_mv,
       pack.full_cell_mv,
       pack.mass_kg,
       pack.vin,
       pack.carmaker,
       pack.vehicle_model,
       pack.removed_on,
       pack.acquired_on,
       (SELECT data ->> 'from'
          FROM trace_record
         WHERE trace_record.pack_id = pack.id
           AND trace_record.kind = 'pack.acquired'
         ORDER BY sequence
         LIMIT 1) AS acquired_from
  FROM pack
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current"""

FIND_PACKS = f"""{PACK}
 WHERE pack.id = ANY ($1::uuid[])
    OR pack.id IN (SELECT any_code.pack_id
                     FROM pack_code AS any_code
                    WHERE any_code.code = ANY ($2::text[]))
"""


async def find_packs(tx: Connection, ids: Sequence[UUID], codes: Sequence[str]) -> list[Record]:
    """Packs by id and by any code they ever carried."""
    return await tx.fetch(FIND_PACKS, ids, codes)


EXPORT_PACKS = f"""{PACK}
 WHERE $1::text IS NULL
    OR pack.state = $1
 ORDER BY pack.id
 LIMIT $2
"""


async def export_packs(tx: Connection, state: str | None, limit: int) -> list[Record]:
    return await tx.fetch(EXPORT_PACKS, state, limit)
