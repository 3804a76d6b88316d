"""What lines owe and what they were charged."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from uuid import UUID

from asyncpg import Range, Record

from leasing.billing.model import BillableLine, Charge, Charged, Rent, Segment
from leasing.db.pool import Connection
from schemas.billing import Component
from schemas.contracts import VatMode

# Whatever changes what is owed holds the contract or the line for update, contracts first. We wait
# for both in the same order, and only then look, in statements of their own: one that waits for a
# lock goes on with what it saw before. Until we commit nobody can change the days that we charge,
# and whoever waited for us sees them charged, and leaves a restatement.
LOCK_CONTRACTS = """
SELECT id
  FROM contract
 WHERE lessee_id = $1
   AND currency = $2
 ORDER BY id
   FOR KEY SHARE
"""

LOCK_LINES = """
SELECT lease_line.id
  FROM lease_line
  JOIN contract ON contract.id = lease_line.contract_id
 WHERE lease_line.lessee_id = $1
   AND contract.currency = $2
   AND lease_line.started_on < $3
   AND lease_line.id > $4
 ORDER BY lease_line.id
 LIMIT $5
   FOR KEY SHARE OF lease_line
"""


async def lock_lines(
    tx: Connection, lessee_id: UUID, currency: str, until: date, after: UUID, limit: int
) -> list[UUID]:
    """The next lines of a customer, as they are until the transaction ends. Lines that have ended
    are among them, as something may be put right or owed for them."""
    await tx.execute(LOCK_CONTRACTS, lessee_id, currency)
    rows = await tx.fetch(LOCK_LINES, lessee_id, currency, until, after, limit)
    return [row["id"] for row in rows]


# A line is due while its charges end before it does, or when charged days changed. Then we look at
# it from the first of the month in which that is, so that months are always rated whole.
# Materialized, or the subqueries would be run at each place where they are named.
DUE_SEGMENTS = """
WITH line AS MATERIALIZED (
  SELECT lease_line.id,
         contract_id,
         ended_on,
         (SELECT max(upper(during))
            FROM charge
           WHERE line_id = lease_line.id
             AND component = 'rent'
             AND reverses_id IS NULL
             AND NOT is_reversed) AS billed_to,
         (SELECT min(from_on)
            FROM restatement
           WHERE line_id = lease_line.id
             AND NOT settled) AS restated_on
    FROM lease_line
   WHERE id = ANY ($1::uuid[])
), due AS (
  SELECT id,
         contract_id,
         billed_to,
         restated_on,
         date_trunc('month', least(billed_to, restated_on)::timestamp)::date AS since
    FROM line
   WHERE billed_to IS NULL
      OR billed_to < least(ended_on, $2::date)
      OR restated_on IS NOT NULL
)
SELECT due.id AS line_id,
       due.contract_id,
       due.billed_to,
       due.restated_on,
       due.since,
       lower(segment.days) AS from_on,
       upper(segment.days) AS to_on,
       segment.pack_id,
       segment.site_id,
       segment.rent_amount,
       segment.vat_mode,
       segment.vat_percent
  FROM due
  LEFT JOIN LATERAL (
         SELECT placement.during * position.during * terms.during
                  * daterange(due.since, NULL) AS days,
                placement.pack_id,
                position.site_id,
                position.rent_amount,
                terms.vat_mode,
                terms.vat_percent
           FROM placement
           JOIN line_revision AS position ON position.line_id = placement.line_id
           JOIN contract_revision AS terms ON terms.contract_id = position.contract_id
          WHERE placement.line_id = due.id
            AND NOT position.suspended) AS segment ON NOT isempty(segment.days)
 ORDER BY due.id, lower(segment.days)
"""

CHARGED = """
SELECT charge.line_id,
       charge.id,
       lower(charge.during) AS from_on,
       upper(charge.during) AS to_on,
       charge.month_days,
       charge.pack_id,
       charge.site_id,
       charge.rent_amount,
       charge.amount,
       charge.vat_mode,
       charge.vat_percent
  FROM unnest($1::uuid[], $2::date[]) AS line (id, since)
  JOIN charge
    ON charge.line_id = line.id
   AND upper(charge.during) > line.since
 WHERE component = 'rent'
   AND reverses_id IS NULL
   AND NOT is_reversed
 ORDER BY charge.line_id, lower(charge.during)
"""


async def due_lines(tx: Connection, line_ids: Sequence[UUID], until: date) -> list[BillableLine]:
    """Those of the lines that may owe rent for days before `until`, or were restated."""
    rows = await tx.fetch(DUE_SEGMENTS, line_ids, until)
    found = [list(alike) for _, alike in groupby(rows, key=lambda row: row["line_id"])]
    charged = await charges_since(
        tx,
        {
            first["line_id"]: first["since"]
            for first, *_ in found
            if first["billed_to"] is not None and first["billed_to"] > first["since"]
        },
    )
    return [
        BillableLine(
            line_id=first["line_id"],
            contract_id=first["contract_id"],
            segments=[segment_of(row) for row in (first, *others) if row["from_on"] is not None],
            charged=charged.get(first["line_id"], []),
            billed_to=first["billed_to"],
            restated=first["restated_on"] is not None,
        )
        for first, *others in found
    ]


BILLED_TO = """
SELECT max(upper(during))
  FROM charge
 WHERE line_id = ANY ($1::uuid[])
   AND component = 'rent'
   AND reverses_id IS NULL
   AND NOT is_reversed
