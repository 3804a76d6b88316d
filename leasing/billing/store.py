"""Billing runs, invoices and their pages."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.billing.model import Statement, Sum
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
