"""Late interest (逾期利息), month by month.

On the first of a month the job accrues what fell on the days before it. All interest of an invoice
up to a day is one figure, rounded once; a month's accrual is the difference of two of them, so that
rounding does not add up. When the figure for days that were accrued has changed, because money came
that was received before, or an allocation was taken back, the difference is a row of its own, dated
on the day it was found: what was accrued stays as it was.

What accrues is owed like an invoice. What is given back is credit, and pays the interest of the
same invoice first.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.kit.time import month_of
from leasing.ledger import service as ledger
from leasing.receivables import ancillary, rules, service, store
from leasing.receivables.ancillary import Taxation
from leasing.receivables.model import InterestAccrued, InterestTerms, Receivable
from schemas.receivables import InterestTermsCreate, InterestTermsView, ReceivableKind

# --- Terms ------------------------------------------------------------------------------------

INSERT_TERMS = """
INSERT INTO interest_terms (party_id, from_on, annual_percent, year_days, grace_days, grace_is_free,
                            cap_percent, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id
"""

TERMS = """
SELECT id, party_id, from_on, annual_percent, year_days, grace_days, grace_is_free, cap_percent,
       entered_by, entered_at
  FROM interest_terms
"""

GET_TERMS = f"""{TERMS}
 WHERE id = $1
"""

LIST_TERMS = f"""{TERMS}
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
 ORDER BY id
 LIMIT $3
"""

ACCRUED_SINCE = """
SELECT true
  FROM interest_accrual
  JOIN receivable ON receivable.id = interest_accrual.invoice_id
 WHERE due_on >= $2
   AND ($1::uuid IS NULL OR interest_accrual.party_id = $1)
 LIMIT 1
"""


async def agree(
    tx: Connection, data: InterestTermsCreate, *, by: str, now: datetime
) -> InterestTermsView:
    """Terms for invoices due from a day on, of a party or of everybody without its own. What was
    accrued by other terms stays: raises `InterestAccrued`."""
    if await tx.fetchval(ACCRUED_SINCE, data.party_id, data.from_on):
        raise InterestAccrued(f"for invoices due on {data.from_on} or later")
    terms_id: UUID = await tx.fetchval(
        INSERT_TERMS,
        data.party_id,
        data.from_on,
        Decimal(data.annual_percent),
        data.year_days,
        data.grace_days,
        data.grace_is_free,
        None if data.cap_percent is None else Decimal(data.cap_percent),
        by,
        now,
    )
    agreed = Event(
        "interest_terms", terms_id, "interest_terms.agreed", msgspec.structs.asdict(data)
    )
    await events.append(tx, [agreed], actor=by, now=now)
    return convert((await tx.fetchrow(GET_TERMS, terms_id)) or {}, InterestTermsView)


async def terms_after(
    tx: Connection, terms_id: UUID, party_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_TERMS, terms_id, party_id, limit)


# --- Accruing ---------------------------------------------------------------------------------

CANDIDATES = """
SELECT receivable.id
  FROM receivable
 WHERE kind = 'invoice'
   AND amount > 0
   AND NOT interest_settled
   AND due_on < $1
   AND id > $2
   AND EXISTS (
         SELECT FROM interest_terms
          WHERE (interest_terms.party_id = receivable.party_id OR interest_terms.party_id IS NULL)
            AND from_on <= receivable.due_on)
 ORDER BY id
 LIMIT $3
"""

# Most invoices are paid in time, and one look at them is enough.
SETTLE_PAID_IN_TIME = """
UPDATE receivable
   SET interest_settled = true
 WHERE kind = 'invoice'
   AND amount > 0
   AND NOT interest_settled
   AND open_amount = 0
   AND due_on < $1
   AND NOT EXISTS (
         SELECT FROM allocation
          WHERE receivable_id = receivable.id
            AND value_on > receivable.due_on)
   AND NOT EXISTS (
         SELECT FROM interest_accrual
          WHERE interest_accrual.invoice_id = receivable.id)
"""


async def settle_paid_in_time(tx: Connection, until: date) -> None:
    await tx.execute(SETTLE_PAID_IN_TIME, until)


async def candidates(tx: Connection, until: date, after: UUID, limit: int) -> list[UUID]:
    """The next invoices that may owe interest for days before one."""
    return [row["id"] for row in await tx.fetch(CANDIDATES, until, after, limit)]


# The terms of an invoice are those of its due day, the party's own before those of everybody.
AGREED = """
SELECT receivable.id AS invoice_id, terms.id, annual_percent, year_days, grace_days, grace_is_free,
       cap_percent
  FROM receivable
  JOIN LATERAL (
         SELECT id, annual_percent, year_days, grace_days, grace_is_free, cap_percent
           FROM interest_terms
          WHERE (interest_terms.party_id = receivable.party_id OR interest_terms.party_id IS NULL)
            AND from_on <= due_on
          ORDER BY interest_terms.party_id IS NULL, from_on DESC
          LIMIT 1) AS terms ON true
 WHERE receivable.id = ANY ($1::uuid[])
"""

PAID = """
SELECT receivable_id, value_on, amount
  FROM allocation
 WHERE receivable_id = ANY ($1::uuid[])
   AND reverses_id IS NULL
   AND NOT EXISTS (
         SELECT FROM allocation AS reversal
          WHERE reversal.reverses_id = allocation.id)
 ORDER BY value_on, id
"""

ACCRUED = """
SELECT invoice_id,
       sum(amount)::bigint AS amount,
       max(upper(days)) FILTER (WHERE correction = 0) AS to_on,
       count(*) FILTER (WHERE month = $2 AND correction > 0) AS corrections
  FROM interest_accrual
 WHERE invoice_id = ANY ($1::uuid[])
 GROUP BY invoice_id
"""

SETTLED = """
UPDATE receivable
   SET interest_settled = true
 WHERE id = ANY ($1::uuid[])
"""

INSERT_ACCRUALS = """
INSERT INTO interest_accrual (invoice_id, party_id, currency, terms_id, month, correction, days,
                              amount, posted_on, entered_at)
SELECT receivable.id, party_id, currency, terms_id, month, correction, daterange(from_on, to_on),
       given.amount, posted_on, $10
  FROM unnest($1::uuid[], $2::uuid[], $3::date[], $4::int[], $5::date[], $6::date[], $7::bigint[],
              $8::date[], $9::int[])
       AS given (invoice_id, terms_id, month, correction, from_on, to_on, amount, posted_on,
                 position)
  JOIN receivable ON receivable.id = given.invoice_id
 ORDER BY position
RETURNING id
"""


class Accrued(msgspec.Struct, frozen=True):
    """What the rows of an invoice come to."""

    amount: int
    to_on: date | None
    """The day to which whole months were accrued."""
    corrections: int
    """How many there are in the month."""


class Accrual(NamedTuple):
    """A row to be written."""

    month: date
    correction: int
    from_on: date
    to_on: date
    amount: int
    posted_on: date


Written = tuple[Receivable, InterestTerms, Accrual]


async def accrue(
    tx: Connection, invoice_ids: Sequence[UUID], until: date, on: date, *, by: str, now: datetime
) -> None:
    """Accrue the interest of invoices for the days before the first of a month, once, and put right
    what was accrued before."""
    held = await store.lock(tx, invoice_ids)
    ids = list(held)
    month, _ = month_of(until - timedelta(days=1))
    terms = {row["invoice_id"]: convert(row, InterestTerms) for row in await tx.fetch(AGREED, ids)}
    before = {
        row["invoice_id"]: convert(row, Accrued) for row in await tx.fetch(ACCRUED, ids, month)
    }
    paid: dict[UUID, list[tuple[date, int]]] = {id_: [] for id_ in ids}
    for row in await tx.fetch(PAID, ids):
        paid[row["receivable_id"]].append((row["value_on"], row["amount"]))
    rows: list[Written] = []
    for id_, invoice in held.items():

        def owed(to_on: date, invoice: Receivable = invoice) -> int:
            return rules.owed_interest(invoice, terms[invoice.id], paid[invoice.id], to_on)

        accrued = before.get(id_, Accrued(amount=0, to_on=None, corrections=0))
        made = missing(invoice.due_on, accrued, until, month, on, owed)
        rows += [(invoice, terms[id_], row) for row in made]
    await write(tx, rows, by=by, now=now)
    settled = [
        id_
        for id_, invoice in held.items()
        if invoice.open_amount == 0 and all(value_on <= until for value_on, _ in paid[id_])
    ]
    await tx.execute(SETTLED, settled)


def missing(
    due_on: date, accrued: Accrued, until: date, month: date, on: date, owed: Callable[[date], int]
) -> list[Accrual]:
    """What the rows that are there lack: a correction of the days they cover, and the days after
    them."""
    rows = []
    since = accrued.to_on or due_on
    before = owed(since)
    if before != accrued.amount:
        number, difference = accrued.corrections + 1, before - accrued.amount
        rows.append(Accrual(month, number, due_on, since, difference, on))
    if since < until:
        last = until - timedelta(days=1)
        rows.append(Accrual(month, 0, since, until, owed(until) - before, last))
    return rows


async def write(tx: Connection, rows: Sequence[Written], *, by: str, now: datetime) -> None:
    columns = [list(column) for column in zip(*(row for *_, row in rows), strict=True)]
    ids = [
        made["id"]
        for made in await tx.fetch(
            INSERT_ACCRUALS,
            [invoice.id for invoice, _, _ in rows],
            [terms.id for _, terms, _ in rows],
            *(columns or [[]] * len(Accrual._fields)),
            list(range(len(rows))),
            now,
        )
    ]
    taxation = await ancillary.taxation(tx, [invoice.id for invoice, _, _ in rows])
    facts = []
    for id_, (invoice, _, row) in zip(ids, rows, strict=True):
        if row.amount != 0:
            await owe(tx, id_, invoice, row, taxation)
            facts.append(event_of(id_, invoice, row))
    await events.append(tx, facts, actor=by, now=now)
    for id_, (invoice, _, row) in zip(ids, rows, strict=True):
        if row.amount < 0:
            await give_back(tx, invoice.id, id_, by=by, now=now)


async def owe(
    tx: Connection, accrual_id: UUID, invoice: Receivable, row: Accrual, taxation: Taxation
) -> None:
    vat_amount = taxation.vat(invoice.id, row.amount, row.posted_on)
    suffix = f"/{row.month:%Y-%m}" + (f"/{row.correction}" if row.correction else "")
    await store.insert_receivable(
        tx,
        accrual_id,
        ReceivableKind.INTEREST,
        of=invoice,
        number=invoice.number + suffix,
        issued_on=row.posted_on,
        due_on=row.posted_on,
        amount=row.amount,
        vat_amount=vat_amount,
    )
    await ledger.post(
        tx,
        source="interest_accrual",
        source_id=accrual_id,
        event="accrued",
        currency=invoice.currency,
        posted_on=row.posted_on,
        party_id=invoice.party_id,
        amounts=ancillary.entry(row.amount, vat_amount, "revenue_interest"),
    )


def event_of(accrual_id: UUID, invoice: Receivable, row: Accrual) -> Event:
    facts: dict[str, object] = {
        "on": row.posted_on,
        "interest_accrual_id": accrual_id,
        "month": row.month,
        "correction": row.correction,
        "amount": row.amount,
    }
    kind = "receivable.interest_corrected" if row.correction else "receivable.interest_accrued"
    return Event("receivable", invoice.id, kind, facts)


OPEN_INTEREST = """
SELECT id
  FROM receivable
 WHERE invoice_id = $1
   AND kind = 'interest'
   AND open_amount > 0
"""


async def give_back(
    tx: Connection, invoice_id: UUID, credit_id: UUID, *, by: str, now: datetime
) -> None:
    """Interest that was too much pays the rest of the same invoice's interest."""
    open_ids = [row["id"] for row in await tx.fetch(OPEN_INTEREST, invoice_id)]
    held = await store.lock(tx, [credit_id, *open_ids])
    credit = held.pop(credit_id)
    parts = rules.by_order(-credit.open_amount, list(held.values()), rules.Order())
    await service.settle(tx, service.of_credit(credit, parts), by=by, now=now)


# --- Reading ----------------------------------------------------------------------------------

ACCRUALS = """
SELECT id, invoice_id, party_id, currency, terms_id, month, correction, lower(days) AS from_on,
       upper(days) AS to_on, amount, posted_on, entered_at
  FROM interest_accrual
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
   AND ($3::uuid IS NULL OR invoice_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def accruals_after(
    tx: Connection, accrual_id: UUID, party_id: UUID | None, invoice_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(ACCRUALS, accrual_id, party_id, invoice_id, limit)
