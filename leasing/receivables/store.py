"""Receivables, payments and allocations in the database."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.receivables.model import Allocation, Entered, Payment, Receivable
from leasing.receivables.rules import Nets, Order
from schemas.receivables import (
    AllocationSource,
    DebtKind,
    FirstBy,
    PaymentCreate,
    ReceivableKind,
)

# --- Receivables ------------------------------------------------------------------------------

RECEIVABLE = """id, kind, invoice_id, number, party_id, currency, issued_on, due_on, amount,
       open_amount, changed_on"""

# Whoever settles something holds first its payment, then its deposit, then receivables by id.
LOCK_OPEN = f"""
SELECT {RECEIVABLE}
  FROM receivable
 WHERE (party_id, currency) IN (
         SELECT party_id, currency
           FROM unnest($1::uuid[], $2::text[]) AS payer (party_id, currency))
   AND open_amount <> 0
 ORDER BY id
   FOR UPDATE
"""


async def lock_open(tx: Connection, payers: set[tuple[UUID, str]]) -> list[Receivable]:
    """Everything that is open of parties, debts and credit, each party in one currency."""
    parties = [party_id for party_id, _ in payers]
    currencies = [currency for _, currency in payers]
    return convert_all(await tx.fetch(LOCK_OPEN, parties, currencies), Receivable)


READ = f"""
SELECT {RECEIVABLE}
  FROM receivable
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
"""

LOCK = f"""{READ}
   FOR UPDATE
"""


async def read(tx: Connection, receivable_ids: Sequence[UUID]) -> dict[UUID, Receivable]:
    found = convert_all(await tx.fetch(READ, receivable_ids), Receivable)
    return {one.id: one for one in found}


async def lock(tx: Connection, receivable_ids: Sequence[UUID]) -> dict[UUID, Receivable]:
    found = convert_all(await tx.fetch(LOCK, receivable_ids), Receivable)
    return {one.id: one for one in found}


INSERT_RECEIVABLE = """
INSERT INTO receivable (id, kind, invoice_id, number, party_id, currency, issued_on, due_on,
                        amount, open_amount, vat_amount, changed_on, interest_settled)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $7, true)
"""


async def insert_receivable(
    tx: Connection,
    receivable_id: UUID,
    kind: ReceivableKind,
    *,
    of: Receivable,
    number: str,
    issued_on: date,
    due_on: date,
    amount: int,
    vat_amount: int,
) -> None:
    """Something owed on account of an invoice, with the VAT that is in it."""
    await tx.execute(
        INSERT_RECEIVABLE,
        receivable_id,
        kind,
        of.invoice_id,
        number,
        of.party_id,
        of.currency,
        issued_on,
        due_on,
        amount,
        vat_amount,
    )


# What was allocated and not taken back.
VIEW = """
SELECT receivable.id, kind, invoice_id, number, party_id, currency, issued_on, due_on, amount,
       open_amount, vat_amount, automatic,
       coalesce(settled.written_off_amount, 0)::bigint AS written_off_amount,
       CASE WHEN open_amount > 0 AND due_on < $1 THEN due_on + 1 END AS overdue_since,
       CASE WHEN open_amount = 0 AND coalesce(settled.written_off_amount, 0) = 0
            THEN settled.last_on END AS paid_on
  FROM receivable
  LEFT JOIN LATERAL (
         SELECT sum(amount) FILTER (WHERE source = 'write_off') AS written_off_amount,
                max(value_on) AS last_on
           FROM allocation
          WHERE allocation.receivable_id = receivable.id
            AND reverses_id IS NULL
            AND NOT EXISTS (
                  SELECT FROM allocation AS reversal
                   WHERE reversal.reverses_id = allocation.id)) AS settled ON true
"""

GET = f"""{VIEW}
 WHERE receivable.id = $2
