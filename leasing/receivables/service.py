"""Payments and what they pay.

Everything that settles a part of a receivable is an allocation: money, credit, a deposit, or the
lessor itself when it gives up (write-off). Each goes through `settle`, which writes rows, postings
and events; the database keeps what is open, and refuses to settle more.

A payment is first the payer's credit (cash / customer_credit), and each allocation moves a part of
it (customer_credit / receivable). So what a party owes is the sum of the two accounts at any time.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each
from leasing.kit.dates import refuse_future
from leasing.kit.errors import DomainError, FieldError
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from leasing.parties.model import NoSuchParty
from leasing.receivables import rules, store
from leasing.receivables.model import (
    CONSTRAINTS,
    Allocation,
    Entered,
    NoSuchPayment,
    NoSuchReceivable,
    NotCredit,
    Payment,
    PaymentBounced,
    Receivable,
    ReferenceTaken,
)
from leasing.receivables.rules import Nets, Order, Part
from schemas.receivables import (
    AllocationOrderPut,
    AllocationOrderView,
    AllocationRow,
    AllocationSource,
    AllocationView,
    PaymentCreate,
    PaymentMethod,
    PaymentView,
    ReceivableView,
    WriteOffCreate,
)

# The account that is debited when a part of a receivable is settled. Credit comes out of the
# receivables themselves.
DEBITED = {
    AllocationSource.PAYMENT: "customer_credit",
    AllocationSource.DEPOSIT: "deposit_held",
    AllocationSource.WRITE_OFF: "bad_debt",
}


# --- Settling ---------------------------------------------------------------------------------


async def settle(
    tx: Connection, rows: Sequence[Allocation], *, by: str, now: datetime
) -> list[Entered]:
    """Write allocations whose sources and receivables are held, with postings and events."""
    if not rows:
        return []
    entered = await store.insert_allocations(tx, rows, by, now)
    for made in entered:
        await post(tx, made)
    await events.append(tx, [event_of(made) for made in entered], actor=by, now=now)
    return entered


async def post(tx: Connection, made: Entered) -> None:
    one = made.allocation
    if one.source in DEBITED:
        await ledger.post(
            tx,
            source="allocation",
            source_id=made.id,
            event="allocated",
            currency=one.currency,
            posted_on=one.posted_on,
            party_id=one.party_id,
            amounts={DEBITED[one.source]: one.amount, "receivable": -one.amount},
        )


def event_of(made: Entered) -> Event:
    one = made.allocation
    facts: dict[str, object] = {
        "on": one.posted_on,
        "allocation_id": made.id,
        "source": one.source,
        "source_id": one.source_id,
        "amount": one.amount,
        "reverses_id": one.reverses_id,
        "reason": one.reason,
    }
    kind = "receivable.settled" if one.reverses_id is None else "receivable.reopened"
    return Event("receivable", one.receivable_id, kind, facts)


def of_payment(payment: Payment, parts: Sequence[Part]) -> list[Allocation]:
    """Take parts of receivables out of a payment. What came first is posted first, and nothing
    before what was posted already."""
    rows = []
    for receivable, amount in sorted(parts, key=lambda part: part.receivable.changed_on):
        posted_on = max(payment.changed_on, receivable.changed_on)
        payment.unallocated_amount -= amount
        receivable.open_amount -= amount
        payment.changed_on = receivable.changed_on = posted_on
        rows.append(
            Allocation(
                AllocationSource.PAYMENT,
                payment.id,
                receivable.id,
                payment.payer_id,
                payment.currency,
                amount,
                value_on=payment.received_on,
                posted_on=posted_on,
            )
        )
    return rows


def of_credit(credit: Receivable, parts: Sequence[Part]) -> list[Allocation]:
    """The same out of a credit note."""
    rows = []
    for receivable, amount in sorted(parts, key=lambda part: part.receivable.changed_on):
        posted_on = max(credit.changed_on, receivable.changed_on)
        credit.open_amount += amount
        receivable.open_amount -= amount
        credit.changed_on = receivable.changed_on = posted_on
        rows.append(
            Allocation(
                AllocationSource.CREDIT,
                credit.id,
                receivable.id,
                credit.party_id,
                credit.currency,
                amount,
                value_on=credit.issued_on,
                posted_on=posted_on,
            )
        )
    return rows


# --- Payments ---------------------------------------------------------------------------------


async def enter(
    tx: Connection, wanted: Sequence[PaymentCreate], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """Enter payments and let them pay. Returns for each its id, or why it is refused."""

    async def together(part: Sequence[PaymentCreate]) -> list[UUID | DomainError]:
        return await enter_together(tx, part, by=by, now=now)

    return await each(tx, wanted, CONSTRAINTS, together)


async def enter_one(tx: Connection, data: PaymentCreate, *, by: str, now: datetime) -> PaymentView:
    (outcome,) = await enter_together(tx, [data], by=by, now=now)
    if isinstance(outcome, DomainError):
        raise outcome
    return await get_payment(tx, outcome)


async def enter_together(
    tx: Connection, wanted: Sequence[PaymentCreate], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """What rules refuse is refused before anything is written; the database may refuse the rest
    as a whole."""
    today = civil_date(now)
    taken = await store.references_taken(tx, wanted)
    open_ = await store.lock_open(tx, {(one.payer_id, one.currency) for one in wanted})
    named = [row.receivable_id for one in wanted for row in one.allocations]
    known = {one.id: one for one in open_}
    # What is not open, or another's, is only named in a refusal.
    known |= await store.read(tx, [id_ for id_ in named if id_ not in known])
    orders = await store.orders(tx, [one.payer_id for one in wanted])
    nets = await store.nets(tx, open_, orders)
    outcomes: list[DomainError | None] = []
    planned: list[tuple[PaymentCreate, list[Part]]] = []
    for one in wanted:
        try:
            refuse_future(one.received_on, today, "received_on")
            refuse_taken(one, taken)
            parts = plan(one, open_, known, orders.get(one.payer_id, Order()), nets)
        except DomainError as error:
            outcomes.append(error)
            continue
        taken.add((one.payer_id, one.reference))
        for receivable, amount in parts:  # so that the next row finds less
            receivable.open_amount -= amount
        outcomes.append(None)
        planned.append((one, parts))
    ids = iter(await write(tx, planned, by=by, now=now))
    return [next(ids) if refused is None else refused for refused in outcomes]


def refuse_taken(payment: PaymentCreate, taken: set[tuple[UUID, str]]) -> None:
    if (payment.payer_id, payment.reference) in taken:
        message = f"the payer has a payment {payment.reference} already"
        raise ReferenceTaken(message, fields=[FieldError("/reference", "taken", message)])


def plan(
    payment: PaymentCreate,
    open_: Sequence[Receivable],
    known: Mapping[UUID, Receivable],
    order: Order,
    nets: Nets,
) -> list[Part]:
    """What was named, and then what is due first."""
    payer = (payment.payer_id, payment.currency)
    parts = rules.by_hand(payment.amount, *payer, payment.allocations, known)
    if not payment.automatic:
        return parts
    given = {part.receivable.id: part.amount for part in parts}
    left = payment.amount - sum(given.values())
    rest = rules.by_order(
        left,
        [
            rules.less(one, given.get(one.id, 0))
            for one in open_
            if (one.party_id, one.currency) == payer
        ],
        order,
        nets,
    )
    for part in rest:
        given[part.receivable.id] = given.get(part.receivable.id, 0) + part.amount
    return [Part(known[id_], amount) for id_, amount in given.items()]


async def write(
    tx: Connection, planned: Sequence[tuple[PaymentCreate, list[Part]]], *, by: str, now: datetime
) -> list[UUID]:
    if not planned:
        return []
    ids = await store.insert_payments(tx, [one for one, _ in planned], by, now)
    received, rows = [], []
    for payment_id, (one, parts) in zip(ids, planned, strict=True):
        await post_payment(tx, payment_id, one)
        payment = Payment(
            id=payment_id,
            payer_id=one.payer_id,
            currency=one.currency,
            amount=one.amount,
            unallocated_amount=one.amount,
            received_on=one.received_on,
            changed_on=one.received_on,
            bounced_on=None,
        )
        for receivable, amount in parts:  # the plan took it already
            receivable.open_amount += amount
        rows += of_payment(payment, parts)
        facts: dict[str, object] = {
            "on": one.received_on,
            "payer_id": one.payer_id,
            "reference": one.reference,
            "currency": one.currency,
            "amount": one.amount,
            "unallocated_amount": payment.unallocated_amount,
        }
        received.append(Event("payment", payment_id, "payment.received", facts))
    await events.append(tx, received, actor=by, now=now)
    await settle(tx, rows, by=by, now=now)
    return ids


def money_account(method: PaymentMethod) -> str:
    """The account that is debited by a payment: what is set off lessens what we owe."""
    return "payable" if method is PaymentMethod.OFFSET else "cash"


async def post_payment(tx: Connection, payment_id: UUID, one: PaymentCreate) -> None:
    await ledger.post(
        tx,
        source="payment",
        source_id=payment_id,
        event="received",
        currency=one.currency,
        posted_on=one.received_on,
        party_id=one.payer_id,
        amounts={money_account(one.method): one.amount, "customer_credit": -one.amount},
    )


async def get_payment(tx: Connection, payment_id: UUID) -> PaymentView:
    row = await store.payment(tx, payment_id)
    if row is None:
        raise NoSuchPayment
    return convert(row, PaymentView)


async def hold_payment(tx: Connection, payment_id: UUID) -> Payment:
    """A payment that did not bounce, locked."""
    payment = await store.lock_payment(tx, payment_id)
    if payment is None:
        raise NoSuchPayment
    if payment.bounced_on is not None:
        raise PaymentBounced(f"it bounced on {payment.bounced_on}")
    return payment


async def allocate(
    tx: Connection, payment_id: UUID, wanted: Sequence[AllocationRow], *, by: str, now: datetime
) -> list[AllocationView]:
    """Let what is left of a payment pay what was named, or without names what is due first."""
    payment = await hold_payment(tx, payment_id)
    if wanted:
        known = await store.lock(tx, [row.receivable_id for row in wanted])
        left = payment.unallocated_amount
        parts = rules.by_hand(left, payment.payer_id, payment.currency, wanted, known)
    else:
        owed = await store.lock_open(tx, {(payment.payer_id, payment.currency)})
        order, nets = await order_for(tx, payment.payer_id, owed)
        parts = rules.by_order(payment.unallocated_amount, owed, order, nets)
    return await shown(tx, await settle(tx, of_payment(payment, parts), by=by, now=now))


async def shown(tx: Connection, entered: Sequence[Entered]) -> list[AllocationView]:
    return convert_all(await store.allocations(tx, [one.id for one in entered]), AllocationView)


# --- Credit -----------------------------------------------------------------------------------


async def use_credit(
    tx: Connection, credit_id: UUID, wanted: Sequence[AllocationRow], *, by: str, now: datetime
) -> list[AllocationView]:
    """Let a credit note pay what was named, or without names what is due first."""
    row = await store.get(tx, credit_id, civil_date(now))
    if row is None:
        raise NoSuchReceivable
    refuse_unless_credit(row)
    payer = (row["party_id"], row["currency"])
    if wanted:
        known = await store.lock(tx, [credit_id, *(one.receivable_id for one in wanted)])
        credit = known[credit_id]
        parts = rules.by_hand(-credit.open_amount, *payer, wanted, known)
    else:
        open_ = await store.lock_open(tx, {payer})
        found = next((one for one in open_ if one.id == credit_id), None)
        if found is None:  # used up
            return []
        credit = found
        order, nets = await order_for(tx, payer[0], open_)
        parts = rules.by_order(-credit.open_amount, open_, order, nets)
    return await shown(tx, await settle(tx, of_credit(credit, parts), by=by, now=now))


def refuse_unless_credit(row: Record) -> None:
    if row["amount"] > 0:
        raise NotCredit(f"{row['number']} is owed")


async def apply_credit(
    tx: Connection, party_id: UUID, currency: str, *, by: str, now: datetime
) -> list[Entered]:
    """Let all credit of a party pay what is due first: credit notes, then money, the oldest of
    each first. Credit that waits for a hand is left alone."""
    payments = await store.lock_credit(tx, party_id, currency)
    open_ = await store.lock_open(tx, {(party_id, currency)})
    notes = [one for one in open_ if one.open_amount < 0]
    automatic = await store.automatic_among(tx, [one.id for one in notes])
    order, nets = await order_for(tx, party_id, open_)
    rows: list[Allocation] = []
    for note in sorted(notes, key=lambda one: (one.issued_on, one.id)):
        if note.id in automatic:
            rows += of_credit(note, rules.by_order(-note.open_amount, open_, order, nets))
    for payment in sorted(payments, key=lambda one: (one.received_on, one.id)):
        rows += of_payment(payment, rules.by_order(payment.unallocated_amount, open_, order, nets))
    return await settle(tx, rows, by=by, now=now)


# --- Write-off --------------------------------------------------------------------------------


async def write_off(
    tx: Connection, receivable_id: UUID, data: WriteOffCreate, *, by: str, now: datetime
) -> AllocationView:
    """Give up what is open. VAT on it stays paid: Chinese law gives none back for bad debts, so
    the loss is the whole of it."""
    today = civil_date(now)
    on = data.written_off_on or today
    refuse_future(on, today, "written_off_on")
    receivable = (await store.lock(tx, [receivable_id])).get(receivable_id)
    if receivable is None:
        raise NoSuchReceivable
    if receivable.open_amount <= 0:
        rules.refuse_more_than_open(receivable, 1)
    rules.refuse_before(on, receivable.issued_on)
    row = Allocation(
        AllocationSource.WRITE_OFF,
        None,
        receivable_id,
        receivable.party_id,
        receivable.currency,
        receivable.open_amount,
        value_on=on,
        posted_on=max(on, receivable.changed_on),
        reason=data.reason,
    )
    (view,) = await shown(tx, await settle(tx, [row], by=by, now=now))
    return view


# --- Reading and settings ---------------------------------------------------------------------


async def get(tx: Connection, receivable_id: UUID, today: date) -> ReceivableView:
    row = await store.get(tx, receivable_id, today)
    if row is None:
        raise NoSuchReceivable
    return convert(row, ReceivableView)


async def order_of(tx: Connection, party_id: UUID) -> Order:
    return (await store.orders(tx, [party_id])).get(party_id, Order())


async def order_for(
    tx: Connection, party_id: UUID, owed: Sequence[Receivable]
) -> tuple[Order, Nets]:
    """The order of a payer, and what of its debts is told apart by it."""
    order = await order_of(tx, party_id)
    return order, await store.nets(tx, owed, {party_id: order})


async def refuse_unknown_party(tx: Connection, party_id: UUID) -> None:
    if not await store.party_exists(tx, party_id):
        raise NoSuchParty


async def get_order(tx: Connection, party_id: UUID) -> AllocationOrderView:
    await refuse_unknown_party(tx, party_id)
    order = await order_of(tx, party_id)
    return AllocationOrderView(party_id=party_id, first=order.first, kinds=list(order.kinds))


async def put_order(
    tx: Connection, party_id: UUID, data: AllocationOrderPut, *, by: str, now: datetime
) -> AllocationOrderView:
    await refuse_unknown_party(tx, party_id)
    order = Order(data.first, list(dict.fromkeys(data.kinds)))
    if order != await order_of(tx, party_id):
        await store.put_order(tx, party_id, order)
        facts: dict[str, object] = {"first": order.first, "kinds": order.kinds}
        changed = Event("party", party_id, "party.allocation_order_set", facts)
        await events.append(tx, [changed], actor=by, now=now)
    return await get_order(tx, party_id)
