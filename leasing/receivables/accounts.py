"""What a party owes: the statement of account, and the ageing of all that is owed.

Both are made of the documents, as of any day, and not of the ledger. That they agree with it is
shown, and not assumed.
"""

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from leasing.db.pool import Connection
from leasing.documents import statements
from leasing.documents.model import Firm
from leasing.documents.statements import NamedStatement, StatementDocument
from leasing.kit.errors import FieldError
from leasing.pricing import receivables
from leasing.pricing.currencies import minor_units
from leasing.receivables import service
from leasing.receivables.model import BadDays, StatementTooLong
from leasing.tariffs.model import BadCurrency
from schemas.receivables import (
    AgeingRow,
    AgeingView,
    StatementLine,
    StatementLineKind,
    StatementView,
)

MAX_LINES = 10_000

# A payment counts when it was received, whatever it pays: allocations of money and of credit change
# nothing in what is owed on the whole.
MOVEMENTS = """
SELECT issued_on AS posted_on, id, number, due_on, amount, party_id, currency,
       CASE WHEN kind = 'invoice' AND amount < 0 THEN 'credit_note' ELSE kind END AS kind
  FROM receivable
 UNION ALL
SELECT received_on, id, reference, NULL, -amount, payer_id, currency, 'payment'
  FROM payment
 UNION ALL
SELECT bounced_on, id, reference, NULL, amount, payer_id, currency, 'bounced_payment'
  FROM payment
 WHERE bounced_on IS NOT NULL
 UNION ALL
SELECT allocation.posted_on, allocation.id, receivable.number, NULL, -allocation.amount,
       allocation.party_id, allocation.currency,
       CASE source WHEN 'deposit' THEN 'deposit_used' ELSE 'write_off' END
  FROM allocation
  JOIN receivable ON receivable.id = receivable_id
 WHERE source IN ('deposit', 'write_off')
 UNION ALL
SELECT deposit_movement.posted_on, deposit_movement.id, reference, NULL,
       deposit_movement.amount, party_id, deposit_movement.currency, 'deposit_received'
  FROM deposit_movement
  JOIN payment ON payment.id = payment_id
 WHERE kind = 'received'
"""

OPENING = f"""
SELECT coalesce(sum(amount), 0)::bigint
  FROM ({MOVEMENTS}) AS movement
 WHERE party_id = $1
   AND currency = $2
   AND posted_on < $3
"""

LINES = f"""
SELECT posted_on, id, number, due_on, amount, kind
  FROM ({MOVEMENTS}) AS movement
 WHERE party_id = $1
   AND currency = $2
   AND posted_on BETWEEN $3 AND $4
 ORDER BY posted_on, id, kind DESC  -- a payment, and then that it bounced
 LIMIT $5
"""


async def statement(
    tx: Connection, party_id: UUID, currency: str, from_on: date, to_on: date
) -> StatementView:
    """What a party owed, day by day. Raises `BadDays`, `StatementTooLong`."""
    if to_on < from_on:
        message = f"{to_on} is before {from_on}"
        raise BadDays(message, fields=[FieldError("?to_on", "before_from_on", message)])
    await service.refuse_unknown_party(tx, party_id)
    opening: int = await tx.fetchval(OPENING, party_id, currency, from_on)
    rows = await tx.fetch(LINES, party_id, currency, from_on, to_on, MAX_LINES + 1)
    if len(rows) > MAX_LINES:
        raise StatementTooLong(f"more than {MAX_LINES:,}: ask for fewer days")
    lines, balance = [], opening
    for row in rows:
        balance += row["amount"]
        lines.append(
            StatementLine(
                posted_on=row["posted_on"],
                kind=StatementLineKind(row["kind"]),
                id=row["id"],
                number=row["number"],
                due_on=row["due_on"],
                amount=row["amount"],
                balance=balance,
            )
        )
    return StatementView(
        party_id=party_id,
        currency=currency,
        from_on=from_on,
        to_on=to_on,
        opening_balance=opening,
        lines=lines,
        closing_balance=balance,
    )


# The lessor is shown to everybody.
FIRMS = """
SELECT name, name_en, credit_code, registered_address
  FROM party
 WHERE id = $1
    OR id = (SELECT id FROM party WHERE kind = 'lessor' ORDER BY id LIMIT 1)
 ORDER BY id = $1
"""


