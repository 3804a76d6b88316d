"""Lines on which nothing happened, charged by one statement."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from leasing.billing.model import Item
from leasing.db.pool import Connection, fetch_for

# Lines on which nothing happens in the period that is due: billed to its first day or begun on it,
# one pack in one place at one price throughout, and one record of custody that says the same. They
# owe the price of a whole period, which needs no arithmetic, so that these rows never leave the
# database. Where the last stub is long a period may be billed together with days after it: those
# contracts are left to the rules, as all other lines are, and tests/billing/test_steady.py holds
# both to the same charges. Each side of a line is looked up by itself, as the last that began by a
# day: that is one step in an index, however long the history is.
# Their ids are one new id counted on in its last digits: a new one for each costs more than an
# index entry does.
CHARGE = """
WITH item AS MATERIALIZED (
  SELECT given.*,
         daterange(from_on, to_on) AS period,
         daterange(from_on, least(to_on, $5::date + 1)) AS past,
         vat_mode,
         vat_percent,
         (terms.during @> daterange(from_on, to_on)
           AND proration = 'actual'
           AND last_stub = 'short') AS is_plain
    FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::date[])
         AS given (contract_id, invoice_id, from_on, to_on)
    LEFT JOIN LATERAL (
           SELECT during, vat_mode, vat_percent, proration, last_stub
             FROM contract_revision
            WHERE contract_id = given.contract_id
              AND lower(during) <= given.from_on
            ORDER BY lower(during) DESC
            LIMIT 1) AS terms ON true
), found AS MATERIALIZED (
  SELECT item.*,
         line.id AS line_id,
         position.site_id,
         position.rent_amount,
         stay.pack_id,
         stay.during IS NULL OR stay.during << item.past OR shown.is_so IS TRUE AS is_clear,
         (item.is_plain
           AND position.during @> item.period
           AND NOT position.suspended
           AND position.price_plan_version_id IS NULL
           AND stay.during @> item.period
           AND shown.is_so
           AND coalesce(latest.to_on, line.started_on) = item.from_on
           AND latest.is_reversed IS NOT TRUE
           AND NOT EXISTS (
                 SELECT FROM restatement WHERE line_id = line.id AND NOT settled)) IS TRUE
           AS is_steady
    FROM item
    JOIN LATERAL (
           SELECT id, started_on
             FROM lease_line
            WHERE contract_id = item.contract_id
            ORDER BY id) AS line ON true
    LEFT JOIN LATERAL (
           SELECT during, site_id, rent_amount, suspended, price_plan_version_id
             FROM line_revision
            WHERE line_id = line.id
              AND lower(during) <= item.from_on
            ORDER BY lower(during) DESC
            LIMIT 1) AS position ON true
    LEFT JOIN LATERAL (
           SELECT during, pack_id
             FROM placement
            WHERE line_id = line.id
              AND lower(during) < item.to_on
            ORDER BY lower(during) DESC
            LIMIT 1) AS stay ON true
    LEFT JOIN LATERAL (
           SELECT pack_id = stay.pack_id
                    AND during @> item.past
                    AND stay.during @> item.past AS is_so
             FROM custody
            WHERE line_id = line.id
              AND state = 'leased'
              AND lower(during) <= item.from_on
            ORDER BY lower(during) DESC
            LIMIT 1) AS shown ON true
    LEFT JOIN LATERAL (
           SELECT upper(during) AS to_on, is_reversed
             FROM charge
            WHERE line_id = line.id
              AND component = 'rent'
              AND reverses_id IS NULL
              AND fee_id IS NULL
            ORDER BY lower(during) DESC, revision DESC
            LIMIT 1) AS latest ON true
), stem AS MATERIALIZED (
  SELECT left(uuidv7()::text, 28) AS digits
), charged AS (
  INSERT INTO charge (id, invoice_id, line_id, contract_id, site_id, pack_id, component, during,
                      period_days, price_amount, amount, vat_mode, vat_percent)
  SELECT ((SELECT digits FROM stem) || lpad(to_hex(row_number() OVER ()), 8, '0'))::uuid,
         invoice_id,
         line_id,
         contract_id,
         site_id,
         pack_id,
         'rent',
         period,
         to_on - from_on,
         rent_amount,
         rent_amount,
         vat_mode,
         vat_percent
    FROM found
   WHERE is_steady
)
SELECT contract_id, count(*)::integer AS charges, NULL::uuid AS line_id, NULL::boolean AS is_clear
  FROM found
 WHERE is_steady
 GROUP BY contract_id
 UNION ALL
SELECT contract_id, 0, line_id, is_clear
  FROM found
 WHERE NOT is_steady
"""


class Steady(NamedTuple):
    """What became of the lines of contracts when those were charged on which nothing happened."""

    made: dict[UUID, int]
    """How many charges, by contract."""
    others: list[UUID]
    """Lines that were not charged."""
    doubtful: list[UUID]
    """Those of them whose pack's records have to be looked at."""


async def charge(tx: Connection, items: Sequence[Item], as_of: date) -> Steady:
    """Charge the lines on which nothing happened."""
    rows = await fetch_for(
        tx,
        len(items),
        CHARGE,
        [item.contract_id for item in items],
        [item.invoice_id for item in items],
        [item.from_on for item in items],
        [item.to_on for item in items],
        as_of,
    )
    others = [row for row in rows if row["line_id"] is not None]
    return Steady(
        {row["contract_id"]: row["charges"] for row in rows if row["line_id"] is None},
        [row["line_id"] for row in others],
        [row["line_id"] for row in others if not row["is_clear"]],
    )
