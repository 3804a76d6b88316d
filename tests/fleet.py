"""Fleets too large to build through the API, and the books that billing leaves behind."""

from datetime import date, datetime
from typing import Any

from leasing.db.pool import Connection

MAKE_FLEET = """
CREATE TEMPORARY TABLE fleet ON COMMIT DROP AS
SELECT uuidv7() AS party_id, customer, lines
  FROM unnest($1::int[]) WITH ORDINALITY AS given (lines, customer)
 ORDER BY customer
"""

MAKE_PLACES = """
CREATE TEMPORARY TABLE place ON COMMIT DROP AS
SELECT uuidv7() AS line_id, uuidv7() AS pack_id, uuidv7() AS acceptance_id,
       party_id, customer, nth
  FROM fleet, generate_series(1, lines) AS nth
 ORDER BY customer, nth
"""

FILL = """
INSERT INTO party (id, kind, name, created_at)
SELECT party_id, 'customer', 'Customer ' || customer, $2
  FROM fleet
 ORDER BY customer;

INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT DISTINCT ON (customer, nth / 1000)
       party_id, 'S-' || customer || '-' || nth / 1000, 'Tower', 'tower', '410100', 113.5, 34.8,
       'wgs84', $2
  FROM place;

INSERT INTO contract (number, lessee_id, currency, state, offered_at, signed_at, lessor_signatory,
                      lessee_signatory, activated_at, created_at)
SELECT 'C-' || customer, party_id, 'CNY', 'active', $2, $2, 'A', 'B', $2, $2
  FROM fleet;

INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)
SELECT id, daterange('2000-01-01', '2027-01-01'), 'agreed', 'fleet', $2
  FROM contract;

INSERT INTO contract_revision (contract_id, number, during, vat_mode, vat_percent, payment_days,
                               billing_alignment, billing_timing, guarantee_percent,
                               replacement_days, notice_days, renewal, minimum_months,
                               deposit_amount, permitted_use, early_termination, buy_out,
                               escalator, cause, entered_by, entered_at)
SELECT id, 1, daterange('2000-01-01', NULL), 'exclusive', 13, 30, 'calendar', 'arrears', 80, 7, 0,
       'none', 0, 0, 'telecom_backup', '{"kind": "not_allowed"}', '{"kind": "none"}',
       '{"kind": "none"}', 'agreed', 'fleet', $2
  FROM contract;

INSERT INTO lease_line (id, contract_id, lessee_id, from_on)
SELECT line_id, contract.id, party_id, '2000-01-01'
  FROM place
  JOIN contract ON lessee_id = party_id;

INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, cause,
                           entered_by, entered_at)
SELECT line_id, 1, daterange('2000-01-01', NULL), contract.id, place.party_id, site.id,
       nth % 1000 + 1, 100000, 20000 + nth * 37 % 9001, '2000-01-01', 20000 + nth * 37 % 9001,
       'agreed', 'fleet', $2
  FROM place
  JOIN contract ON lessee_id = place.party_id
  JOIN site ON code = 'S-' || customer || '-' || nth / 1000;

INSERT INTO pack (id, chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, state, acquired_on, created_at)
SELECT pack_id, 'B', '2020-01-01', 16, 51200, 100000, 46, 'leased', '2000-01-01', $2
  FROM place;

INSERT INTO acceptance (id, line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory)
SELECT acceptance_id, line_id, contract.id, pack_id, $1 + nth % 28, 95000, 'A', 'B'
  FROM place
  JOIN contract ON lessee_id = party_id;

UPDATE lease_line
   SET started_on = accepted_on,
       first_acceptance_id = acceptance.id
  FROM acceptance
 WHERE acceptance.line_id = lease_line.id;

INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT acceptance_id, place.line_id, pack_id, site_id, slot, daterange($1 + nth % 28, NULL)
  FROM place
  JOIN line_revision ON line_revision.line_id = place.line_id;

INSERT INTO trace_record (pack_id, sequence, kind, happened_on, party_id, data, actor, recorded_at)
SELECT pack_id, 1, 'pack.commissioned', $1 + nth % 28, party_id, '{}', 'fleet', $2
  FROM place
"""


