"""Lease lines to bill: customers, contracts, sites, packs and where they stand, made by SQL.

A contract has four lines at one site. Half of the lines are those of customers with twenty thousand
each, as tower operators have; the others are those of fleets with ten contracts. One pack in fifty
was swapped in the middle of the billed month, so its line is charged in two parts.
"""

from datetime import date

from leasing.db.pool import LoneConnection

SLOTS = 4
LARGE, SMALL = 5_000, 10
"""Contracts of a customer."""

PLAN = """
CREATE TEMPORARY TABLE plan AS
SELECT n,
       uuidv7() AS contract_id,
       CASE WHEN n < $1::integer / 2 THEN n / $2::integer
            ELSE 1000000 + n / $3::integer
        END AS customer
  FROM generate_series(0, $1::integer - 1) AS n
"""

CUSTOMERS = """
CREATE TEMPORARY TABLE customer AS
SELECT customer, uuidv7() AS lessee_id
  FROM (SELECT DISTINCT customer FROM plan) AS named
 ORDER BY customer
"""

PARTIES = """
INSERT INTO party (id, kind, name, created_at)
SELECT lessee_id, 'customer', 'Customer ' || customer, now()
  FROM customer
 ORDER BY lessee_id
"""

CONTRACTS = """
WITH agreed AS (
  INSERT INTO contract (id, number, lessee_id, currency, state, offered_at, signed_at,
                        lessor_signatory, lessee_signatory, activated_at, created_at)
  SELECT contract_id, 'C-' || n, lessee_id, 'CNY', 'active', now(), now(), 'Lessor', 'Lessee',
         now(), now()
    FROM plan
    JOIN customer USING (customer)
   ORDER BY n
  RETURNING id
), term AS (
  INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)
  SELECT id, daterange('2020-01-01', '2035-01-01'), 'agreed', 'bench', now()
    FROM agreed
)
INSERT INTO contract_revision (contract_id, number, during, vat_mode, vat_percent, payment_days,
                               billing_alignment, billing_timing, guarantee_percent,
                               replacement_days, notice_days, renewal, minimum_months,
                               deposit_amount, permitted_use, early_termination, buy_out,
                               escalator, cause, entered_by, entered_at)
SELECT id, 1, daterange('2020-01-01', NULL), 'exclusive', 13, 30, 'calendar', 'arrears', 80, 7, 0,
       'none', 0, 0, 'telecom_backup', '{"kind": "not_allowed"}', '{"kind": "none"}',
       '{"kind": "none"}', 'agreed', 'bench', now()
  FROM agreed
"""

# Nine in ten begin on the first of the month, so that they are billed whole from the start.
POSITIONS = """
CREATE TEMPORARY TABLE line AS
SELECT plan.n * $1::integer + slot AS n,
       uuidv7() AS line_id,
       site_id,
       slot,
       lessee_id,
       contract_id,
       $2::date + CASE WHEN plan.n % 10 = 0 THEN plan.n / 10 % 20 ELSE 0 END AS started_on,
       20000 + 100 * (plan.n % 97) AS rent_amount,
       (plan.n * $1::integer + slot) % 50 = 0 AS swapped
  FROM (SELECT plan.*, uuidv7() AS site_id FROM plan) AS plan
  JOIN customer USING (customer)
 CROSS JOIN generate_series(1, $1::integer) AS slot
"""

STAYS = """
CREATE TEMPORARY TABLE stay AS
SELECT n, uuidv7() AS pack_id, uuidv7() AS acceptance_id, uuidv7() AS trace_id, line_id, lessee_id,
       site_id, slot, contract_id, from_on, to_on
  FROM (SELECT line.*, started_on AS from_on, CASE WHEN swapped THEN $1::date END AS to_on
          FROM line
        UNION ALL
        SELECT line.*, $1::date, NULL FROM line WHERE swapped) AS stays
 ORDER BY n, from_on
"""

FILL = """
INSERT INTO site (id, party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT site_id, lessee_id, 'S-' || n, 'Site', 'tower', '410100', 113.6, 34.8, 'wgs84', now()
  FROM line
 WHERE slot = 1
 ORDER BY site_id;

INSERT INTO lease_line (id, contract_id, lessee_id, from_on)
SELECT line_id, contract_id, lessee_id, '2020-01-01'
  FROM line
 ORDER BY line_id;

INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, cause,
                           entered_by, entered_at)
SELECT line_id, 1, daterange('2020-01-01', NULL), contract_id, lessee_id, site_id, slot, 100000,
       rent_amount, '2020-01-01', rent_amount, 'agreed', 'bench', now()
  FROM line
 ORDER BY line_id;

INSERT INTO pack (id, chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, mass_kg, state, acquired_on, created_at)
SELECT pack_id, 'B', 'M' || lpad((n / 4 % 50)::text, 2, '0'), '2021-12-04', 16, 51200, 100000, 46,
       CASE WHEN to_on IS NULL THEN 'leased' ELSE 'returned' END, '2025-01-02', now()
  FROM stay
 ORDER BY pack_id;

INSERT INTO acceptance (id, line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory)
SELECT acceptance_id, line_id, contract_id, pack_id, from_on, 95000, 'Lessor', 'Lessee'
  FROM stay
 ORDER BY acceptance_id;

UPDATE lease_line
   SET started_on = line.started_on,
       first_acceptance_id = acceptance.id
  FROM line
  JOIN acceptance ON acceptance.line_id = line.line_id AND accepted_on = line.started_on
 WHERE lease_line.id = line.line_id;

INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance_id, line_id, pack_id, site_id, slot, daterange(from_on, to_on)
  FROM stay
 ORDER BY acceptance_id;

INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
SELECT line_id, pack_id, to_on, 'swapped_out'
  FROM stay
 WHERE to_on IS NOT NULL;

INSERT INTO trace_record (id, pack_id, sequence, kind, happened_on, party_id, data, actor,
                          recorded_at)
SELECT trace_id, pack_id, 1, 'pack.commissioned', from_on, lessee_id, '{}', 'bench', now()
  FROM stay
 ORDER BY trace_id;

INSERT INTO custody (pack_id, during, state, party_id, line_id, site_id, slot, trace_id,
                     recorded_at)
SELECT pack_id, daterange(from_on, to_on), 'leased', lessee_id, line_id, site_id, slot, trace_id,
       now()
  FROM stay
 ORDER BY pack_id;

DROP TABLE plan, customer, line, stay;
"""


async def make(
    connection: LoneConnection,
    lines: int,
    started_on: date,
    swapped_on: date,
    *,
    large: int = LARGE,
    small: int = SMALL,
    quickly: bool = True,
) -> None:
    """Lines whose rent starts within twenty days of `started_on`; half of them are those of
    customers with so many contracts each (`large`), half of others (`small`). Quickly means without
    what triggers derive from them, but for custody."""
    async with connection.transaction():
        if quickly:
            # What is made is whole by itself: checking it row by row would take most of an hour.
            await connection.execute("SET LOCAL session_replication_role = replica")
        else:
            await connection.execute(
                "ALTER TABLE trace_record DISABLE TRIGGER trace_record_takes_custody"
            )
        await connection.execute(PLAN, lines // SLOTS, large, small)
        await connection.execute(CUSTOMERS)
        await connection.execute(PARTIES)
        await connection.execute(CONTRACTS)
        await connection.execute(POSITIONS, SLOTS, started_on)
        await connection.execute(STAYS, swapped_on)
        await connection.execute(FILL)
        if not quickly:
            await connection.execute(
                "ALTER TABLE trace_record ENABLE TRIGGER trace_record_takes_custody"
            )