"""

LIST = f"""{VIEW}
 WHERE receivable.id > $2
   AND ($3::uuid IS NULL OR party_id = $3)
   AND ($4::uuid IS NULL OR invoice_id = $4)
   AND ($5::bool IS NULL OR (open_amount <> 0) = $5)
   AND ($6::bool IS NULL OR (open_amount > 0 AND due_on < $1) = $6)
 ORDER BY receivable.id
 LIMIT $7
"""


async def get(tx: Connection, receivable_id: UUID, today: date) -> Record | None:
    return await tx.fetchrow(GET, today, receivable_id)


async def after(
    tx: Connection,
    receivable_id: UUID,
    today: date,
    *,
    party_id: UUID | None,
    invoice_id: UUID | None,
    is_open: bool | None,
    overdue: bool | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(LIST, today, receivable_id, party_id, invoice_id, is_open, overdue, limit)


# --- Payments ---------------------------------------------------------------------------------

INSERT_PAYMENTS = """
INSERT INTO payment (payer_id, currency, amount, unallocated_amount, received_on, method, reference,
                     note, automatic, changed_on, entered_by, created_at)
SELECT payer_id, currency, amount, amount, received_on, method, reference, note, automatic,
       received_on, $9, $10
  FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::date[], $5::text[], $6::text[], $7::text[],
              $8::bool[])
       WITH ORDINALITY
       AS given (payer_id, currency, amount, received_on, method, reference, note, automatic,
                 position)
 ORDER BY position
RETURNING id
"""


async def insert_payments(
    tx: Connection, payments: Sequence[PaymentCreate], by: str, now: datetime
) -> list[UUID]:
    """Insert payments; their ids come back in the same order."""
    rows = await tx.fetch(
        INSERT_PAYMENTS,
        [one.payer_id for one in payments],
        [one.currency for one in payments],
        [one.amount for one in payments],
        [one.received_on for one in payments],
        [one.method for one in payments],
        [one.reference for one in payments],
        [one.note for one in payments],
        [one.automatic for one in payments],
        by,
        now,
    )
    return [row["id"] for row in rows]


TAKEN = """
SELECT payer_id, reference
  FROM payment
 WHERE (payer_id, reference) IN (
         SELECT payer_id, reference
           FROM unnest($1::uuid[], $2::text[]) AS given (payer_id, reference))
"""


async def references_taken(
    tx: Connection, payments: Sequence[PaymentCreate]
) -> set[tuple[UUID, str]]:
    payers = [one.payer_id for one in payments]
    rows = await tx.fetch(TAKEN, payers, [one.reference for one in payments])
    return {(row["payer_id"], row["reference"]) for row in rows}


PAYMENT = """id, payer_id, currency, amount, unallocated_amount, received_on, changed_on,
       bounced_on"""

LOCK_PAYMENT = f"""
SELECT {PAYMENT}
  FROM payment
 WHERE id = $1
   FOR UPDATE
"""

LOCK_CREDIT = f"""
SELECT {PAYMENT}
  FROM payment
 WHERE payer_id = $1
   AND currency = $2
   AND unallocated_amount > 0
   AND automatic
 ORDER BY id
   FOR UPDATE
"""


async def lock_payment(tx: Connection, payment_id: UUID) -> Payment | None:
    row = await tx.fetchrow(LOCK_PAYMENT, payment_id)
    return convert(row, Payment) if row else None


async def lock_credit(tx: Connection, payer_id: UUID, currency: str) -> list[Payment]:
    """A party's payments that may pay something more."""
    return convert_all(await tx.fetch(LOCK_CREDIT, payer_id, currency), Payment)


PAYMENT_VIEW = """
SELECT id, payer_id, currency, amount, unallocated_amount, received_on, method, reference, note,
       automatic, bounced_on, bounce_reason, entered_by, created_at
  FROM payment
"""

GET_PAYMENT = f"""{PAYMENT_VIEW}
 WHERE id = $1
"""