async def lease_out(tx: Connection, lines: list[int], on: date, entered_at: datetime) -> None:
    """Customers with so many lines each, all handed over within 28 days from a day on. The same
    arguments make the same fleet, but for its ids."""
    await tx.execute(MAKE_FLEET, lines)
    await tx.execute(MAKE_PLACES)
    days = f"DATE '{on}'"
    instant = f"TIMESTAMPTZ '{entered_at.isoformat()}'"
    for statement in FILL.split(";"):
        await tx.execute(statement.replace("$1", days).replace("$2", instant))


INVOICES = """
SELECT party.name, number, invoice.state, currency, lower(period) AS from_on,
       upper(period) AS to_on, issued_on, due_on, net_amount, vat_amount, total_amount
  FROM invoice
  JOIN party ON party.id = buyer_id
 ORDER BY lower(period), number, party.name
"""

CHARGES = """
SELECT party.name, site.code, position.slot, lower(charge.during) AS from_on,
       upper(charge.during) AS to_on, period_days, charge.price_amount, amount,
       lower(period) AS billed_from
  FROM charge
  JOIN invoice ON invoice.id = invoice_id
  JOIN party ON party.id = invoice.buyer_id
  JOIN line_revision AS position ON position.line_id = charge.line_id AND position.number = 1
  JOIN site ON site.id = charge.site_id
 ORDER BY site.code, position.slot, lower(charge.during), charge.id
"""

BY_CUSTOMER = """
SELECT count(*) - count(DISTINCT (buyer_id, period, currency))
  FROM invoice
 WHERE credits_id IS NULL
"""

UNEQUAL = """
SELECT number
  FROM invoice
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount) FILTER (WHERE vat_mode = 'exclusive'), 0) AS without_vat,
              coalesce(sum(amount) FILTER (WHERE vat_mode = 'inclusive'), 0) AS with_vat
         FROM charge
        WHERE invoice_id = invoice.id) AS charged
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(net_amount), 0) AS net, coalesce(sum(vat_amount), 0) AS vat
         FROM invoice_vat
        WHERE invoice_id = invoice.id) AS taxed
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(amount), 0) AS balance,
              coalesce(sum(amount) FILTER (WHERE account = 'receivable'), 0) AS receivable,
              coalesce(sum(-amount) FILTER (WHERE account LIKE 'revenue%'), 0) AS revenue
         FROM journal_entry
         JOIN posting ON entry_id = journal_entry.id
        WHERE source_id = invoice.id) AS posted
 WHERE state = 'final'
   AND ((net_amount, vat_amount, net_amount, total_amount, 0)
          <> (net, vat, revenue, receivable, balance)
     OR (with_vat = 0 AND net_amount <> without_vat)
     OR (without_vat = 0 AND total_amount <> with_vat))
"""

# A charge is marked when another takes all of it back, and only then.
MISTAKEN = """
SELECT charge.id
  FROM charge
  LEFT JOIN charge AS reversal ON reversal.reverses_id = charge.id
 WHERE charge.is_reversed <> (reversal.id IS NOT NULL)
    OR (charge.line_id, charge.during, charge.component, charge.vat_mode, charge.vat_percent)
       <> (reversal.line_id, reversal.during, reversal.component, reversal.vat_mode,
           reversal.vat_percent)
    OR charge.amount + reversal.amount <> 0
"""

YEARS = """
SELECT CASE kind WHEN 'invoice' THEN 'INV' ELSE 'CN' END AS series,
       extract(year FROM issued_on)::int AS year,
       array_agg(number ORDER BY number) AS numbers
  FROM invoice
 WHERE state = 'final'
 GROUP BY seller_id, kind, 2
"""


async def books(tx: Connection) -> tuple[list[Any], list[Any]]:
    """Every invoice and every charge, without ids: two histories that say the same are equal."""
    invoices = [tuple(row) for row in await tx.fetch(INVOICES)]
    charges = [tuple(row) for row in await tx.fetch(CHARGES)]
    return invoices, charges


async def refuse_disorder(tx: Connection) -> None:
    """What holds for the books at any time, whatever went wrong on the way."""
    assert await tx.fetchval(BY_CUSTOMER) == 0, "two invoices for one customer and period"
    assert await tx.fetch(UNEQUAL) == [], "an invoice differs from its charges or its postings"
    assert await tx.fetch(MISTAKEN) == [], "a charge was not taken back as it was"
    for series, year, numbers in await tx.fetch(YEARS):
        wanted = [f"{series}-{year}-{number:06}" for number in range(1, len(numbers) + 1)]
        assert numbers == wanted, "the numbers of a year have a gap"
