"""A customer disputes a line of an invoice; the lessor answers, and what it gives in is taken off
the next bill."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.billing.model import (
    DISPUTE_STATES,
    DisputeClosed,
    MoreThanCharged,
    NoSuchDispute,
    NoSuchInvoiceLine,
)
from leasing.db.pool import Connection, as_lessor
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from schemas.billing import DisputeAnswer, DisputeCreate, DisputeState, DisputeView

TOLD = {
    DisputeState.ACCEPTED: "invoice.dispute_accepted",
    DisputeState.REJECTED: "invoice.dispute_rejected",
    DisputeState.WITHDRAWN: "invoice.dispute_withdrawn",
}
"""How the end of a dispute is told."""

# Seen by whoever asks, in the asker's own role.
VISIBLE = """
SELECT charge.id, charge.invoice_id
  FROM charge
  JOIN invoice ON invoice.id = invoice_id
 WHERE charge.id = $1
   AND invoice.state = 'final'
"""

OPEN = """
INSERT INTO charge_dispute (charge_id, reason, opened_by, opened_at)
VALUES ($1, $2, $3, $4)
RETURNING id
"""


async def dispute(
    tx: Connection, charge_id: UUID, data: DisputeCreate, *, by: str, now: datetime
) -> DisputeView:
    """Dispute a line of a final invoice. Raises `NoSuchInvoiceLine`, `DisputedAlready`."""
    charge = await tx.fetchrow(VISIBLE, charge_id)
    if charge is None:
        raise NoSuchInvoiceLine(f"no final invoice has a line {charge_id}")
    async with as_lessor(tx):
        dispute_id: UUID = await tx.fetchval(OPEN, charge_id, data.reason, by, now)
        await tell(tx, charge["invoice_id"], "invoice.disputed", charge_id, by=by, now=now)
    return await get(tx, dispute_id)


async def tell(
    tx: Connection, invoice_id: UUID, kind: str, charge_id: UUID, *, by: str, now: datetime
) -> None:
    event = Event("invoice", invoice_id, kind, {"line_id": charge_id})
    await events.append(tx, [event], actor=by, now=now)


LOCK = """
SELECT charge_dispute.id, charge_dispute.state, charge_id, invoice_id, line_id, contract_id,
       pack_id, amount
  FROM charge_dispute
  JOIN charge ON charge.id = charge_id
 WHERE charge_dispute.id = $1
   FOR UPDATE
"""

LEFT = """
SELECT charge.amount + coalesce((SELECT sum(amount) FROM fee WHERE charge_id = charge.id), 0)
  FROM charge
 WHERE id = $1
"""

ADJUST = """
INSERT INTO fee (line_id, contract_id, lessee_id, pack_id, component, owed_on, amount, reason,
                 charge_id, entered_by, entered_at)
SELECT line_id, charge.contract_id, lessee_id, pack_id, 'adjustment', $2, -$3::bigint, $4,
       charge.id, $5, $6
  FROM charge
  JOIN lease_line ON lease_line.id = line_id
 WHERE charge.id = $1
RETURNING id
"""

CLOSE = """
UPDATE charge_dispute
   SET state = $2,
       answer = $3,
       credited_amount = $4,
       fee_id = $5,
       closed_by = $6,
       closed_at = $7
 WHERE id = $1
"""


async def answer(
    tx: Connection, dispute_id: UUID, data: DisputeAnswer, *, by: str, on: date, now: datetime
) -> DisputeView:
    """Give in, in whole or in part, or not. What is given is an adjustment of the line, at its tax,
    on the next bill. Raises `NoSuchDispute`, `DisputeClosed`, `MoreThanCharged`."""
    found = await locked(tx, dispute_id)
    fee_id = None
    if data.credited_amount:
        left = await tx.fetchval(LEFT, found["charge_id"])
        if data.credited_amount > left:
            raise MoreThanCharged(f"{left} of this line is left", left=int(left))
        fee_id = await tx.fetchval(
            ADJUST, found["charge_id"], on, data.credited_amount, data.answer, by, now
        )
    state = DisputeState.ACCEPTED if fee_id else DisputeState.REJECTED
    refuse_move(found["state"], state)
    credited = data.credited_amount or None
    await tx.execute(CLOSE, dispute_id, state, data.answer, credited, fee_id, by, now)
    await tell(tx, found["invoice_id"], TOLD[state], found["charge_id"], by=by, now=now)
    return await get(tx, dispute_id)


async def withdraw(tx: Connection, dispute_id: UUID, *, by: str, now: datetime) -> DisputeView:
    """Leave a line as it is after all. Raises `NoSuchDispute`, `DisputeClosed`."""
    await get(tx, dispute_id)
    async with as_lessor(tx):
        found = await locked(tx, dispute_id)
        refuse_move(found["state"], DisputeState.WITHDRAWN)
        await tx.execute(CLOSE, dispute_id, DisputeState.WITHDRAWN, None, None, None, by, now)
        kind = TOLD[DisputeState.WITHDRAWN]
        await tell(tx, found["invoice_id"], kind, found["charge_id"], by=by, now=now)
    return await get(tx, dispute_id)


async def locked(tx: Connection, dispute_id: UUID) -> Record:
    found = await tx.fetchrow(LOCK, dispute_id)
    if found is None:
        raise NoSuchDispute
    return found


def refuse_move(state: str, to: DisputeState) -> None:
    if to not in DISPUTE_STATES[DisputeState(state)]:
        raise DisputeClosed(f"the dispute is {state}")


VIEW = """
SELECT charge_dispute.id, charge_id AS line_id, invoice_id, reason, charge_dispute.state, opened_by,
       opened_at, answer, credited_amount, charge_dispute.fee_id, closed_by, closed_at
  FROM charge_dispute
  JOIN charge ON charge.id = charge_id
"""

GET = f"""{VIEW}
 WHERE charge_dispute.id = $1
"""

LIST = f"""{VIEW}
 WHERE charge_dispute.id > $1
   AND ($2::text IS NULL OR charge_dispute.state = $2)
   AND ($3::uuid IS NULL OR invoice_id = $3)
 ORDER BY charge_dispute.id
 LIMIT $4
"""


async def get(tx: Connection, dispute_id: UUID) -> DisputeView:
    row = await tx.fetchrow(GET, dispute_id)
    if row is None:
        raise NoSuchDispute
    return convert(row, DisputeView)


async def after(
    tx: Connection, dispute_id: UUID, state: str | None, invoice_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, dispute_id, state, invoice_id, limit)
