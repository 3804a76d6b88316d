"""Credit paid back in money: what a payment left over, or what is open of a credit note.

It goes out of cash like a returned deposit does. A transfer that came back is taken back by a row
of its own, and the credit is there again; it then waits for a hand.
"""

from datetime import date, datetime
from typing import Literal, NamedTuple
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from leasing.receivables import rules, service, store
from leasing.receivables.model import (
    AlreadyReversed,
    MoreThanLeft,
    MoreThanOpen,
    NoSuchReceivable,
    NoSuchRefund,
    NotCredit,
    NotReversible,
)
from schemas.receivables import RefundCreate, RefundView, ReversalCreate


class Source(NamedTuple):
    """What is paid back: a rest of a payment or of a credit note, held."""

    kind: Literal["payment", "receivable"]
    id: UUID
    party_id: UUID
    currency: str
    changed_on: date


ACCOUNTS = {"payment": "customer_credit", "receivable": "receivable"}
"""Where the credit stands."""


INSERT = """
INSERT INTO refund (payment_id, credit_id, party_id, currency, amount, posted_on, reference, reason,
                    reverses_id, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id
"""


async def insert(
    tx: Connection,
    source: Source,
    amount: int,
    on: date,
    *,
    reference: str,
    reason: str,
    reverses_id: UUID | None = None,
    by: str,
    now: datetime,
) -> RefundView:
    """Write a refund with its posting and event."""
    refund_id: UUID = await tx.fetchval(
        INSERT,
        source.id if source.kind == "payment" else None,
        source.id if source.kind == "receivable" else None,
        source.party_id,
        source.currency,
        amount,
        on,
        reference,
        reason,
        reverses_id,
        by,
        now,
    )
    await ledger.post(
        tx,
        source="refund",
        source_id=refund_id,
        event="refunded",
        currency=source.currency,
        posted_on=on,
        party_id=source.party_id,
        amounts={ACCOUNTS[source.kind]: amount, "cash": -amount},
    )
    facts: dict[str, object] = {
        "on": on,
        "refund_id": refund_id,
        "amount": amount,
        "reference": reference,
        "reverses_id": reverses_id,
        "reason": reason,
    }
    kind = "credit.refunded" if reverses_id is None else "credit.refund_returned"
    await events.append(tx, [Event(source.kind, source.id, kind, facts)], actor=by, now=now)
    return await get(tx, refund_id)


async def of_payment(
    tx: Connection, payment_id: UUID, data: RefundCreate, *, by: str, now: datetime
) -> RefundView:
    """Pay back what a payment left over. Raises `NoSuchPayment`, `PaymentBounced`,
    `MoreThanLeft`."""
    on = day_of(data, now)
    payment = await service.hold_payment(tx, payment_id)
    rules.refuse_before(on, payment.received_on)
    if data.amount > payment.unallocated_amount:
        message = f"{payment.unallocated_amount} is left, not {data.amount}"
        raise MoreThanLeft(message, left_amount=payment.unallocated_amount)
    source = Source("payment", payment_id, payment.payer_id, payment.currency, payment.changed_on)
    return await pay_back(tx, source, data, on, by=by, now=now)


async def of_credit(
    tx: Connection, credit_id: UUID, data: RefundCreate, *, by: str, now: datetime
) -> RefundView:
    """Pay back what is open of a credit note. Raises `NoSuchReceivable`, `NotCredit`,
    `MoreThanOpen`."""
    on = day_of(data, now)
    credit = (await store.lock(tx, [credit_id])).get(credit_id)
    if credit is None:
        raise NoSuchReceivable
    if credit.amount > 0:
        raise NotCredit(f"{credit.number} is owed")
    rules.refuse_before(on, credit.issued_on)
    if data.amount > -credit.open_amount:
        raise MoreThanOpen(
            f"{-credit.open_amount} is left of {credit.number}, not {data.amount}",
            receivable_id=credit_id,
            open_amount=credit.open_amount,
        )
    source = Source("receivable", credit_id, credit.party_id, credit.currency, credit.changed_on)
    return await pay_back(tx, source, data, on, by=by, now=now)


def day_of(data: RefundCreate, now: datetime) -> date:
    today = civil_date(now)
    on = data.refunded_on or today
    refuse_future(on, today, "refunded_on")
    return on


async def pay_back(
    tx: Connection, source: Source, data: RefundCreate, on: date, *, by: str, now: datetime
) -> RefundView:
    return await insert(
        tx,
        source,
        data.amount,
        max(on, source.changed_on),
        reference=data.reference,
        reason=data.reason,
        by=by,
        now=now,
    )


# --- Taking back ------------------------------------------------------------------------------


async def reverse(
    tx: Connection, refund_id: UUID, data: ReversalCreate, *, by: str, now: datetime
) -> RefundView:
    """The transfer came back: the credit is there again. Raises `NoSuchRefund`, `NotReversible`,
    `AlreadyReversed`."""
    today = civil_date(now)
    on = data.reversed_on or today
    refuse_future(on, today, "reversed_on")
    refund = await get(tx, refund_id)
    if refund.reverses_id is not None:
        raise NotReversible
    rules.refuse_before(on, refund.posted_on)
    source = await held(tx, refund)
    if await tx.fetchval(REVERSED, refund_id):
        raise AlreadyReversed
    return await insert(
        tx,
        source,
        -refund.amount,
        max(on, source.changed_on),
        reference=refund.reference,
        reason=data.reason,
        reverses_id=refund_id,
        by=by,
        now=now,
    )


async def held(tx: Connection, refund: RefundView) -> Source:
    """What a refund was of, locked."""
    payer = refund.party_id, refund.currency
    if refund.payment_id is not None:
        payment = await service.hold_payment(tx, refund.payment_id)
        return Source("payment", payment.id, *payer, payment.changed_on)
    assert refund.credit_id is not None
    credit = (await store.lock(tx, [refund.credit_id]))[refund.credit_id]
    return Source("receivable", credit.id, *payer, credit.changed_on)


REVERSED = """
SELECT true
  FROM refund
 WHERE reverses_id = $1
"""

LIVE_OF_PAYMENT = """
SELECT coalesce(sum(amount), 0)::bigint
  FROM refund
 WHERE payment_id = $1
"""


async def refunded_of(tx: Connection, payment_id: UUID) -> int:
    """How much of a payment was paid back."""
    amount: int = await tx.fetchval(LIVE_OF_PAYMENT, payment_id)
    return amount


# --- Reading ----------------------------------------------------------------------------------

VIEW = """
SELECT id, payment_id, credit_id, party_id, currency, amount, posted_on, reference, reason,
       reverses_id, entered_by, entered_at
  FROM refund
"""

GET = f"""{VIEW}
 WHERE id = $1
"""

LIST = f"""{VIEW}
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
   AND ($3::uuid IS NULL OR payment_id = $3)
 ORDER BY id
 LIMIT $4
"""


async def get(tx: Connection, refund_id: UUID) -> RefundView:
    row = await tx.fetchrow(GET, refund_id)
    if row is None:
        raise NoSuchRefund
    return convert(row, RefundView)


async def after(
    tx: Connection, refund_id: UUID, party_id: UUID | None, payment_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, refund_id, party_id, payment_id, limit)
