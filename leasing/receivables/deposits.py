"""What contracts hold of their lessees' money.

A deposit is received out of a payment, so it is the money of who pays the lessee's invoices. What
is used of it is an allocation like any other; what is paid back or kept is a movement of its own. A
deposit that is kept may be consideration on which VAT is owed; that is for an invoice to say.
"""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.contracts.model import NoSuchContract
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from leasing.receivables import rules, service, store
from leasing.receivables.model import (
    Allocation,
    AlreadyReversed,
    BadAllocation,
    BadMovement,
    Deposit,
    MoreThanHeld,
    NoSuchMovement,
    NoSuchReceivable,
    NotReversible,
)
from schemas.receivables import (
    AllocationRow,
    AllocationSource,
    DepositMove,
    DepositMovementCreate,
    DepositMovementView,
    DepositView,
    ReversalCreate,
)

OPEN = """
INSERT INTO deposit (contract_id, party_id, currency, changed_on)
SELECT id, billing_party_of(lessee_id), currency, '0001-01-01'
  FROM contract
 WHERE id = $1
    ON CONFLICT (contract_id) DO NOTHING
"""

LOCK = """
SELECT contract_id, party_id, currency, held_amount, changed_on
  FROM deposit
 WHERE contract_id = ANY ($1::uuid[])
 ORDER BY contract_id
   FOR UPDATE
"""


async def lock(tx: Connection, contract_ids: Sequence[UUID]) -> list[Deposit]:
    return convert_all(await tx.fetch(LOCK, contract_ids), Deposit)


INSERT = """
INSERT INTO deposit_movement (contract_id, party_id, currency, kind, amount, payment_id, posted_on,
                              reason, reverses_id, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id
"""

# The account that is debited when a deposit rises by it, and credited when it falls.
AGAINST = {
    DepositMove.RECEIVED: "customer_credit",
    DepositMove.RETURNED: "cash",
    DepositMove.FORFEITED: "revenue_fees",
}


async def insert(
    tx: Connection,
    deposit: Deposit,
    kind: DepositMove,
    amount: int,
    on: date,
    *,
    payment_id: UUID | None,
    reason: str | None,
    reverses_id: UUID | None = None,
    by: str,
    now: datetime,
) -> UUID:
    """Write a movement with its posting and event. What is held changes by the amount."""
    movement_id: UUID = await tx.fetchval(
        INSERT,
        deposit.contract_id,
        deposit.party_id,
        deposit.currency,
        kind,
        amount,
        payment_id,
        on,
        reason,
        reverses_id,
        by,
        now,
    )
    await ledger.post(
        tx,
        source="deposit_movement",
        source_id=movement_id,
        event="moved",
        currency=deposit.currency,
        posted_on=on,
        party_id=deposit.party_id,
        amounts={AGAINST[kind]: amount, "deposit_held": -amount},
    )
    facts: dict[str, object] = {
        "on": on,
        "deposit_movement_id": movement_id,
        "kind": kind,
        "amount": amount,
        "payment_id": payment_id,
        "reverses_id": reverses_id,
        "reason": reason,
    }
    moved = Event("deposit", deposit.contract_id, "deposit.moved", facts)
    await events.append(tx, [moved], actor=by, now=now)
    return movement_id


async def move(
    tx: Connection, contract_id: UUID, data: DepositMovementCreate, *, by: str, now: datetime
) -> DepositMovementView:
    """Receive, use, pay back or keep a deposit."""
    today = civil_date(now)
    on = data.moved_on or today
    refuse_future(on, today, "moved_on")
    refuse_incomplete(data)
    payment = data.payment_id and await service.hold_payment(tx, data.payment_id)
    await tx.execute(OPEN, contract_id)
    (deposit,) = await lock(tx, [contract_id]) or (None,)
    if deposit is None:
        raise NoSuchContract
    if data.kind is not DepositMove.RECEIVED and data.amount > deposit.held_amount:
        message = f"{deposit.held_amount} is held, not {data.amount}"
        raise MoreThanHeld(message, held_amount=deposit.held_amount)
    if data.kind is DepositMove.USED:
        return await use(tx, deposit, data, on, by=by, now=now)
    days = [on, deposit.changed_on]
    if payment:
        if (payment.payer_id, payment.currency) != (deposit.party_id, deposit.currency):
            raise BadAllocation("a deposit comes from who gets the lessee's invoices")
        rules.refuse_before(on, payment.received_on)
        days.append(payment.changed_on)
    movement_id = await insert(
        tx,
        deposit,
        data.kind,
        data.amount if data.kind is DepositMove.RECEIVED else -data.amount,
        max(days),
        payment_id=data.payment_id,
        reason=data.reason,
        by=by,
        now=now,
    )
    return await get_movement(tx, movement_id)


