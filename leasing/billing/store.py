"""Invoices and credit notes."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.billing.model import Draft, Statement, Sum
from leasing.db.pool import Connection
from schemas.billing import Component
from schemas.contracts import VatMode

# Drafts

DROP_EMPTY = """
DELETE FROM invoice
 WHERE run_id = $1
   AND state = 'draft'
   AND NOT EXISTS (SELECT FROM charge WHERE invoice_id = invoice.id)
"""


async def drop_empty(tx: Connection, run_id: UUID) -> None:
    await tx.execute(DROP_EMPTY, run_id)


# In the order in which they are numbered.
DRAFTS = """
SELECT id
  FROM invoice
 WHERE run_id = $1
   AND state = 'draft'
   AND held_because IS NULL
 ORDER BY seller_id, buyer_id, currency, missed_from
"""


async def drafts(tx: Connection, run_id: UUID) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(DRAFTS, run_id)]


SUM_UP = """
WITH given AS (
  SELECT * FROM unnest($1::uuid[]) AS given (invoice_id)
), gone AS (
  DELETE FROM invoice_sum WHERE invoice_id IN (SELECT invoice_id FROM given)
)
SELECT invoice_id, kind, vat_mode, vat_percent, count(*)::integer AS charges,
       sum(amount)::bigint AS amount
  FROM given
  JOIN charge USING (invoice_id)
 GROUP BY invoice_id, kind, vat_mode, vat_percent
 ORDER BY invoice_id, kind, vat_mode, vat_percent
"""

KEEP_SUMS = """
INSERT INTO invoice_sum (invoice_id, kind, vat_mode, vat_percent, charges, amount)
SELECT *
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::int[], $6::bigint[])
"""


async def sum_up(tx: Connection, invoice_ids: Sequence[UUID]) -> dict[UUID, list[Sum]]:
    """Add up the charges of drafts and keep what they come to."""
    rows = await tx.fetch(SUM_UP, invoice_ids)
    if rows:
        await tx.execute(KEEP_SUMS, *map(list, zip(*rows, strict=True)))
    found: dict[UUID, list[Sum]] = {invoice_id: [] for invoice_id in invoice_ids}
    for row in rows:
        found[row["invoice_id"]].append(sum_of(row))
    return found


def sum_of(row: Record) -> Sum:
    return Sum(Component(row["kind"]), VatMode(row["vat_mode"]), row["vat_percent"], row["amount"])


# More taken back than charged makes a credit note.
SET_TOTALS = """
UPDATE invoice
   SET net_amount = given.net_amount,
       vat_amount = given.vat_amount,
       total_amount = given.net_amount + given.vat_amount,
       kind = CASE WHEN credits_id IS NOT NULL OR given.net_amount + given.vat_amount < 0
                   THEN 'credit_note' ELSE 'invoice' END
  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS given (id, net_amount, vat_amount)
 WHERE invoice.id = given.id
"""


async def set_totals(tx: Connection, statements: dict[UUID, Statement]) -> None:
    await tx.execute(
        SET_TOTALS,
        list(statements),
        [one.whole.net_amount for one in statements.values()],
        [one.whole.vat_amount for one in statements.values()],
    )


# A slip of the decimal point makes an invoice many times the last one of the same customer.
JUMPS = """
SELECT invoice.id, invoice.total_amount, latest.total_amount AS before_amount
  FROM invoice
 CROSS JOIN LATERAL (
         SELECT total_amount
           FROM invoice AS before
          WHERE before.buyer_id = invoice.buyer_id
            AND before.currency = invoice.currency
            AND before.seller_id IS NOT DISTINCT FROM invoice.seller_id
            AND before.state = 'final'
            AND before.kind = 'invoice'
          ORDER BY before.id DESC
          LIMIT 1) AS latest
 WHERE run_id = $1
   AND state = 'draft'
   AND held_because IS NULL
   AND approved_by IS NULL
   AND invoice.total_amount > $2
   AND invoice.total_amount > $3 * latest.total_amount
 ORDER BY invoice.id
"""

HOLD = """
UPDATE invoice
   SET held_because = $2
 WHERE id = $1
