"""The end of a lease as one statement (退租结算单), looked at before and then posted.

To look at it is to post it in a transaction that is taken back, so that what is posted equals what
was shown to the fen. Rent that is not billed yet and fees are charged by the functions of a billing
run, on an invoice of their own; a later run finds nothing left of them.

What the lessor owes, for scrap it buys from the lessee, is a supply of its own with VAT of its own:
it is entered gross, with its input tax, and set off against the invoice by a payment. Neither side
is made smaller before its tax.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.billing import charges, issuing
from leasing.billing import rules as billing
from leasing.billing import store as invoices
from leasing.billing.model import BillableLine, Charge, Settlement
from leasing.billing.preview import undone
from leasing.contracts import incidents, lines, service, stays
from leasing.contracts import rules as contract_rules
from leasing.contracts import store as contracts
from leasing.contracts.model import Contract, Terms
from leasing.db.pool import Connection
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.money import half_up, percent_of
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, midnight
from leasing.ledger import service as ledger
from leasing.pricing.plans import MissingFact
from leasing.receivables import deposits
from leasing.receivables import service as receivables
from leasing.returns import orders, orders_store, settlement_store
from leasing.returns.model import (
    BadSettlement,
    NotSettled,
    OrderStateWrong,
    RecordsContradict,
    RentNotKnown,
)
from leasing.returns.settlement_store import Capacity
from schemas.contracts import NoBuyOut
from schemas.receivables import (
    AllocationRow,
    DepositMove,
    DepositMovementCreate,
    PaymentCreate,
    PaymentMethod,
)
from schemas.returns import (
    CounterClaim,
    EndAlternative,
    ItemCapacity,
    OrderState,
    PartClaim,
    ReturnOrderView,
    ReturnSettlementView,
    ReturnStatement,
    SettlementCreate,
    ShortfallRate,
    TaxedSide,
)

ONE_DAY = timedelta(days=1)

Owed = tuple[UUID, UUID | None, int]
"""What a line owes once: `(line, pack, amount)`."""


class Posted(NamedTuple):
    """A statement, and what came of it in the books."""

    statement: ReturnStatement
    invoice_id: UUID | None
    payment_id: UUID | None


async def preview(
    tx: Connection, order_id: UUID, data: SettlementCreate, *, by: str, now: datetime
) -> ReturnStatement:
    """What settling orders of a lease would come to, also before their packs are back. Nothing is
    written."""
    named = [await orders.get(tx, one) for one in [order_id, *data.with_order_ids]]
    for order in named:
        if order.state in (OrderState.SETTLED, OrderState.CANCELLED):
            raise OrderStateWrong(f"an order is {order.state}", state=order.state)
    # A day to come is looked at as if it were today.
    then = max(now, midnight(data.settled_on))
    async with undone(tx):
        return (await write(tx, together(named), data, by=by, now=then)).statement


async def post(
    tx: Connection, order_id: UUID, data: SettlementCreate, *, by: str, now: datetime
) -> ReturnSettlementView:
    """Settle orders of a lease that were inspected, by one statement, once. Raises
    `OrderStateWrong`, `BadSettlement`."""
    refuse_future(data.settled_on, civil_date(now), "settled_on")
    order_ids = [order_id, *data.with_order_ids]
    # In order of id, so that no two statements wait for each other.
    held = {one: await orders.hold(tx, one, OrderState.SETTLED) for one in sorted(order_ids)}
    named = [held[one] for one in order_ids]
    order = together(named)
    for each in named:
        refuse_before_arrival(each, data.settled_on)
    posted = await write(tx, order, data, by=by, now=now)
    await settlement_store.insert(
        tx,
        order.lessee_id,
        order_ids,
        posted.statement,
        posted.invoice_id,
        posted.payment_id,
        by,
        now,
    )
    for one in order_ids:
        await orders_store.settle(tx, one, data.settled_on)
    facts: dict[str, object] = {
        "on": data.settled_on,
        "owed_amount": posted.statement.owed_amount,
        "counter_claim_amount": posted.statement.counter_claim_amount,
        "deposit_used_amount": posted.statement.deposit_used_amount,
        "balance_amount": posted.statement.balance_amount,
        "return_order_ids": order_ids,
    }
    await orders.tell(tx, order, "contract.return_settled", facts, by=by, now=now)
    return await get(tx, order_id)


def together(named: Sequence[ReturnOrderView]) -> ReturnOrderView:
    """Orders of one lease as if they were one. Raises `BadSettlement` for an order of another, and
    for one named twice."""
    first = named[0]
    seen = {first.id}
    faults = []
    for place, order in enumerate(named[1:]):
        pointer = f"/with_order_ids/{place}"
        if order.contract_id != first.contract_id:
            faults.append(FieldError(pointer, "other_contract", "an order of another lease"))
        if order.id in seen:
            faults.append(FieldError(pointer, "twice", "each order is named once"))
        seen.add(order.id)
    if faults:
        raise BadSettlement("a statement settles orders of one lease", fields=faults)
    items = sorted((item for order in named for item in order.items), key=lambda item: item.id)
    return msgspec.structs.replace(first, items=items)


def refuse_before_arrival(order: ReturnOrderView, on: date) -> None:
    if order.arrived_on is not None and on < order.arrived_on:
        message = f"the packs arrived on {order.arrived_on}"
        raise BadSettlement(message, fields=[FieldError("/settled_on", "too_early", message)])


async def get(tx: Connection, order_id: UUID) -> ReturnSettlementView:
    row = await settlement_store.of_order(tx, order_id)
    if row is None:
        raise NotSettled
    return convert(row, ReturnSettlementView)


async def write(
    tx: Connection, order: ReturnOrderView, data: SettlementCreate, *, by: str, now: datetime
) -> Posted:
    """Charge, tax, post and set off what an order comes to."""
    refuse_claims_of_others(order, data)
    contract = await contracts.read(tx, order.contract_id)
    assert contract is not None
    await charges.lock_contracts(tx, [contract.id])
    terms = await service.terms_on(tx, contract.id, data.settled_on)
    order_ids = [order.id, *data.with_order_ids]
    found = await settlement_store.capacities(tx, order_ids)
    measured = [capacity_of(one, terms, data.shortfall) for one in found]
    await owe(tx, order, data, measured, by=by, now=now)
    invoice_id = await bill(tx, contract, order, data.settled_on, by=by, now=now)
    owed = await settlement_store.taxed(tx, invoice_id) if invoice_id else []
    owed_amount = sum(side.gross_amount for side in owed)
    claim = side_of(data.counter_claim) if data.counter_claim else None
    payment_id = await set_off(tx, contract, order, data, claim, invoice_id, by=by, now=now)
    held_amount = await deposits.held_of(tx, contract.id)
    used_amount = await use_deposit(tx, contract, data, invoice_id, by=by, now=now)
    claimed = claim.gross_amount if claim else 0
    return Posted(
        ReturnStatement(
            order_id=order.id,
            contract_id=contract.id,
            settled_on=data.settled_on,
            currency=contract.currency,
            rows=await settlement_store.rows(tx, invoice_id) if invoice_id else [],
            capacities=measured,
            owed=owed,
            owed_amount=owed_amount,
            counter_claim=claim,
            counter_claim_amount=claimed,
            deposit_held_amount=held_amount,
            deposit_used_amount=used_amount,
            balance_amount=owed_amount - claimed - used_amount,
            alternatives=await alternatives(tx, order, terms, data.settled_on),
        ),
        invoice_id,
        payment_id,
    )


def refuse_claims_of_others(order: ReturnOrderView, data: SettlementCreate) -> None:
    known = {item.id for item in order.items}
    faults = [
        FieldError(f"/{name}/{i}/item_id", "not_of_the_order", "no item of this order")
        for name, claims in (("missing_parts", data.missing_parts), ("damages", data.damages))
        for i, claim in enumerate(claims)
        if claim.item_id not in known
    ]
    if faults:
        raise BadSettlement("claims name items of the order", fields=faults)


# What the lessee owes


def capacity_of(found: Capacity, terms: Terms, rate: ShortfallRate | None) -> ItemCapacity:
    """What is left of a pack's capacity against the guarantee: the guarantee is what the lessor
    promises, so a shortfall is the lessee's only when somebody says why, and at what rate. Fen:
    missing mAh ÷ 1000 × rate per Ah, rounded."""
    guaranteed = half_up(
        Fraction(found.rated_capacity_mah) * Fraction(terms.guarantee_percent) / 100
    )
    tested = found.tested_capacity_mah
    shortfall = None if tested is None else max(guaranteed - tested, 0)
    amount, why = 0, "the guarantee is met"
    if shortfall is None:
        why = "no capacity was tested"
    elif shortfall and rate is None:
        why = "the lessor guarantees this capacity; no reason was stated why the lessee answers"
    elif shortfall and rate is not None:
        amount, why = half_up(Fraction(shortfall * rate.amount_per_ah, 1000)), rate.reason
    return ItemCapacity(
        item_id=found.item_id,
        line_id=found.line_id,
        pack_id=found.pack_id,
        tested_capacity_mah=tested,
        guaranteed_capacity_mah=guaranteed,
        shortfall_mah=shortfall,
        amount=amount,
        why=why,
    )


async def owe(
    tx: Connection,
    order: ReturnOrderView,
    data: SettlementCreate,
    measured: Sequence[ItemCapacity],
    *,
    by: str,
    now: datetime,
) -> None:
    """Write what is owed once, as fees of the lines. Taking packs back is of the first line."""
    first = order.items[0]
    short: list[Owed] = [(one.line_id, one.pack_id, one.amount) for one in measured]
    why = data.shortfall.reason if data.shortfall else ""
    todo: list[tuple[str, list[Owed], str]] = [
        ("missing_parts", *claimed(order, data.missing_parts)),
        ("damage", *claimed(order, data.damages)),
        ("capacity_shortfall", short, why),
        ("logistics", [(first.line_id, None, data.logistics_amount)], f"return {order.mode}"),
    ]
    for component, owed, reason in todo:
        await incidents.insert_fees(tx, owed, component, data.settled_on, reason, by, now)


def claimed(order: ReturnOrderView, claims: Sequence[PartClaim]) -> tuple[list[Owed], str]:
    """What is claimed for parts, one sum a line, and their names."""
    items = {item.id: item for item in order.items}
    sums: dict[tuple[UUID, UUID], int] = defaultdict(int)
    for claim in claims:
        item = items[claim.item_id]
        sums[item.line_id, item.pack_id] += claim.amount
    owed: list[Owed] = [(line_id, pack_id, amount) for (line_id, pack_id), amount in sums.items()]
    return owed, ", ".join(claim.name for claim in claims)[:200]


async def bill(
    tx: Connection,
    contract: Contract,
    order: ReturnOrderView,
    on: date,
    *,
    by: str,
    now: datetime,
) -> UUID | None:
    """Charge the lines of an order the rent up to a day and their fees, on an invoice of their own.
    None when nothing is owed. Raises `RecordsContradict`, `RentNotKnown`."""
    line_ids = [item.line_id for item in order.items]
    contradicted = await settlement_store.contradicted(tx, line_ids)
    if contradicted:
        raise RecordsContradict(f"line {contradicted[0]}", line_ids=contradicted)
    settled = await settle_lines(tx, line_ids, on)
    owed = [one for line, found in settled for one in billing.charges_of(line, found)]
    due = await charges.due_fees(tx, [contract.id], [on + ONE_DAY])
    owed += [fee for fee in due if fee.line_id in set(line_ids)]
    taken_back = [one for _, found in settled for one in found.taken_back]
    days = [(one.from_on, one.to_on) for one in owed]
    days += [(one.owed.from_on, one.owed.to_on) for one in taken_back]
    if not days:
        return None
    invoice_id = await settlement_store.insert_invoice(
        tx, contract.id, min(day for day, _ in days), max(day for _, day in days)
    )
    await enter(tx, contract.id, invoice_id, settled, owed)
    await issuing.total(tx, [invoice_id])
    await issuing.finalise(tx, [invoice_id], issued_on=on, by=by, now=now)
    await invoices.deliver(tx, [invoice_id], now)
    return invoice_id


async def settle_lines(
    tx: Connection, line_ids: Sequence[UUID], on: date
) -> list[tuple[BillableLine, Settlement]]:
    """What makes the charges of lines what they should be up to a day."""
    looks = await charges.of_lines(tx, line_ids)
    try:
        return [
            (line, billing.settle(line, billing.until_returned(on)))
            for line in await charges.billable(tx, looks, on)
        ]
    except MissingFact as error:
        raise RentNotKnown(str(error)) from error


async def enter(
    tx: Connection,
    contract_id: UUID,
    invoice_id: UUID,
    settled: Sequence[tuple[BillableLine, Settlement]],
    owed: Sequence[Charge],
) -> None:
    onto = {contract_id: invoice_id}
    taken_back = [one.id for _, found in settled for one in found.taken_back]
    if taken_back:
        await charges.take_back(tx, onto, taken_back)
    if owed:
        await charges.insert_charges(tx, onto, owed)
    restated = {
        line.line_id: invoice_id if billing.differs(line, found) else None
        for line, found in settled
        if line.restated
    }
    await charges.settle(tx, restated)


# What the lessor owes, and what is held


def side_of(claim: CounterClaim) -> TaxedSide:
    """A counter-claim with its tax: mass × price is net, and VAT is on the whole of it."""
    net_amount = claim.mass_kg * claim.amount_per_kg
    vat_amount = percent_of(net_amount, Decimal(claim.vat_percent))
    return TaxedSide(
        vat_percent=Decimal(claim.vat_percent),
        net_amount=net_amount,
        vat_amount=vat_amount,
        gross_amount=net_amount + vat_amount,
    )


async def set_off(
    tx: Connection,
    contract: Contract,
    order: ReturnOrderView,
    data: SettlementCreate,
    claim: TaxedSide | None,
    invoice_id: UUID | None,
    *,
    by: str,
    now: datetime,
) -> UUID | None:
    """Enter the scrap that is bought with its input tax, and let what is owed for it pay the
    invoice. What is left over is the payer's credit."""
    if claim is None:
        return None
    assert data.counter_claim is not None
    payer_id = await settlement_store.payer(tx, contract.id)
    await ledger.post(
        tx,
        source="return_order",
        source_id=order.id,
        event="scrap_bought",
        currency=contract.currency,
        posted_on=data.settled_on,
        party_id=payer_id,
        amounts={
            "scrap_stock": claim.net_amount,
            "vat_input": claim.vat_amount,
            "payable": -claim.gross_amount,
        },
    )
    open_amount = await settlement_store.open_amount(tx, invoice_id)
    paid = min(open_amount, claim.gross_amount)
    named = [AllocationRow(receivable_id=invoice_id, amount=paid)] if invoice_id and paid else []
    payment = PaymentCreate(
        payer_id=payer_id,
        currency=contract.currency,
        amount=claim.gross_amount,
        received_on=data.settled_on,
        method=PaymentMethod.OFFSET,
        reference=f"return order {order.id}",
        note=f"{data.counter_claim.description}, {data.counter_claim.document}",
        allocations=named,
        automatic=False,
    )
    return (await receivables.enter_one(tx, payment, by=by, now=now)).id