def refuse_incomplete(data: DepositMovementCreate) -> None:
    wanted = {
        "payment_id": data.kind is DepositMove.RECEIVED,
        "receivable_id": data.kind is DepositMove.USED,
    }
    faults = [
        FieldError(f"/{field}", "missing" if needed else "not_wanted", f"{data.kind}: {field}")
        for field, needed in wanted.items()
        if (getattr(data, field) is not None) != needed
    ]
    if data.kind is DepositMove.FORFEITED and data.reason is None:
        faults.append(FieldError("/reason", "missing", "what is kept is kept for a reason"))
    if faults:
        raise BadMovement(fields=faults)


async def use(
    tx: Connection,
    deposit: Deposit,
    data: DepositMovementCreate,
    on: date,
    *,
    by: str,
    now: datetime,
) -> DepositMovementView:
    assert data.receivable_id is not None
    found = await store.lock(tx, [data.receivable_id])
    row = AllocationRow(receivable_id=data.receivable_id, amount=data.amount)
    if data.receivable_id not in found:
        raise NoSuchReceivable
    rules.by_hand(deposit.held_amount, deposit.party_id, deposit.currency, [row], found)
    receivable = found[data.receivable_id]
    used = Allocation(
        AllocationSource.DEPOSIT,
        deposit.contract_id,
        receivable.id,
        deposit.party_id,
        deposit.currency,
        data.amount,
        value_on=on,
        posted_on=max(on, deposit.changed_on, receivable.changed_on),
        reason=data.reason,
    )
    (made,) = await service.settle(tx, [used], by=by, now=now)
    return await get_movement(tx, made.id)


# --- Taking back ------------------------------------------------------------------------------

MOVED = """
SELECT id, contract_id, kind, amount, payment_id, posted_on, reverses_id,
       EXISTS (
         SELECT FROM deposit_movement AS reversal
          WHERE reversal.reverses_id = deposit_movement.id) AS is_reversed
  FROM deposit_movement
"""

ONE_MOVED = f"""{MOVED}
 WHERE id = $1
"""

MOVED_OF_PAYMENT = f"""{MOVED}
 WHERE payment_id = $1
   AND reverses_id IS NULL
   AND NOT EXISTS (
         SELECT FROM deposit_movement AS reversal
          WHERE reversal.reverses_id = deposit_movement.id)
 ORDER BY id
"""


async def live_of_payment(tx: Connection, payment_id: UUID) -> list[Record]:
    return await tx.fetch(MOVED_OF_PAYMENT, payment_id)


async def take_back(
    tx: Connection, movements: Sequence[Record], on: date, reason: str, *, by: str, now: datetime
) -> list[UUID]:
    """Take movements back whose deposits and payments are held."""
    held = {
        one.contract_id: one for one in await lock(tx, [row["contract_id"] for row in movements])
    }
    return [
        await insert(
            tx,
            held[row["contract_id"]],
            DepositMove(row["kind"]),
            -row["amount"],
            on,
            payment_id=row["payment_id"],
            reason=reason,
            reverses_id=row["id"],
            by=by,
            now=now,
        )
        for row in movements
    ]