"""


async def hold_jumps(tx: Connection, run_id: UUID, above_amount: int, times: int) -> int:
    """Let drafts wait for a person that are so many times the last invoice; returns how many."""
    rows = await tx.fetch(JUMPS, run_id, above_amount, times)
    for row in rows:
        because = (
            f"{row['total_amount']} is more than {times} times the last invoice, "
            f"{row['before_amount']}"
        )
        await tx.execute(HOLD, row["id"], because)
    return len(rows)


COUNT_DRAFTS = """
SELECT count(*)
  FROM invoice
 WHERE run_id = $1
   AND state = 'draft'
   AND held_because IS NULL
"""


async def count_drafts(tx: Connection, run_id: UUID) -> int:
    found: int = await tx.fetchval(COUNT_DRAFTS, run_id)
    return found


# Beside what was billed before

# The last invoice of the same seller, customer and currency.
PREVIEWED = """
SELECT invoice.id, invoice.kind, invoice.seller_id, invoice.buyer_id, party.name AS buyer_name,
       invoice.currency, lower(invoice.period) AS period_from, upper(invoice.period) AS period_to,
       invoice.net_amount, invoice.vat_amount, invoice.total_amount,
       latest.number AS before_number, latest.total_amount AS before_amount
  FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, position)
  JOIN invoice USING (id)
  JOIN party ON party.id = invoice.buyer_id
  LEFT JOIN LATERAL (
         SELECT number, total_amount
           FROM invoice AS before
          WHERE before.buyer_id = invoice.buyer_id
            AND before.currency = invoice.currency
            AND before.seller_id IS NOT DISTINCT FROM invoice.seller_id
            AND before.state = 'final'
            AND before.run_id <> invoice.run_id
          ORDER BY before.id DESC
          LIMIT 1) AS latest ON true
 ORDER BY given.position
"""


async def previewed(tx: Connection, invoice_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(PREVIEWED, invoice_ids)


PREVIEWED_LINES = """
SELECT line_id, contract_id, site_id, pack_id, component, kind,
       reverses_id IS NOT NULL AS takes_back,
       lower(during) AS from_on, upper(during) AS to_on,
       upper(during) - lower(during) AS days, period_days, price_amount, quantity, unit_price,
       amount, vat_mode, vat_percent
  FROM charge
 WHERE invoice_id = ANY ($1::uuid[])
 ORDER BY contract_id, line_id, lower(during), component, amount, id
 LIMIT $2
"""

COUNT_LINES = """
SELECT count(*)
  FROM charge
 WHERE invoice_id = ANY ($1::uuid[])
"""


async def previewed_lines(tx: Connection, invoice_ids: Sequence[UUID], limit: int) -> list[Record]:
    return await tx.fetch(PREVIEWED_LINES, invoice_ids, limit)


async def count_lines(tx: Connection, invoice_ids: Sequence[UUID]) -> int:
    found: int = await tx.fetchval(COUNT_LINES, invoice_ids)
    return found


# Why invoices of a run differ from the ones before, line by line. What was taken back, charged
# anew or charged late is a correction; days and prices are told apart by the price of a whole
# period. Several invoices of one customer have the same one before them, which counts once.
BESIDE_LAST = """
WITH pair AS (
  SELECT invoice.id AS this_id,
         invoice.currency,
         invoice.period,
         latest.id AS last_id,
         latest.period AS last_period
    FROM invoice
    LEFT JOIN LATERAL (
           SELECT id, period
             FROM invoice AS before
            WHERE before.buyer_id = invoice.buyer_id
              AND before.currency = invoice.currency
              AND before.seller_id IS NOT DISTINCT FROM invoice.seller_id
              AND before.state = 'final'
              AND before.run_id <> invoice.run_id
            ORDER BY before.id DESC
            LIMIT 1) AS latest ON true
   WHERE run_id = $1
     AND credits_id IS NULL
), side AS (
  SELECT this_id AS invoice_id, currency, period, true AS this FROM pair
   UNION
  SELECT last_id, currency, last_period, false FROM pair WHERE last_id IS NOT NULL
)
SELECT side.currency,
       side.this,
       charge.line_id,
       charge.amount,
       charge.price_amount,
       CASE
         WHEN charge.kind IN ('throughput', 'cycles', 'distance', 'minimum', 'maximum')
         THEN 'usage'
         WHEN charge.kind = 'availability' THEN 'sla'
         WHEN charge.fee_id IS NOT NULL OR charge.kind = 'one_off' THEN 'fees'
         WHEN charge.reverses_id IS NOT NULL OR charge.revision > 1
           OR lower(charge.during) < lower(side.period)
         THEN 'correction'
       END AS cause
  FROM side
  JOIN charge USING (invoice_id)
