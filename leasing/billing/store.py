"""Billing in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import groupby
from uuid import UUID

import msgspec
from asyncpg import Range, Record

from leasing.billing.model import (
    BillableLine,
    Charge,
    Charged,
    Rent,
    Segment,
    Statement,
    Sum,
)
from leasing.db.pool import Connection
from leasing.kit.rows import convert
from schemas.billing import Component
from schemas.contracts import VatMode

OPEN_RUN = """
INSERT INTO billing_run (period, started_at)
VALUES (daterange($1, $2), $3)
    ON CONFLICT (period) DO UPDATE SET period = excluded.period
RETURNING id
"""


async def open_run(tx: Connection, from_on: date, to_on: date, now: datetime) -> UUID:
    """The run of a period; the same one however often it is asked for."""
    run_id: UUID = await tx.fetchval(OPEN_RUN, from_on, to_on, now)
    return run_id


CLOSE_RUN = """
UPDATE billing_run
   SET state = 'done',
       finished_at = $2
 WHERE id = $1
   AND state = 'running'
"""


async def close_run(tx: Connection, run_id: UUID, now: datetime) -> None:
    await tx.execute(CLOSE_RUN, run_id, now)


# Customers in order of id, each with the currencies of its contracts, also of those that ended:
# something may be put right or owed for them.
BILLABLE = """
SELECT DISTINCT lease_line.lessee_id, contract.currency
  FROM lease_line
  JOIN contract ON contract.id = lease_line.contract_id
 WHERE lease_line.started_on < $1
 ORDER BY lease_line.lessee_id, contract.currency
"""


async def billable(tx: Connection, until: date) -> list[tuple[UUID, str]]:
    return [(row["lessee_id"], row["currency"]) for row in await tx.fetch(BILLABLE, until)]


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


class Invoice(msgspec.Struct, frozen=True):
    id: UUID
    state: str
    currency: str
    lessee_id: UUID


DRAFT = """
INSERT INTO invoice (run_id, lessee_id, currency, period)
VALUES ($1, $2, $3, daterange($4, $5))
    ON CONFLICT (lessee_id, period, currency) DO NOTHING
"""

LOCK = """
SELECT id, state, currency, lessee_id
  FROM invoice
 WHERE lessee_id = $1
   AND period = daterange($2, $3)
   AND currency = $4
   FOR UPDATE
"""


async def draft(
    tx: Connection, run_id: UUID, lessee_id: UUID, currency: str, from_on: date, to_on: date
) -> Invoice:
    """The customer's invoice of a period, locked; drafted if it was not there."""
    await tx.execute(DRAFT, run_id, lessee_id, currency, from_on, to_on)
    invoice = await lock(tx, lessee_id, currency, from_on, to_on)
    assert invoice is not None
    return invoice


async def lock(
    tx: Connection, lessee_id: UUID, currency: str, from_on: date, to_on: date
) -> Invoice | None:
    row = await tx.fetchrow(LOCK, lessee_id, from_on, to_on, currency)
    return convert(row, Invoice) if row else None


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


SUMS = """
SELECT component, vat_mode, vat_percent, sum(amount)::bigint AS amount
  FROM charge
 WHERE invoice_id = $1
 GROUP BY component, vat_mode, vat_percent
 ORDER BY component, vat_mode, vat_percent
"""


async def sums(tx: Connection, invoice_id: UUID) -> list[Sum]:
    return [
        Sum(
            Component(row["component"]), VatMode(row["vat_mode"]), row["vat_percent"], row["amount"]
        )
        for row in await tx.fetch(SUMS, invoice_id)
    ]


# Of several contracts on one invoice the longest time to pay holds for all.
PAYMENT_DAYS = """
SELECT max(terms.payment_days)
  FROM (SELECT DISTINCT contract_id FROM charge WHERE invoice_id = $1) AS billed
  JOIN LATERAL (
         SELECT payment_days
           FROM contract_revision
          WHERE contract_id = billed.contract_id
            AND lower(during) <= $2
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
"""


async def payment_days(tx: Connection, invoice_id: UUID, issued_on: date) -> int:
    """The time to pay that is agreed on the day of issue; of an ended contract, what was last."""
    days: int = await tx.fetchval(PAYMENT_DAYS, invoice_id, issued_on)
    return days


NEXT_NUMBER = """
INSERT INTO invoice_series AS counter (series, year, last_number)
VALUES ($1, $2, 1)
    ON CONFLICT (series, year) DO UPDATE SET last_number = counter.last_number + 1
RETURNING last_number
"""


async def next_number(tx: Connection, series: str, year: int) -> int:
    """The next number of a series. The counter's row stays locked until the transaction ends,
    so a number is used or nobody ever saw it."""
    number: int = await tx.fetchval(NEXT_NUMBER, series, year)
    return number


INSERT_VAT = """
INSERT INTO invoice_vat (invoice_id, vat_percent, net_amount, vat_amount)
VALUES ($1, $2, $3, $4)
"""

FINALISE = """
UPDATE invoice
   SET state = 'final',
       number = $2,
       issued_on = $3,
       due_on = $4,
       net_amount = $5,
       vat_amount = $6,
       total_amount = $7,
       finalised_at = $8
 WHERE id = $1
"""


async def finalise(
    tx: Connection,
    invoice_id: UUID,
    *,
    number: str,
    issued_on: date,
    due_on: date,
    statement: Statement,
    now: datetime,
) -> None:
    await tx.executemany(
        INSERT_VAT,
        [
            (invoice_id, percent, part.net_amount, part.vat_amount)
            for percent, part in sorted(statement.by_rate.items())
        ],
    )
    whole = statement.whole
    await tx.execute(
        FINALISE,
        invoice_id,
        number,
        issued_on,
        due_on,
        whole.net_amount,
        whole.vat_amount,
        whole.total_amount,
        now,
    )


INVOICE_VIEW = """
SELECT id, run_id, number, state, lessee_id, currency, lower(period) AS period_from,
       upper(period) AS period_to, issued_on, due_on, net_amount, vat_amount, total_amount
  FROM invoice
"""

GET = f"""{INVOICE_VIEW}
 WHERE id = $1
"""

LIST = f"""{INVOICE_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR lessee_id = $2)
 ORDER BY id
 LIMIT $3
"""


async def get(tx: Connection, invoice_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, invoice_id)


async def after(
    tx: Connection, invoice_id: UUID, lessee_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, invoice_id, lessee_id, limit)


CHARGES = """
SELECT id, invoice_id, line_id, contract_id, site_id, pack_id, component, fee_id, reverses_id,
       lower(during) AS from_on, upper(during) AS to_on,
       upper(during) - lower(during) AS days, month_days, rent_amount, amount, vat_mode,
       vat_percent
  FROM charge
 WHERE invoice_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def charges_after(
    tx: Connection, invoice_id: UUID, charge_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(CHARGES, invoice_id, charge_id, limit)


RUNS = """
SELECT billing_run.id,
       lower(billing_run.period) AS period_from,
       upper(billing_run.period) AS period_to,
       billing_run.state,
       started_at,
       finished_at,
       count(invoice.id) AS invoices,
       coalesce(sum(invoice.total_amount), 0)::bigint AS total_amount
  FROM billing_run
  LEFT JOIN invoice ON invoice.run_id = billing_run.id AND invoice.state = 'final'
 WHERE billing_run.id > $1
 GROUP BY billing_run.id
 ORDER BY billing_run.id
 LIMIT $2
"""


async def runs_after(tx: Connection, run_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(RUNS, run_id, limit)