"""


async def billed_to(tx: Connection, line_ids: Sequence[UUID]) -> date | None:
    """The day to which rent of any of the lines was charged."""
    on: date | None = await tx.fetchval(BILLED_TO, line_ids)
    return on


def segment_of(row: Record) -> Segment:
    return Segment(
        row["from_on"],
        row["to_on"],
        row["pack_id"],
        row["site_id"],
        row["rent_amount"],
        VatMode(row["vat_mode"]),
        row["vat_percent"],
    )


async def charges_since(tx: Connection, since: dict[UUID, date]) -> dict[UUID, list[Charged]]:
    """Rent of lines that was charged from a day on and not taken back, in order of time."""
    if not since:
        return {}
    found: dict[UUID, list[Charged]] = {line_id: [] for line_id in since}
    for row in await tx.fetch(CHARGED, list(since), list(since.values())):
        rent = Rent(
            row["from_on"],
            row["to_on"],
            row["month_days"],
            row["pack_id"],
            row["site_id"],
            row["rent_amount"],
            row["amount"],
            VatMode(row["vat_mode"]),
            row["vat_percent"],
        )
        found[row["line_id"]].append(Charged(row["id"], rent))
    return found


# A fee is taxed as was agreed on the day it is owed, or as was agreed last when that was the day
# of the end; and it belongs to the site where the line was then.
DUE_FEES = """
SELECT fee.line_id,
       fee.contract_id,
       position.site_id,
       fee.pack_id,
       fee.component,
       fee.id AS fee_id,
       fee.owed_on AS from_on,
       fee.owed_on + 1 AS to_on,
       fee.amount,
       terms.vat_mode,
       terms.vat_percent
  FROM fee
  JOIN LATERAL (
         SELECT site_id
           FROM line_revision
          WHERE line_id = fee.line_id
          ORDER BY lower(during) > fee.owed_on, abs(lower(during) - fee.owed_on)
          LIMIT 1) AS position ON true
  JOIN LATERAL (
         SELECT vat_mode, vat_percent
           FROM contract_revision
          WHERE contract_id = fee.contract_id
          ORDER BY lower(during) > fee.owed_on, abs(lower(during) - fee.owed_on)
          LIMIT 1) AS terms ON true
 WHERE fee.line_id = ANY ($1::uuid[])
   AND fee.owed_on < $2
   AND NOT EXISTS (
         SELECT FROM charge
          WHERE fee_id = fee.id
            AND reverses_id IS NULL
            AND NOT is_reversed)
 ORDER BY fee.id
"""


async def due_fees(tx: Connection, line_ids: Sequence[UUID], until: date) -> list[Charge]:
    """Fees of the lines that were owed before `until` and not charged yet."""
    return [
        Charge(
            line_id=row["line_id"],
            contract_id=row["contract_id"],
            site_id=row["site_id"],
            pack_id=row["pack_id"],
            component=Component(row["component"]),
            fee_id=row["fee_id"],
            from_on=row["from_on"],
            to_on=row["to_on"],
            month_days=None,
            rent_amount=None,
            amount=row["amount"],
            vat_mode=VatMode(row["vat_mode"]),
            vat_percent=row["vat_percent"],
        )
        for row in await tx.fetch(DUE_FEES, line_ids, until)
    ]


CHARGE_COLUMNS = (
    "invoice_id",
    "line_id",
    "contract_id",
    "site_id",
    "pack_id",
    "component",
    "fee_id",
    "during",
    "month_days",
    "rent_amount",
    "amount",
    "vat_mode",
    "vat_percent",
)


async def insert_charges(tx: Connection, invoice_id: UUID, charges: Sequence[Charge]) -> None:
    await tx.copy_records_to_table(
        "charge",
        columns=CHARGE_COLUMNS,
        records=[
            (
                invoice_id,
                charge.line_id,
                charge.contract_id,
                charge.site_id,
                charge.pack_id,
                charge.component,
                charge.fee_id,
                Range(charge.from_on, charge.to_on),
                charge.month_days,
                charge.rent_amount,
                charge.amount,
                charge.vat_mode,
                charge.vat_percent,
            )
            for charge in charges
        ],
    )


# The charge stays, marked, beside the one that takes it back.
TAKE_BACK = """
WITH reversed AS (
  UPDATE charge
     SET is_reversed = true
   WHERE id = ANY ($2::uuid[])
     AND NOT is_reversed
  RETURNING *
)
INSERT INTO charge (invoice_id, line_id, contract_id, site_id, pack_id, component, fee_id, during,
                    month_days, rent_amount, amount, vat_mode, vat_percent, reverses_id)
SELECT $1, line_id, contract_id, site_id, pack_id, component, fee_id, during, month_days,
       rent_amount, -amount, vat_mode, vat_percent, id
  FROM reversed
 ORDER BY id
"""


async def take_back(tx: Connection, invoice_id: UUID, charge_ids: Sequence[UUID]) -> None:
    """Take charges back on an invoice: their days are free to be charged anew."""
    await tx.execute(TAKE_BACK, invoice_id, charge_ids)


SETTLE = """
UPDATE restatement
   SET settled = true,
       settled_by = $2
 WHERE line_id = ANY ($1::uuid[])
   AND NOT settled
"""


async def settle(tx: Connection, line_ids: Sequence[UUID], invoice_id: UUID | None) -> None:
    """Note that what changed on lines, which the caller holds, was put right, on an invoice if it
    made a difference."""
    await tx.execute(SETTLE, line_ids, invoice_id)