"""

CAUSES = f"""
WITH marked AS (
{BESIDE_LAST}
), by_line AS (
  SELECT currency,
         line_id,
         cause,
         sum(amount) FILTER (WHERE this) AS this,
         sum(amount) FILTER (WHERE NOT this) AS last,
         max(price_amount) FILTER (WHERE this) AS this_price,
         max(price_amount) FILTER (WHERE NOT this) AS last_price
    FROM marked
   GROUP BY currency, line_id, cause
), named AS (
  SELECT currency,
         line_id,
         coalesce(cause, CASE
           WHEN last IS NULL THEN 'new'
           WHEN this IS NULL THEN 'ended'
           WHEN this_price <> last_price THEN 'price'
           ELSE 'days'
         END) AS cause,
         coalesce(this, 0) - coalesce(last, 0) AS amount
    FROM by_line
)
SELECT currency, cause, count(DISTINCT line_id)::integer AS lines, sum(amount)::bigint AS amount
  FROM named
 WHERE amount <> 0
 GROUP BY currency, cause
 ORDER BY currency, cause
"""


async def causes(tx: Connection, run_id: UUID) -> list[Record]:
    return await tx.fetch(CAUSES, run_id)


COMPARED = f"""
WITH marked AS (
{BESIDE_LAST}
)
SELECT currency,
       coalesce(sum(amount) FILTER (WHERE NOT this), 0)::bigint AS last_amount,
       coalesce(sum(amount) FILTER (WHERE this), 0)::bigint AS this_amount
  FROM marked
 GROUP BY currency
 ORDER BY currency
"""


async def compared(tx: Connection, run_id: UUID) -> list[Record]:
    """What is charged, beside the last time."""
    return await tx.fetch(COMPARED, run_id)


# Final

READY = """
SELECT invoice.id, invoice.kind, seller_id, buyer_id, currency, sums.kind AS of_kind, vat_mode,
       vat_percent, amount
  FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, position)
  JOIN invoice USING (id)
  JOIN invoice_sum AS sums ON sums.invoice_id = invoice.id
 WHERE state = 'draft'
 ORDER BY given.position, sums.kind, vat_mode, vat_percent
"""


async def ready(tx: Connection, invoice_ids: Sequence[UUID]) -> list[Draft]:
    """Drafts with their sums, in the order given; those that are final already are left out."""
    found: dict[UUID, Draft] = {}
    for row in await tx.fetch(READY, invoice_ids):
        draft = found.setdefault(
            row["id"],
            Draft(row["id"], row["kind"], row["seller_id"], row["buyer_id"], row["currency"], []),
        )
        draft.sums.append(
            Sum(
                Component(row["of_kind"]),
                VatMode(row["vat_mode"]),
                row["vat_percent"],
                row["amount"],
            )
        )
    return list(found.values())


LOCK = """
SELECT id, state
  FROM invoice
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""


