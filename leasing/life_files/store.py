"""A pack's life in the database, and keys that sign."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection

# The pack that carries a code, before one that carried it once.
BY_CODE = """
SELECT pack_id
  FROM pack_code
 WHERE code = $1
 ORDER BY is_current DESC, is_printed DESC, upper(valid) DESC NULLS FIRST, pack_id
 LIMIT 1
"""


async def by_code(tx: Connection, code: str) -> UUID | None:
    found: UUID | None = await tx.fetchval(BY_CODE, code)
    return found


PACK = """
SELECT pack.id AS pack_id, printed.code, pack.state, pack.chemistry, pack.made_on,
       pack.rated_energy_wh, pack.mass_kg, pack.vin, pack.carmaker, pack.acquired_on,
       pack.recycled_on, passport.id AS passport_id
  FROM pack
  JOIN pack_code AS printed ON printed.pack_id = pack.id AND printed.is_current
  LEFT JOIN passport ON passport.pack_id = pack.id
 WHERE pack.id = $1
"""


async def pack(tx: Connection, pack_id: UUID) -> Record:
    row = await tx.fetchrow(PACK, pack_id)
    assert row is not None
    return row


CODES = """
SELECT scheme, code AS value, lower(valid) AS valid_from, upper(valid) AS valid_to, is_current
  FROM pack_code
 WHERE pack_id = $1
 ORDER BY is_current DESC, lower(valid) DESC NULLS LAST, code
"""

MADE_FROM = """
SELECT pack_origin.origin_id AS pack_id, coalesce(pack_origin.code, printed.code) AS code
  FROM pack_origin
  LEFT JOIN pack_code AS printed
    ON printed.pack_id = pack_origin.origin_id AND printed.is_current
 WHERE pack_origin.pack_id = $1
 ORDER BY code
"""

MADE_INTO = """
SELECT pack_origin.pack_id, printed.code
  FROM pack_origin
  JOIN pack_code AS printed ON printed.pack_id = pack_origin.pack_id AND printed.is_current
 WHERE pack_origin.origin_id = $1
 ORDER BY printed.code
"""

CUSTODY = """
SELECT lower(custody.during) AS from_on,
       upper(custody.during) AS to_on,
       custody.state,
       party.name AS party,
       coalesce(site.code, outlet.code) AS place,
       coalesce(site.adcode, outlet.adcode) AS adcode
  FROM custody
  LEFT JOIN party ON party.id = custody.party_id
  LEFT JOIN site ON site.id = custody.site_id
  LEFT JOIN outlet ON outlet.id = custody.outlet_id
 WHERE custody.pack_id = $1
 ORDER BY custody.during
"""

PARTIES = """
SELECT DISTINCT party.id, party.name
  FROM trace_record
  JOIN party ON party.id = trace_record.party_id
 WHERE trace_record.pack_id = $1
"""

# Every paper that a step of the life rests on. What an attachment says stays with the lessor; its
# hash does not.
EVIDENCE = """
SELECT 'acceptance' AS kind, accepted_on AS on,
       lessor_signatory || ' / ' || lessee_signatory AS number, photo_sha256 AS sha256,
       '/v1/lines/' || line_id AS href
  FROM acceptance
 WHERE pack_id = $1
 UNION ALL
SELECT 'return', returned_on, coalesce(lessor_signatory || ' / ' || lessee_signatory, ''),
       photo_sha256, '/v1/lines/' || line_id
  FROM pack_return
 WHERE pack_id = $1
 UNION ALL
SELECT 'inspection', inspected_on, lessor_signatory || ' / ' || lessee_signatory, '{}',
       '/v1/packs/' || pack_id || '/life'
  FROM inspection
 WHERE pack_id = $1
 UNION ALL
SELECT 'disposition', decided_on, reason, '{}', '/v1/packs/' || pack_id || '/life'
  FROM disposition
 WHERE pack_id = $1
 UNION ALL
SELECT 'capacity_test', tested_on, laboratory || ' ' || report_number,
       array_remove(ARRAY[document_sha256], NULL), '/v1/packs/' || pack_id || '/capacity-tests'
  FROM capacity_test
 WHERE pack_id = $1
 UNION ALL
SELECT 'incident', happened_on, coalesce(police_report, description), photo_sha256,
       '/v1/incidents?line_id=' || line_id
  FROM incident
 WHERE pack_id = $1
 UNION ALL
SELECT 'routing', hand_over_on, outlet.code, '{}', '/v1/routings/' || routing.id
  FROM routing
  JOIN outlet ON outlet.id = routing.outlet_id
 WHERE pack_id = $1
 UNION ALL
SELECT 'certificate', certificate.recycled_on, certificate.number, '{}',
       '/v1/routings/' || routing.id
  FROM routing
  JOIN recycling_certificate AS certificate ON certificate.routing_id = routing.id
 WHERE routing.pack_id = $1
 UNION ALL
