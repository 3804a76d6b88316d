"""Battery passports in the database."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.passports.model import Declaration, Facts, Issued
from schemas.passports import DeclarationCreate

# A pack as its passport tells of it. A cascade product is one by its code, or by what it was made
# from; of what was measured several times the newest counts.
FACTS = """
SELECT pack.id,
       printed.code,
       pack.maker,
       pack.chemistry,
       pack.made_on,
       pack.cells_in_series,
       pack.rated_voltage_mv,
       pack.rated_capacity_mah,
       pack.rated_energy_wh,
       pack.min_voltage_mv,
       pack.max_voltage_mv,
       pack.mass_kg,
       pack.state,
       pack.recycled_on,
       pack.vin,
       pack.removed_on,
       EXISTS (SELECT FROM pack_origin WHERE pack_origin.pack_id = pack.id)
         OR EXISTS (
              SELECT FROM pack_code
               WHERE pack_code.pack_id = pack.id
                 AND (scheme = 'gbt34014_cascade'
                      OR (scheme = 'gbt45565' AND code LIKE '%-R'))) AS is_cascade,
       array(
         SELECT DISTINCT code
           FROM (SELECT code FROM pack_code
                  WHERE pack_code.pack_id = pack.id AND NOT is_current
                  UNION ALL
                 SELECT coalesce(pack_origin.code, of_origin.code)
                   FROM pack_origin
                   LEFT JOIN pack_code AS of_origin
                     ON of_origin.pack_id = pack_origin.origin_id AND of_origin.is_current
                  WHERE pack_origin.pack_id = pack.id) AS others
          ORDER BY code) AS other_codes,
       (SELECT min(happened_on)
          FROM trace_record
         WHERE trace_record.pack_id = pack.id
           AND kind IN ('pack.commissioned', 'pack.swapped')) AS into_service_on,
       pack_telemetry.soc_percent,
       pack_telemetry.soc_percent_at AS soc_at,
       measured.capacity_mah,
       measured.capacity_at,
       resisted.internal_resistance_uohm AS resistance_uohm,
       resisted.tested_on::timestamptz AS resistance_at,
       array(
         SELECT jsonb_build_object('line_id', incident.line_id, 'kind', incident.kind,
                                  'on', happened_on)
           FROM incident
          WHERE incident.pack_id = pack.id
            AND incident.kind = 'damaged'
          ORDER BY happened_on, incident.id) AS accidents,
       (SELECT max(recorded_at)
          FROM trace_record
         WHERE trace_record.pack_id = pack.id) AS last_recorded_at,
       (SELECT trace_record.id
          FROM trace_record
         WHERE trace_record.pack_id = pack.id
           AND kind = 'recycle.completed'
         ORDER BY trace_record.sequence DESC
         LIMIT 1) AS ended_by
  FROM pack
  JOIN pack_code AS printed ON printed.pack_id = pack.id AND printed.is_current
  LEFT JOIN pack_telemetry ON pack_telemetry.pack_id = pack.id
  LEFT JOIN LATERAL (
         SELECT capacity_mah, capacity_at
           FROM (SELECT capacity_mah, tested_on::timestamptz
                   FROM capacity_test
                  WHERE capacity_test.pack_id = pack.id
                  UNION ALL
                 SELECT capacity_mah, measured_at
                   FROM health_check
                  WHERE health_check.pack_id = pack.id
                  UNION ALL
                 SELECT tested_capacity_mah, accepted_on::timestamptz
                   FROM acceptance
                  WHERE acceptance.pack_id = pack.id
                  UNION ALL
                 SELECT tested_capacity_mah, inspected_on::timestamptz
                   FROM inspection
                  WHERE inspection.pack_id = pack.id) AS tests (capacity_mah, capacity_at)
          WHERE capacity_mah IS NOT NULL
          ORDER BY capacity_at DESC
          LIMIT 1) AS measured ON true
  LEFT JOIN LATERAL (
         SELECT internal_resistance_uohm, tested_on
           FROM capacity_test
          WHERE capacity_test.pack_id = pack.id
            AND internal_resistance_uohm IS NOT NULL
          ORDER BY tested_on DESC, id DESC
          LIMIT 1) AS resisted ON true
 WHERE pack.id = $1
"""


async def facts(tx: Connection, pack_id: UUID) -> Facts | None:
    row = await tx.fetchrow(FACTS, pack_id)
    return convert(row, Facts) if row else None


ISSUED = """
SELECT id, pack_id, issued_on, predecessor_id
  FROM passport
 WHERE pack_id = $1
