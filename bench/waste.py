"""Packs that wait for a way to a recycler, before the generated network of 10,235 outlets. Made by
statements; prices and places are made up."""

from datetime import date
from random import Random
from uuid import UUID

from leasing.db.pool import Connection
from leasing.kit.time import system_now
from leasing.outlets import generator
from leasing.outlets import store as outlets_store
from leasing.regions.model import prefectures

OFFERS_OF_ALL = """
INSERT INTO scrap_offer (recycler_id, chemistry, disposition, valid, cny_per_kg, source,
                         entered_by, entered_at)
SELECT id, chemistry, 'recycle', daterange('2025-01-01', NULL),
       round((CASE chemistry WHEN 'B' THEN 3.12 ELSE 14.0 END
              * (0.9 + 0.2 * ((row_number() OVER (ORDER BY credit_code, chemistry) * 7919) % 101)
                 / 100.0))::numeric, 4),
       'generated', 'a test', now()
  FROM party
  CROSS JOIN unnest('{B,E}'::text[]) AS taken (chemistry)
 WHERE kind = 'recycler'
"""


async def country(tx: Connection, as_of: date = date(2026, 6, 15)) -> None:
    """The generated network of 10,235 outlets, with prices that are made up."""
    await outlets_store.insert_network(tx, generator.generate(as_of), system_now())
    await tx.execute(OFFERS_OF_ALL)


CONDEMNED = """
WITH given AS (
  SELECT *
    FROM unnest($2::text[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::integer[])
         WITH ORDINALITY AS given (adcode, longitude, latitude, chemistry, hazard, mass_kg, number)
), place AS (
  INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
  SELECT $1, 'W-' || number, 'waits', 'tower', adcode, longitude, latitude, 'wgs84', now()
    FROM given
  RETURNING id, code
), made AS (
  INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                    mass_kg, state, acquired_on, created_at)
  SELECT chemistry, '2021-01-01', 16, 51200, 100000, mass_kg, 'condemned', '2022-01-01', now()
    FROM given
   ORDER BY number
  RETURNING id
)
SELECT (SELECT array_agg(id ORDER BY id) FROM made) AS packs,
       (SELECT array_agg(id ORDER BY substr(code, 3)::integer) FROM place) AS sites
"""

STAYS = """
WITH given AS (
  SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS given (pack_id, site_id, hazard)
), stay AS (
  INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
  SELECT uuidv7(), uuidv7(), pack_id, site_id, 1, daterange('2025-01-01', '2026-06-01')
    FROM given
  RETURNING line_id, pack_id
), back AS (
  INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
  SELECT line_id, pack_id, '2026-06-01', 'swapped_out'
    FROM stay
), seen AS (
  INSERT INTO inspection (pack_id, inspected_on, grade, hazard, hazard_found, remarks,
                          lessor_signatory, lessee_signatory)
  SELECT pack_id, '2026-06-02', 'D', hazard, hazard, '', 'A', 'B'
    FROM given
  RETURNING id, pack_id
)
INSERT INTO disposition (pack_id, inspection_id, decision, decided_on, reason)
SELECT pack_id, id, 'recycle', '2026-06-03', 'worn'
  FROM seen
"""

CUSTOMER = """
INSERT INTO party (kind, name, created_at)
VALUES ('customer', 'Waits', now())
RETURNING id
"""


async def waiting(
    tx: Connection, many: int, seed: int = 1, adcodes: tuple[str, ...] | None = None
) -> list[UUID]:
    """So many condemned packs over the country, each at a place of its own. Leases and what else
    a pack needs before it comes back are left out: no trigger fires, no key is checked."""
    random = Random(seed)
    units = [one for one in prefectures() if adcodes is None or one.adcode in adcodes]
    rows = []
    for _ in range(many):
        unit = units[int(random.random() * len(units))]
        heavy = random.random() < 0.3
        roll = random.random()
        rows.append(
            (
                unit.adcode,
                min(135.9, max(73.1, round(unit.longitude + random.uniform(-0.4, 0.4), 5))),
                round(unit.latitude + random.uniform(-0.4, 0.4), 5),
                "E" if random.random() < 0.2 else "B",
                "critical" if roll < 0.006 else "damaged" if roll < 0.05 else "intact",
                random.choice([240, 330, 450]) if heavy else random.choice([38, 46, 58]),
            )
        )
    columns = [list(column) for column in zip(*rows, strict=True)]
    await tx.execute("SET LOCAL session_replication_role = replica")
    customer = await tx.fetchval(CUSTOMER)
    made = await tx.fetchrow(CONDEMNED, customer, *columns)
    assert made is not None
    await tx.execute(STAYS, made["packs"], made["sites"], columns[4])
    await tx.execute("SET LOCAL session_replication_role = origin")
    ids: list[UUID] = made["packs"]
    return ids