LIST_PAYMENTS = f"""{PAYMENT_VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR payer_id = $2)
   AND ($3::bool IS NULL OR (unallocated_amount > 0) = $3)
 ORDER BY id
 LIMIT $4
"""


async def payment(tx: Connection, payment_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_PAYMENT, payment_id)


async def payments_after(
    tx: Connection, payment_id: UUID, payer_id: UUID | None, has_credit: bool | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_PAYMENTS, payment_id, payer_id, has_credit, limit)


BOUNCE = """
UPDATE payment
   SET unallocated_amount = 0,
       automatic = false,
       changed_on = $2,
       bounced_on = $2,
       bounce_reason = $3
 WHERE id = $1
"""


async def bounce(tx: Connection, payment_id: UUID, on: date, reason: str) -> None:
    await tx.execute(BOUNCE, payment_id, on, reason)


# Who has credit and owes something, in one currency.
WITH_CREDIT = """
SELECT DISTINCT debt.party_id, debt.currency
  FROM receivable AS debt
 WHERE debt.open_amount > 0
   AND (debt.party_id, debt.currency) > ($1, $2::text)
   AND (EXISTS (
          SELECT FROM payment
           WHERE payer_id = debt.party_id
             AND payment.currency = debt.currency
             AND unallocated_amount > 0
             AND payment.automatic)
     OR EXISTS (
          SELECT FROM receivable AS credit
           WHERE credit.party_id = debt.party_id
             AND credit.currency = debt.currency
             AND credit.open_amount < 0
             AND credit.automatic))
 ORDER BY debt.party_id, debt.currency
 LIMIT $3
"""


async def with_credit(
    tx: Connection, after: tuple[UUID, str], limit: int
) -> list[tuple[UUID, str]]:
    """The next parties that owe something which their own money could pay."""
    rows = await tx.fetch(WITH_CREDIT, *after, limit)
    return [(row["party_id"], row["currency"]) for row in rows]


AUTOMATIC_CREDIT = """
SELECT id
  FROM receivable
 WHERE id = ANY ($1::uuid[])
   AND automatic
"""


async def automatic_among(tx: Connection, credit_ids: Sequence[UUID]) -> set[UUID]:
    return {row["id"] for row in await tx.fetch(AUTOMATIC_CREDIT, credit_ids)}


# --- Allocations ------------------------------------------------------------------------------

INSERT_ALLOCATIONS = """
INSERT INTO allocation (source, payment_id, credit_id, contract_id, receivable_id, party_id,
                        currency, amount, value_on, posted_on, reason, reverses_id, entered_by,
                        entered_at)
SELECT source,
       CASE WHEN source = 'payment' THEN source_id END,
       CASE WHEN source = 'credit' THEN source_id END,
       CASE WHEN source = 'deposit' THEN source_id END,
       receivable_id, party_id, currency, amount, value_on, posted_on, reason, reverses_id, $11, $12
  FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::date[],
              $8::date[], $9::text[], $10::uuid[])
       WITH ORDINALITY
       AS given (source, source_id, receivable_id, party_id, currency, amount, value_on, posted_on,
                 reason, reverses_id, position)
 ORDER BY position
RETURNING id
"""


async def insert_allocations(
    tx: Connection, rows: Sequence[Allocation], by: str, now: datetime
) -> list[Entered]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    made = await tx.fetch(INSERT_ALLOCATIONS, *columns, by, now)
    return [Entered(row["id"], one) for row, one in zip(made, rows, strict=True)]


ALLOCATION = """
SELECT id, source, payment_id, credit_id, contract_id, receivable_id, party_id, currency, amount,
       value_on, posted_on, reason, reverses_id, entered_by, entered_at
  FROM allocation
"""

GET_ALLOCATIONS = f"""{ALLOCATION}
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
"""