SELECT 'attachment', (added_at AT TIME ZONE 'Asia/Shanghai')::date, filename,
       ARRAY[encode(sha256, 'hex')], '/v1/attachments/' || id || '/content'
  FROM attachment
 WHERE subject_id = $1
   AND removed_at IS NULL
 ORDER BY 2, 1, 3
"""

PLACED = """
SELECT lower(during) AS from_on, upper(during) AS to_on
  FROM placement
 WHERE pack_id = $1
 ORDER BY during
"""

RETURNED = """
SELECT returned_on AS on, tested_capacity_mah IS NOT NULL AS is_tested
  FROM pack_return
 WHERE pack_id = $1
   AND reason <> 'burnt'
 ORDER BY returned_on
"""


async def codes(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(CODES, pack_id)


async def made_from(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(MADE_FROM, pack_id)


async def made_into(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(MADE_INTO, pack_id)


async def custody(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(CUSTODY, pack_id)


async def parties(tx: Connection, pack_id: UUID) -> dict[UUID, str]:
    """Names of the parties that a pack's records speak of."""
    return {row["id"]: row["name"] for row in await tx.fetch(PARTIES, pack_id)}


async def evidence(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(EVIDENCE, pack_id)


async def placed(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(PLACED, pack_id)


async def returned(tx: Connection, pack_id: UUID) -> list[Record]:
    return await tx.fetch(RETURNED, pack_id)


# --- Keys -------------------------------------------------------------------------------------

INSERT_KEY = """
INSERT INTO signing_key (private_pem, public_pem, created_by, created_at)
VALUES ($1, $2, $3, $4)
RETURNING id, public_pem, created_at
"""


async def insert_key(
    tx: Connection, private_pem: str, public_pem: str, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(INSERT_KEY, private_pem, public_pem, by, now)
    assert row is not None
    return row


NEWEST_KEY = """
SELECT id, private_pem, public_pem
  FROM signing_key
 ORDER BY id DESC
 LIMIT 1
"""


async def newest_key(tx: Connection) -> Record | None:
    """The key that signs. Only the lessor itself may read it."""
    return await tx.fetchrow(NEWEST_KEY)


PUBLIC_KEYS = """
SELECT id, public_pem, created_at
  FROM signing_key
 ORDER BY id DESC
"""


async def public_keys(tx: Connection) -> list[Record]:
    return await tx.fetch(PUBLIC_KEYS)


# --- Registers --------------------------------------------------------------------------------

OUTLET = """
SELECT outlet.id, outlet.code, outlet.name_zh, outlet.name_en, outlet.adcode,
       party.name AS operator
  FROM outlet
  JOIN party ON party.id = outlet.recycler_id
 WHERE outlet.id = $1
"""


async def outlet(tx: Connection, outlet_id: UUID) -> Record | None:
    return await tx.fetchrow(OUTLET, outlet_id)


# What came into an outlet and what went out of it, as the records tell; what is on the road, or was
# refused, is neither. It came from where the pack stood last: its newest stay before. What went out
# to be recycled names its certificate.
REGISTER = """
SELECT step.happened_on AS on,
       CASE step.kind WHEN 'waste.inbound' THEN 'in' ELSE 'out' END AS direction,
       printed.code,
       stood.name AS source,
       chosen.adcode AS from_adcode,
       pack.vin,
       pack.chemistry AS kind,
       routing.mass_kg,
       step.data ->> 'weighed_kg' AS weighed_kg,
       step.data ->> 'consignment' AS consignment,
       recycler.name AS recycler,
       step.data ->> 'certificate' AS evidence
  FROM routing
  JOIN trace_record AS step
    ON step.pack_id = routing.pack_id
   AND step.kind IN ('waste.inbound', 'recycle.completed')
   AND step.party_id IS NOT NULL
   AND step.data ->> 'routing_id' = routing.id::text
  JOIN pack ON pack.id = routing.pack_id
  JOIN pack_code AS printed ON printed.pack_id = pack.id AND printed.is_current
  JOIN party AS recycler ON recycler.id = routing.recycler_id
  LEFT JOIN trace_record AS chosen
    ON chosen.pack_id = routing.pack_id
   AND chosen.kind = 'route.chosen'
   AND chosen.data ->> 'routing_id' = routing.id::text
  LEFT JOIN LATERAL (
         SELECT party.name
           FROM placement
           JOIN lease_line ON lease_line.id = placement.line_id
           JOIN party ON party.id = lease_line.lessee_id
          WHERE placement.pack_id = pack.id
            AND lower(placement.during) <= step.happened_on
          ORDER BY placement.during DESC
          LIMIT 1) AS stood ON true
 WHERE routing.outlet_id = $1
   AND step.happened_on >= $2
   AND step.happened_on < $3
 ORDER BY step.happened_on, direction, printed.code
 LIMIT $4
"""


async def register(
    tx: Connection, outlet_id: UUID, from_on: date, to_on: date, limit: int
) -> list[Record]:
    return await tx.fetch(REGISTER, outlet_id, from_on, to_on, limit)