async def lock(tx: Connection, invoice_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Hold invoices; returns the state of each."""
    return {row["id"]: row["state"] for row in await tx.fetch(LOCK, invoice_ids)}


# Of several contracts on one invoice the longest time to pay holds for all.
PAYMENT_DAYS = """
SELECT billed.invoice_id, max(terms.payment_days)::integer AS days
  FROM (SELECT DISTINCT invoice_id, contract_id
          FROM charge
         WHERE invoice_id = ANY ($1::uuid[])) AS billed
  JOIN LATERAL (
         SELECT payment_days
           FROM contract_revision
          WHERE contract_id = billed.contract_id
            AND lower(during) <= $2
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
 GROUP BY billed.invoice_id
"""


async def payment_days(
    tx: Connection, invoice_ids: Sequence[UUID], issued_on: date
) -> dict[UUID, int]:
    """The time to pay that is agreed on the day of issue; of an ended contract, what was last."""
    rows = await tx.fetch(PAYMENT_DAYS, invoice_ids, issued_on)
    return {row["invoice_id"]: row["days"] for row in rows}


NEXT_NUMBERS = """
INSERT INTO invoice_series AS counter (seller_id, series, year, last_number)
VALUES ($1, $2, $3, $4)
    ON CONFLICT ON CONSTRAINT invoice_series_once
    DO UPDATE SET last_number = counter.last_number + excluded.last_number
RETURNING last_number
"""


async def next_numbers(
    tx: Connection, seller_id: UUID | None, series: str, year: int, count: int
) -> int:
    """The first of so many next numbers. The counter's row stays locked until the transaction
    ends, so a number is used or nobody ever saw it."""
    last: int = await tx.fetchval(NEXT_NUMBERS, seller_id, series, year, count)
    return last - count + 1


INSERT_VAT = """
INSERT INTO invoice_vat (invoice_id, vat_percent, net_amount, vat_amount)
SELECT *
  FROM unnest($1::uuid[], $2::numeric[], $3::bigint[], $4::bigint[])
"""

FINALISE = """
UPDATE invoice
   SET state = 'final',
       number = given.number,
       issued_on = $4,
       due_on = given.due_on,
       finalised_at = $5
  FROM unnest($1::uuid[], $2::text[], $3::date[]) AS given (id, number, due_on)
 WHERE invoice.id = given.id
"""


async def finalise(
    tx: Connection,
    numbers: dict[UUID, str],
    due_on: dict[UUID, date],
    statements: dict[UUID, Statement],
    issued_on: date,
    now: datetime,
) -> None:
    taxes = [
        (invoice_id, percent, part.net_amount, part.vat_amount)
        for invoice_id, statement in statements.items()
        for percent, part in sorted(statement.by_rate.items())
    ]
    if taxes:
        await tx.execute(INSERT_VAT, *map(list, zip(*taxes, strict=True)))
    await tx.execute(
        FINALISE,
        list(numbers),
        list(numbers.values()),
        [due_on[invoice_id] for invoice_id in numbers],
        issued_on,
        now,
    )


NOT_DELIVERED = """
SELECT id
  FROM invoice
 WHERE run_id = $1
   AND state = 'final'
   AND NOT EXISTS (SELECT FROM invoice_delivery WHERE invoice_id = invoice.id)
 ORDER BY id
"""


async def not_delivered(tx: Connection, run_id: UUID) -> list[UUID]:
    return [row["id"] for row in await tx.fetch(NOT_DELIVERED, run_id)]


DELIVER = """
INSERT INTO invoice_delivery (invoice_id, channel, delivered_at)
SELECT id, 'portal', $2
  FROM unnest($1::uuid[]) AS given (id)
    ON CONFLICT DO NOTHING
"""


async def deliver(tx: Connection, invoice_ids: Sequence[UUID], now: datetime) -> None:
    await tx.execute(DELIVER, invoice_ids, now)


# Credit notes

CREDITED = """
SELECT charge.contract_id, array_agg(charge.id) FILTER (WHERE NOT is_reversed) AS open,
       count(*) FILTER (WHERE is_reversed OR reverses_id IS NOT NULL) AS closed
  FROM charge
 WHERE invoice_id = $1
 GROUP BY charge.contract_id
"""


async def charged_on(tx: Connection, invoice_id: UUID) -> tuple[list[UUID], list[UUID], int]:
    """Contracts and charges of an invoice, and how many of the charges were taken back or take
    others back."""
    rows = await tx.fetch(CREDITED, invoice_id)
    return (
        [row["contract_id"] for row in rows],
        [charge_id for row in rows for charge_id in row["open"] or []],
        sum(row["closed"] for row in rows),
    )


INSERT_CREDIT_NOTE = """
INSERT INTO invoice (kind, credits_id, reason, seller_id, buyer_id, currency, period)
SELECT 'credit_note', id, $2, seller_id, buyer_id, currency, period
  FROM invoice
 WHERE id = $1
RETURNING id
"""


async def insert_credit_note(tx: Connection, invoice_id: UUID, reason: str) -> UUID:
    note_id: UUID = await tx.fetchval(INSERT_CREDIT_NOTE, invoice_id, reason)
    return note_id


RELEASE = """
UPDATE invoice
   SET held_because = NULL,
       approved_by = $2
 WHERE id = $1
"""


async def release(tx: Connection, invoice_id: UUID, by: str) -> None:
    await tx.execute(RELEASE, invoice_id, by)


# Reading

VIEW = """
SELECT id, run_id, kind, credits_id, reason, held_because, number, state, seller_id, buyer_id,
       currency, lower(period) AS period_from, upper(period) AS period_to, issued_on, due_on,
       net_amount, vat_amount, total_amount
  FROM invoice
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR buyer_id = $2)
   AND ($3::uuid IS NULL OR run_id = $3)
   AND ($4::boolean IS NULL OR (held_because IS NOT NULL) = $4)
 ORDER BY id
 LIMIT $5
"""


async def get(tx: Connection, invoice_id: UUID) -> Record | None:
    return await tx.fetchrow(GET, invoice_id)


async def after(
    tx: Connection,
    invoice_id: UUID,
    *,
    buyer_id: UUID | None,
    run_id: UUID | None,
    held: bool | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, invoice_id, buyer_id, run_id, held, limit)


CHARGES = """
SELECT id, invoice_id, line_id, contract_id, site_id, pack_id, component, kind, fee_id,
       reverses_id, lower(during) AS from_on, upper(during) AS to_on,
       upper(during) - lower(during) AS days, period_days, price_amount, quantity, unit_price,
       amount, vat_mode, vat_percent, revision
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


# Of the party's own lines, on the final invoices that it gets and on those that others get. They
# are found by invoice, in an order that an index has: a lessee has many lines on few invoices.
OF_A_LESSEE = """
SELECT charge.id, charge.invoice_id, charge.line_id, charge.contract_id, charge.site_id,
       charge.pack_id, charge.component, charge.kind, charge.fee_id, charge.reverses_id,
       lower(charge.during) AS from_on, upper(charge.during) AS to_on,
       upper(charge.during) - lower(charge.during) AS days, charge.period_days,
       charge.price_amount, charge.quantity, charge.unit_price, charge.amount, charge.vat_mode,
       charge.vat_percent, charge.revision, charge.is_reversed AS taken_back,
       document.number AS invoice_number, 'final' AS invoice_state,
       document.kind AS invoice_kind, document.currency, document.issued_on
  FROM (SELECT id, number, kind, currency, issued_on
          FROM invoice
         WHERE buyer_id = $1
           AND state = 'final'
         UNION ALL
        SELECT invoice_id, number, kind, currency, issued_on
          FROM invoice_lessee
         WHERE lessee_id = $1) AS document
 CROSS JOIN LATERAL (
         SELECT *
           FROM charge
          WHERE charge.invoice_id = document.id
            AND (charge.invoice_id, charge.id) > ($2, $3)
            AND ($4::uuid IS NULL OR charge.contract_id = $4)
            AND ($5::uuid IS NULL OR charge.line_id = $5)
            AND EXISTS (SELECT FROM lease_line
                         WHERE lease_line.id = charge.line_id
                           AND lessee_id = $1)
          ORDER BY charge.invoice_id, charge.id
          LIMIT $6) AS charge
 WHERE document.id >= $2
 ORDER BY charge.invoice_id, charge.id
 LIMIT $6
"""


async def charged_to(
    tx: Connection,
    lessee_id: UUID,
    position: tuple[UUID, UUID],
    *,
    contract_id: UUID | None,
    line_id: UUID | None,
    limit: int,
) -> list[Record]:
    """What was charged for a lessee's lines, from a position of invoice and charge on."""
    return await tx.fetch(OF_A_LESSEE, lessee_id, *position, contract_id, line_id, limit)