async def reverse(
    tx: Connection, movement_id: UUID, data: ReversalCreate, *, by: str, now: datetime
) -> DepositMovementView:
    """Take a movement back. One by which a deposit was used is an allocation (`reversals`)."""
    today = civil_date(now)
    on = data.reversed_on or today
    refuse_future(on, today, "reversed_on")
    row = await tx.fetchrow(ONE_MOVED, movement_id)
    if row is None:
        raise NoSuchMovement
    if row["reverses_id"] is not None:
        raise NotReversible
    if row["is_reversed"]:
        raise AlreadyReversed
    rules.refuse_before(on, row["posted_on"])
    days = [on]
    if row["payment_id"] is not None:
        days.append((await service.hold_payment(tx, row["payment_id"])).changed_on)
    days += [one.changed_on for one in await lock(tx, [row["contract_id"]])]
    (made,) = await take_back(tx, [row], max(days), data.reason, by=by, now=now)
    return await get_movement(tx, made)


# --- Reading ----------------------------------------------------------------------------------

MOVEMENTS = """
SELECT id, contract_id, kind, amount, payment_id, NULL::uuid AS receivable_id, posted_on, reason,
       reverses_id, entered_by, entered_at
  FROM deposit_movement
 UNION ALL
SELECT id, contract_id, 'used', -amount, NULL, receivable_id, posted_on, reason, reverses_id,
       entered_by, entered_at
  FROM allocation
 WHERE contract_id IS NOT NULL
"""

GET_MOVEMENT = f"""
SELECT *
  FROM ({MOVEMENTS}) AS movement
 WHERE id = $1
"""

LIST_MOVEMENTS = f"""
SELECT *
  FROM ({MOVEMENTS}) AS movement
 WHERE contract_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def get_movement(tx: Connection, movement_id: UUID) -> DepositMovementView:
    return convert(await tx.fetchrow(GET_MOVEMENT, movement_id) or {}, DepositMovementView)


async def movements_after(
    tx: Connection, contract_id: UUID, movement_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_MOVEMENTS, contract_id, movement_id, limit)


# Who gets the invoices of a lessee sees what it paid in, if not the contract.
GET = """
SELECT asked.contract_id,
       deposit.party_id,
       coalesce(deposit.currency, contract.currency) AS currency,
       (SELECT deposit_amount
          FROM contract_revision
         WHERE contract_revision.contract_id = asked.contract_id
         ORDER BY lower(during) > $2, abs(lower(during) - $2)
         LIMIT 1) AS demanded_amount,
       coalesce(held_amount, 0) AS held_amount
  FROM (SELECT $1::uuid AS contract_id) AS asked
  LEFT JOIN contract ON contract.id = asked.contract_id
  LEFT JOIN deposit ON deposit.contract_id = asked.contract_id
 WHERE contract.id IS NOT NULL
    OR deposit.contract_id IS NOT NULL
"""

BY_KIND = f"""
SELECT kind, sum(amount)::bigint AS amount
  FROM ({MOVEMENTS}) AS movement
 WHERE contract_id = $1
 GROUP BY kind
"""


async def get(tx: Connection, contract_id: UUID, today: date) -> DepositView:
    """What is held now, what it is made of, and what the terms of the day demand."""
    row = await tx.fetchrow(GET, contract_id, today)
    if row is None:
        raise NoSuchContract
    moved = {one["kind"]: one["amount"] for one in await tx.fetch(BY_KIND, contract_id)}
    demanded = row["demanded_amount"]
    return DepositView(
        contract_id=contract_id,
        party_id=row["party_id"],
        currency=row["currency"],
        demanded_amount=demanded,
        held_amount=row["held_amount"],
        missing_amount=None if demanded is None else max(demanded - row["held_amount"], 0),
        received_amount=moved.get("received", 0),
        used_amount=-moved.get("used", 0),
        returned_amount=-moved.get("returned", 0),
        forfeited_amount=-moved.get("forfeited", 0),
    )


HELD = """
SELECT held_amount
  FROM deposit
 WHERE contract_id = $1
"""


async def held_of(tx: Connection, contract_id: UUID) -> int:
    return await tx.fetchval(HELD, contract_id) or 0
