"""What was settled is open again: an allocation taken back, a payment that bounced."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from leasing.receivables import deposits, refunds, rules, service, store
from leasing.receivables.model import (
    Allocation,
    NoSuchAllocation,
    NotReversible,
    Payment,
    PaymentRefunded,
)
from schemas.receivables import (
    AllocationSource,
    AllocationView,
    BounceCreate,
    PaymentView,
    ReversalCreate,
)


async def reverse(
    tx: Connection, allocation_id: UUID, data: ReversalCreate, *, by: str, now: datetime
) -> AllocationView:
    """Take an allocation back. What it came out of then waits for a hand, or the next night would
    do the same again. It never counted against late interest: the next month puts that right."""
    today = civil_date(now)
    on = data.reversed_on or today
    refuse_future(on, today, "reversed_on")
    (row,) = await store.allocations(tx, [allocation_id]) or (None,)
    if row is None:
        raise NoSuchAllocation
    if row["reverses_id"] is not None:
        raise NotReversible
    rules.refuse_before(on, row["posted_on"])
    payment = row["payment_id"] and await service.hold_payment(tx, row["payment_id"])
    days = await hold(tx, [row], [] if payment is None else [payment])
    mirror = mirrored(row, max(on, *days), data.reason)
    (view,) = await service.shown(tx, await service.settle(tx, [mirror], by=by, now=now))
    return view


async def hold(tx: Connection, rows: Sequence[Record], payments: Sequence[Payment]) -> list[date]:
    """Lock all that allocations touch, payments being held; returns when each was last posted."""
    contract_ids = [row["contract_id"] for row in rows if row["contract_id"] is not None]
    held = await deposits.lock(tx, contract_ids)
    touched = {row["receivable_id"] for row in rows}
    touched |= {row["credit_id"] for row in rows if row["credit_id"] is not None}
    receivables = await store.lock(tx, list(touched))
    days = [one.changed_on for one in payments] + [one.changed_on for one in held]
    return days + [one.changed_on for one in receivables.values()]


def mirrored(row: Record, on: date, reason: str) -> Allocation:
    return Allocation(
        AllocationSource(row["source"]),
        row["payment_id"] or row["credit_id"] or row["contract_id"],
        row["receivable_id"],
        row["party_id"],
        row["currency"],
        -row["amount"],
        value_on=row["value_on"],
        posted_on=on,
        reason=reason,
        reverses_id=row["id"],
    )


async def bounce(
    tx: Connection, payment_id: UUID, data: BounceCreate, *, by: str, now: datetime
) -> PaymentView:
    """The bank took a payment back: so is all that it paid, also deposits. What was refunded of it
    is money of ours that went out, and no credit: raises `PaymentRefunded`."""
    today = civil_date(now)
    on = data.bounced_on or today
    refuse_future(on, today, "bounced_on")
    payment = await service.hold_payment(tx, payment_id)
    rules.refuse_before(on, payment.received_on)
    if refunded := await refunds.refunded_of(tx, payment_id):
        raise PaymentRefunded(f"{refunded} of it was paid back")
    movements = await deposits.live_of_payment(tx, payment_id)
    held = await deposits.lock(tx, [row["contract_id"] for row in movements])
    rows = await store.live_of_payment(tx, payment_id)
    days = await hold(tx, rows, [payment])
    on = max(on, *days, *(one.changed_on for one in held))
    await deposits.take_back(tx, movements, on, data.reason, by=by, now=now)
    mirrors = [mirrored(row, on, data.reason) for row in rows]
    await service.settle(tx, mirrors, by=by, now=now)
    await store.bounce(tx, payment_id, on, data.reason)
    method = (await service.get_payment(tx, payment_id)).method
    await ledger.post(
        tx,
        source="payment",
        source_id=payment_id,
        event="bounced",
        currency=payment.currency,
        posted_on=on,
        party_id=payment.payer_id,
        amounts={service.money_account(method): -payment.amount, "customer_credit": payment.amount},
    )
    facts: dict[str, object] = {"on": on, "reason": data.reason, "amount": payment.amount}
    bounced = Event("payment", payment_id, "payment.bounced", facts)
    await events.append(tx, [bounced], actor=by, now=now)
    return await service.get_payment(tx, payment_id)