LIST_ALLOCATIONS = f"""{ALLOCATION}
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
   AND ($3::uuid IS NULL OR payment_id = $3)
   AND ($4::uuid IS NULL OR receivable_id = $4)
   AND ($5::text IS NULL OR source = $5)
 ORDER BY id
 LIMIT $6
"""

# Neither taken back nor taking back.
LIVE_OF_PAYMENT = f"""{ALLOCATION}
 WHERE payment_id = $1
   AND reverses_id IS NULL
   AND NOT EXISTS (
         SELECT FROM allocation AS reversal
          WHERE reversal.reverses_id = allocation.id)
 ORDER BY id
"""


async def allocations(tx: Connection, allocation_ids: Sequence[UUID]) -> list[Record]:
    return await tx.fetch(GET_ALLOCATIONS, allocation_ids)


async def allocations_after(
    tx: Connection,
    allocation_id: UUID,
    *,
    party_id: UUID | None,
    payment_id: UUID | None,
    receivable_id: UUID | None,
    source: AllocationSource | None,
    limit: int,
) -> list[Record]:
    return await tx.fetch(
        LIST_ALLOCATIONS, allocation_id, party_id, payment_id, receivable_id, source, limit
    )


async def live_of_payment(tx: Connection, payment_id: UUID) -> list[Record]:
    return await tx.fetch(LIVE_OF_PAYMENT, payment_id)


# --- Orders -----------------------------------------------------------------------------------

ORDERS = """
SELECT party_id, first, kinds
  FROM allocation_order
 WHERE party_id = ANY ($1::uuid[])
"""

PUT_ORDER = """
INSERT INTO allocation_order (party_id, first, kinds)
VALUES ($1, $2, $3)
    ON CONFLICT (party_id) DO UPDATE
   SET first = excluded.first,
       kinds = excluded.kinds
"""


async def orders(tx: Connection, party_ids: Sequence[UUID]) -> dict[UUID, Order]:
    """The orders of those parties that have one of their own."""
    return {
        row["party_id"]: Order(FirstBy(row["first"]), [DebtKind(kind) for kind in row["kinds"]])
        for row in await tx.fetch(ORDERS, party_ids)
    }


# What an invoice was posted as.
NETS = """
SELECT source_id AS invoice_id, account, -sum(posting.amount)::bigint AS amount
  FROM journal_entry
  JOIN posting ON posting.entry_id = journal_entry.id
 WHERE source = 'invoice'
   AND source_id = ANY ($1::uuid[])
   AND event = 'finalised'
   AND account = ANY ($2::text[])
 GROUP BY source_id, account
 ORDER BY source_id, account
"""

KINDS = {
    "revenue_fees": DebtKind.FEES,
    "revenue_usage": DebtKind.USAGE,
    "revenue_rent": DebtKind.RENT,
    "revenue_sales": DebtKind.SALES,
}


async def nets(tx: Connection, owed: Sequence[Receivable], orders: Mapping[UUID, Order]) -> Nets:
    """What open invoices come to by what their lines are for, of payers whose order asks for it."""
    ids = [
        one.id
        for one in owed
        if one.open_amount > 0
        and one.kind is ReceivableKind.INVOICE
        and one.party_id in orders
        and orders[one.party_id].by_line
    ]
    found: dict[UUID, dict[DebtKind, int]] = {}
    for row in await tx.fetch(NETS, ids, list(KINDS)) if ids else []:
        found.setdefault(row["invoice_id"], {})[KINDS[row["account"]]] = row["amount"]
    return found


async def put_order(tx: Connection, party_id: UUID, order: Order) -> None:
    await tx.execute(PUT_ORDER, party_id, order.first, list(order.kinds))


PARTY = """
SELECT true
  FROM party
 WHERE id = $1
"""


async def party_exists(tx: Connection, party_id: UUID) -> bool:
    """Whether there is a party that the reader may see."""
    return bool(await tx.fetchval(PARTY, party_id))