async def document(
    tx: Connection, party_id: UUID, currency: str, from_on: date, to_on: date
) -> NamedStatement:
    """The same as a document, with what is open at its end by how late it is. Raises what
    `statement` raises, and `BadCurrency`."""
    digits = digits_of(currency)
    told = await statement(tx, party_id, currency, from_on, to_on)
    rows = await tx.fetch(FIRMS, party_id)
    *seller, customer = [Firm(*row) for row in rows]
    owed, credit = await open_on(tx, to_on, party_id)
    not_due, to_30, to_60, to_90, over = receivables.ageing(owed.get(currency, ()), to_on)
    unused_credit = credit.get(currency, 0)
    # What is owed on the whole is what is open, less money that settled nothing.
    unused_money = told.closing_balance - (not_due + to_30 + to_60 + to_90 + over + unused_credit)
    entries = [
        statements.Entry(one.posted_on, one.kind, one.number, one.due_on, one.amount, one.balance)
        for one in told.lines
    ]
    return statements.named(
        StatementDocument(
            currency=currency,
            digits=digits,
            first_on=from_on,
            last_on=to_on,
            seller=seller[0] if seller else Firm("—", None, None, None),
            customer=customer,
            opening_balance=told.opening_balance,
            sums=statements.sums_of(entries),
            closing_balance=told.closing_balance,
            ageing=statements.Ageing(
                not_due, to_30, to_60, to_90, over, unused_credit, unused_money
            ),
            entries=entries,
        )
    )


def digits_of(currency: str) -> int:
    try:
        return minor_units(currency)
    except ValueError as error:
        message = f"{currency} is not a currency to pay in"
        fault = FieldError("?currency", "bad_currency", message)
        raise BadCurrency(message, fields=[fault]) from error


# What was open at the end of a day. What is settled now and was not touched since is left out.
OPEN_ON = """
SELECT currency,
       due_on,
       amount < 0 AS is_credit,
       sum(amount
           - (SELECT coalesce(sum(allocation.amount), 0)
                FROM allocation
               WHERE receivable_id = receivable.id
                 AND posted_on <= $1)
           + (SELECT coalesce(sum(allocation.amount), 0)
                FROM allocation
               WHERE credit_id = receivable.id
                 AND posted_on <= $1))::bigint AS open_amount
  FROM receivable
 WHERE issued_on <= $1
   AND (open_amount <> 0 OR changed_on > $1)
   AND ($2::uuid IS NULL OR party_id = $2)
 GROUP BY currency, due_on, is_credit
 ORDER BY currency, due_on
"""


async def open_on(
    tx: Connection, as_of: date, party_id: UUID | None
) -> tuple[dict[str, list[receivables.Receivable]], dict[str, int]]:
    """What was owed and open at the end of a day, and credit that was used for nothing, by
    currency."""
    owed: dict[str, list[receivables.Receivable]] = {}
    credit: dict[str, int] = {}
    for row in await tx.fetch(OPEN_ON, as_of, party_id):
        currency, amount = row["currency"], row["open_amount"]
        if row["is_credit"]:
            credit[currency] = credit.get(currency, 0) + amount
        else:
            item = receivables.Receivable("", row["due_on"], amount)
            owed.setdefault(currency, []).append(item)
    return owed, credit


LEDGER = """
SELECT currency, sum(amount)::bigint AS amount
  FROM posting
  JOIN journal_entry ON journal_entry.id = entry_id
 WHERE account = 'receivable'
   AND posted_on <= $1
   AND ($2::uuid IS NULL OR party_id = $2)
 GROUP BY currency
 ORDER BY currency
"""


async def ageing(tx: Connection, as_of: date, party_id: UUID | None) -> AgeingView:
    """What was open at the end of a day by how late it was, beside what the ledger says."""
    if party_id is not None:
        await service.refuse_unknown_party(tx, party_id)
    owed, credit = await open_on(tx, as_of, party_id)
    ledger = {row["currency"]: row["amount"] for row in await tx.fetch(LEDGER, as_of, party_id)}
    rows = [
        aged(
            currency,
            owed.get(currency, ()),
            credit.get(currency, 0),
            ledger.get(currency, 0),
            as_of,
        )
        for currency in sorted({*owed, *credit, *ledger})
    ]
    return AgeingView(as_of=as_of, party_id=party_id, rows=rows)


def aged(
    currency: str, owed: Iterable[receivables.Receivable], credit: int, ledger: int, as_of: date
) -> AgeingRow:
    not_due, to_30, to_60, to_90, over = receivables.ageing(owed, as_of)
    total = not_due + to_30 + to_60 + to_90 + over + credit
    return AgeingRow(
        currency=currency,
        not_due=not_due,
        days_1_30=to_30,
        days_31_60=to_60,
        days_61_90=to_90,
        days_over_90=over,
        credit=credit,
        total=total,
        ledger=ledger,
        agrees=total == ledger,
    )