"""


async def issued(tx: Connection, pack_id: UUID) -> Issued | None:
    row = await tx.fetchrow(ISSUED, pack_id)
    return convert(row, Issued) if row else None


# The passports of what a pack was made from, nearest first come first.
PREDECESSOR = """
SELECT passport.id
  FROM pack_origin
  JOIN passport ON passport.pack_id = pack_origin.origin_id
 WHERE pack_origin.pack_id = $1
 ORDER BY pack_origin.id
 LIMIT 1
"""


async def predecessor(tx: Connection, pack_id: UUID) -> UUID | None:
    found: UUID | None = await tx.fetchval(PREDECESSOR, pack_id)
    return found


INSERT = """
INSERT INTO passport (pack_id, issued_on, predecessor_id, issued_by, issued_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id, pack_id, issued_on, predecessor_id
"""


async def insert(
    tx: Connection, pack_id: UUID, on: date, predecessor_id: UUID | None, by: str, now: datetime
) -> Issued:
    row = await tx.fetchrow(INSERT, pack_id, on, predecessor_id, by, now)
    assert row is not None
    return convert(row, Issued)


# All that was declared for a pack, in order of entry; once it is recycled only what had been
# declared by then, so that the copy kept for authorities stays as it was. Ids tell the order in
# which rows were made, also in a sandbox whose clock stands still.
DECLARED = """
SELECT passport_declaration.scope, passport_declaration.data
  FROM pack
  JOIN passport_declaration
    ON passport_declaration.scope = 'operator'
    OR passport_declaration.pack_id = pack.id
    OR (passport_declaration.scope = 'model'
        AND passport_declaration.maker IS NOT DISTINCT FROM pack.maker
        AND passport_declaration.chemistry = pack.chemistry
        AND passport_declaration.cells_in_series = pack.cells_in_series
        AND passport_declaration.rated_voltage_mv = pack.rated_voltage_mv
        AND passport_declaration.rated_capacity_mah = pack.rated_capacity_mah)
 WHERE pack.id = $1
   AND ($2::uuid IS NULL OR passport_declaration.id < $2)
 ORDER BY passport_declaration.id
"""


async def declared(tx: Connection, pack_id: UUID, before: UUID | None) -> list[Declaration]:
    """What was declared before a row was made; without one, all."""
    return convert_all(await tx.fetch(DECLARED, pack_id, before), Declaration)


COLUMNS = """id, scope, pack_id, maker, chemistry, cells_in_series, rated_voltage_mv,
       rated_capacity_mah, declared_by, document, declared_on, data, entered_by, entered_at"""

# Of a model the columns are those of the pack it was declared with.
INSERT_DECLARATION = f"""
INSERT INTO passport_declaration
       (scope, pack_id, maker, chemistry, cells_in_series, rated_voltage_mv, rated_capacity_mah,
        data, declared_by, document, declared_on, entered_by, entered_at)
SELECT $1, CASE WHEN $1 = 'pack' THEN alike.id END,
       CASE WHEN $1 = 'model' THEN alike.maker END,
       CASE WHEN $1 = 'model' THEN alike.chemistry END,
       CASE WHEN $1 = 'model' THEN alike.cells_in_series END,
       CASE WHEN $1 = 'model' THEN alike.rated_voltage_mv END,
       CASE WHEN $1 = 'model' THEN alike.rated_capacity_mah END,
       $3, $4, $5, $6, $7, $8
  FROM (SELECT) AS once
  LEFT JOIN pack AS alike ON alike.id = $2
RETURNING {COLUMNS}
"""


async def insert_declaration(
    tx: Connection, data: DeclarationCreate, by: str, now: datetime
) -> Record:
    row = await tx.fetchrow(
        INSERT_DECLARATION,
        data.scope,
        data.pack_id,
        data.data,
        data.declared_by,
        data.document,
        data.declared_on,
        by,
        now,
    )
    assert row is not None
    return row


LIST_DECLARATIONS = f"""
SELECT {COLUMNS}
  FROM passport_declaration
 WHERE id > $1
   AND ($2::text IS NULL OR scope = $2)
 ORDER BY id
 LIMIT $3
"""


async def declarations_after(
    tx: Connection, declaration_id: UUID, scope: str | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_DECLARATIONS, declaration_id, scope, limit)


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