async def use_deposit(
    tx: Connection,
    contract: Contract,
    data: SettlementCreate,
    invoice_id: UUID | None,
    *,
    by: str,
    now: datetime,
) -> int:
    """Let what is held pay what is still open. Returns how much."""
    if not data.use_deposit or invoice_id is None:
        return 0
    held_amount = await deposits.held_of(tx, contract.id)
    amount = min(held_amount, await settlement_store.open_amount(tx, invoice_id))
    if amount <= 0:
        return 0
    used = DepositMovementCreate(
        kind=DepositMove.USED,
        amount=amount,
        receivable_id=invoice_id,
        moved_on=data.settled_on,
        reason="settled at the end of the lease",
    )
    await deposits.move(tx, contract.id, used, by=by, now=now)
    return amount


# What else could be done


async def alternatives(
    tx: Connection, order: ReturnOrderView, terms: Terms, on: date
) -> list[EndAlternative]:
    """While packs are out: what buying them would cost, and what going on would, by the terms."""
    asked = [item.line_id for item in order.items]
    since = await stays.standing_since(tx, asked)
    if not since:
        return []
    found = await lines.read_open(tx, order.contract_id, on)
    rent = sum(line.rent_amount for line in found if line.id in since)
    return [
        bought(terms, list(since.values()), on),
        EndAlternative(
            kind="renewal",
            amount=rent,
            note=f"rent of a billing period; renewal is {terms.renewal}",
        ),
    ]


def bought(terms: Terms, since: Sequence[date], on: date) -> EndAlternative:
    if isinstance(terms.buy_out, NoBuyOut):
        note = "the contract does not let the lessee buy the packs"
        return EndAlternative(kind="buy_out", amount=None, note=note)
    prices = [contract_rules.buy_out_price(terms.buy_out, came_on, on) for came_on in since]
    return EndAlternative(
        kind="buy_out", amount=sum(prices), note=f"{len(prices)} packs, VAT {terms.vat_mode}"
    )
