"""Lease lines to bill: customers, contracts, sites, packs and where they stand, made by SQL.

The first customer has six lines in ten, as a tower operator would; the others share the rest.
Four slots stand at a site. One pack in fifty was swapped in the middle of the billed month, so
its line is charged in two parts.
"""

from datetime import date

from leasing.db.pool import LoneConnection

SLOTS = 4
CONTRACTS = 5

CUSTOMERS = """
INSERT INTO party (kind, name, created_at)
SELECT 'customer', 'Customer ' || n, now()
  FROM generate_series(1, $1::integer) AS n
"""

CONTRACTS_OF_EACH = """
WITH agreed AS (
  INSERT INTO contract (number, lessee_id, currency, state, offered_at, signed_at,
                        lessor_signatory, lessee_signatory, activated_at, created_at)
  SELECT 'C-' || row_number() OVER (), party.id, 'CNY', 'active', now(), now(), 'Lessor', 'Lessee',
         now(), now()
    FROM party, generate_series(1, $1::integer)
   WHERE party.kind = 'customer'
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

PLAN = """
CREATE TEMPORARY TABLE plan AS
WITH customer AS (
  SELECT id, row_number() OVER (ORDER BY id) - 1 AS position, count(*) OVER () AS customers
    FROM party
   WHERE kind = 'customer'
), agreed AS (
  SELECT id, lessee_id, row_number() OVER (PARTITION BY lessee_id ORDER BY id) - 1 AS position
    FROM contract
), place AS (
  SELECT n AS site,
         uuidv7() AS site_id,
         CASE WHEN n % 10 < 6 OR customers = 1 THEN 0 ELSE 1 + n % (customers - 1) END AS customer,
         n / 10 % $3 AS contract
    FROM generate_series(0, ($1::integer - 1) / $2::integer) AS n,
         (SELECT DISTINCT customers FROM customer) AS counted
)
SELECT n,
       uuidv7() AS line_id,
       place.site_id,
       n % $2 + 1 AS slot,
       customer.id AS lessee_id,
       agreed.id AS contract_id,
       $4::date + n % 20 AS started_on,
       20000 + 100 * (n % 97) AS rent_amount,
       n % 50 = 0 AS swapped
  FROM generate_series(0, $1::integer - 1) AS n
  JOIN place ON place.site = n / $2
  JOIN customer ON customer.position = place.customer
  JOIN agreed ON agreed.lessee_id = customer.id AND agreed.position = place.contract
"""

STAYS = """
CREATE TEMPORARY TABLE stay AS
SELECT n, uuidv7() AS pack_id, uuidv7() AS acceptance_id, line_id, from_on, to_on
  FROM (SELECT n, line_id, started_on AS from_on, CASE WHEN swapped THEN $1::date END AS to_on
          FROM plan
        UNION ALL
        SELECT n, line_id, $1::date, NULL FROM plan WHERE swapped) AS stays
 ORDER BY n, from_on
"""

FILL = """
INSERT INTO site (id, party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT DISTINCT ON (site_id) site_id, lessee_id, 'S-' || n, 'Site', 'tower', '410100', 113.6, 34.8,
       'wgs84', now()
  FROM plan
 ORDER BY site_id;

INSERT INTO lease_line (id, contract_id, lessee_id, from_on)
SELECT line_id, contract_id, lessee_id, '2020-01-01'
  FROM plan
 ORDER BY line_id;

INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, cause,
                           entered_by, entered_at)
SELECT line_id, 1, daterange('2020-01-01', NULL), contract_id, lessee_id, site_id, slot, 100000,
       rent_amount, '2020-01-01', rent_amount, 'agreed', 'bench', now()
  FROM plan
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
  JOIN plan USING (line_id)
 ORDER BY acceptance_id;

UPDATE lease_line
   SET started_on = plan.started_on,
       first_acceptance_id = acceptance.id
  FROM plan
  JOIN acceptance ON acceptance.line_id = plan.line_id AND accepted_on = plan.started_on
 WHERE lease_line.id = plan.line_id;

INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance_id, line_id, pack_id, site_id, slot, daterange(from_on, to_on)
  FROM stay
  JOIN plan USING (line_id)
 ORDER BY acceptance_id;

INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
SELECT line_id, pack_id, to_on, 'swapped_out'
  FROM stay
 WHERE to_on IS NOT NULL;

DROP TABLE plan, stay;
"""


async def make(
    connection: LoneConnection, lines: int, customers: int, started_on: date, swapped_on: date
) -> None:
    """Lines whose rent starts within twenty days of `started_on`."""
    async with connection.transaction():
        await connection.execute(CUSTOMERS, customers)
        await connection.execute(CONTRACTS_OF_EACH, CONTRACTS)
        await connection.execute(PLAN, lines, SLOTS, CONTRACTS, started_on)
        await connection.execute(STAYS, swapped_on)
        await connection.execute(FILL)
