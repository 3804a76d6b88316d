"""Return orders: ordered, scheduled, carried out, inspected.

What becomes of a pack is written by the same services as without an order: a joint test ends its
line and gives it back, an incident leaves the line empty and ends it. So custody is true at every
moment, and an order only says which of these belong together.
"""

from collections import Counter
from datetime import date, datetime
from uuid import UUID

from leasing.contracts import handovers, incidents, lines, moves
from leasing.contracts import rules as contract_rules
from leasing.contracts import store as contracts
from leasing.contracts.model import NoSuchContract, NoSuchIncident
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.time import civil_date
from leasing.returns import orders_store as store
from leasing.returns.model import (
    BadOrder,
    BadOutcomes,
    NoSuchOrder,
    OrderStateWrong,
    refuse_unless_next,
)
from schemas.contracts import IncidentKind
from schemas.returns import (
    ItemOutcome,
    ItemResult,
    OrderState,
    OutcomesCreate,
    ReturnItemView,
    ReturnMode,
    ReturnOrderCreate,
    ReturnOrderView,
)


async def tell(
    tx: Connection,
    order: ReturnOrderView,
    kind: str,
    facts: dict[str, object],
    *,
    by: str,
    now: datetime,
) -> None:
    """Write what happened to an order as an event of its contract."""
    told = Event("contract", order.contract_id, kind, {"return_order_id": order.id, **facts})
    await events.append(tx, [told], actor=by, now=now)


async def get(tx: Connection, order_id: UUID) -> ReturnOrderView:
    order = await store.get(tx, order_id)
    if order is None:
        raise NoSuchOrder
    return order


async def hold(tx: Connection, order_id: UUID, wanted: OrderState) -> ReturnOrderView:
    """Lock an order that may become what is wanted. Raises `NoSuchOrder`, `OrderStateWrong`."""
    order = await store.lock(tx, order_id)
    if order is None:
        raise NoSuchOrder
    refuse_unless_next(order.state, wanted)
    return order


async def create(
    tx: Connection, data: ReturnOrderCreate, *, by: str, now: datetime
) -> ReturnOrderView:
    """Order packs of one contract back. Raises `BadOrder` for lines of others and lines without a
    pack, `LineOrdered` for those that another order brings back."""
    contract = await contracts.read(tx, data.contract_id)
    if contract is None:
        raise NoSuchContract
    contract_rules.refuse_unless_in_force(contract.state)
    if len(set(data.line_ids)) < len(data.line_ids):
        message = "each line is named once"
        raise BadOrder(message, fields=[FieldError("/line_ids", "twice", message)])
    packs = {
        row["line_id"]: row["pack_id"]
        for row in await store.standing(tx, data.contract_id, data.line_ids)
    }
    faults = [
        FieldError(f"/line_ids/{i}", "no_pack", "no pack stands in this line of the contract")
        for i, line_id in enumerate(data.line_ids)
        if line_id not in packs
    ]
    if faults:
        raise BadOrder(f"{len(faults)} lines of the contract have no pack", fields=faults)
    ordered = {line_id: packs[line_id] for line_id in data.line_ids}
    order_id = await store.insert(tx, data, contract.lessee_id, ordered, by, now)
    order = await get(tx, order_id)
    facts: dict[str, object] = {
        "mode": data.mode,
        "packs": len(ordered),
        "planned_on": data.planned_on,
    }
    await tell(tx, order, "contract.return_ordered", facts, by=by, now=now)
    return order


async def schedule(
    tx: Connection, order_id: UUID, planned_on: date, *, by: str, now: datetime
) -> ReturnOrderView:
    """Plan the day, or another day."""
    order = await store.lock(tx, order_id)
    if order is None:
        raise NoSuchOrder
    if order.state is not OrderState.SCHEDULED:
        refuse_unless_next(order.state, OrderState.SCHEDULED)
    await store.schedule(tx, order_id, planned_on)
    facts: dict[str, object] = {"planned_on": planned_on}
    await tell(tx, order, "contract.return_scheduled", facts, by=by, now=now)
    return await get(tx, order_id)


async def cancel(
    tx: Connection, order_id: UUID, reason: str, *, by: str, now: datetime
) -> ReturnOrderView:
    """Give an order up before anybody went. The packs stay where they are."""
    order = await hold(tx, order_id, OrderState.CANCELLED)
    await store.cancel(tx, order_id, reason)
    await tell(tx, order, "contract.return_cancelled", {"reason": reason}, by=by, now=now)
    return await get(tx, order_id)


async def collect(
    tx: Connection, order_id: UUID, data: OutcomesCreate, *, by: str, now: datetime
) -> ReturnOrderView:
    """Packs were picked up, or found gone."""
    order = await hold(tx, order_id, OrderState.COLLECTED)
    if order.mode is not ReturnMode.PICK_UP:
        raise OrderStateWrong("the lessee brings these packs: enter their arrival", mode=order.mode)
    refuse_future(data.on, civil_date(now), "on")
    await carry_out(tx, order, data, by=by, now=now)
    await store.collect(tx, order_id, data.on)
    await tell(tx, order, "contract.return_collected", counted(data), by=by, now=now)
    return await get(tx, order_id)


async def arrive(
    tx: Connection, order_id: UUID, data: OutcomesCreate, *, by: str, now: datetime
) -> ReturnOrderView:
    """Packs arrived: those that were picked up, or those that the lessee brought. An order of which
    nothing came back has nothing to inspect."""
    order = await hold(tx, order_id, OrderState.ARRIVED)
    refuse_future(data.on, civil_date(now), "on")
    if order.state is OrderState.COLLECTED:
        if data.outcomes:
            message = "what became of these packs was said when they were picked up"
            raise BadOutcomes(message, fields=[FieldError("/outcomes", "said_before", message)])
        if order.collected_on is not None and data.on < order.collected_on:
            message = f"they were picked up on {order.collected_on}"
            raise BadOutcomes(message, fields=[FieldError("/on", "before_collection", message)])
    elif order.mode is ReturnMode.PICK_UP:
        raise OrderStateWrong("these packs are picked up first", mode=order.mode)
    else:
        await carry_out(tx, order, data, by=by, now=now)
    await store.arrive(tx, order_id, data.on)
    await tell(tx, order, "contract.return_arrived", {"on": data.on}, by=by, now=now)
    await store.note_inspected(tx, order_id)
    return await get(tx, order_id)


def counted(data: OutcomesCreate) -> dict[str, object]:
    back = sum(one.returned is not None for one in data.outcomes)
    return {"on": data.on, "returned": back, "gone": len(data.outcomes) - back}


async def carry_out(
    tx: Connection, order: ReturnOrderView, data: OutcomesCreate, *, by: str, now: datetime
) -> None:
    """Write for each pack of an order what became of it, in order of lines, as everybody locks."""
    refuse_bad_outcomes(order, data.outcomes)
    items = {item.id: item for item in order.items}
    for outcome in sorted(data.outcomes, key=lambda one: items[one.item_id].line_id):
        await carry_out_one(tx, items[outcome.item_id], outcome, by=by, now=now)


def refuse_bad_outcomes(order: ReturnOrderView, outcomes: list[ItemOutcome]) -> None:
    """Raise `BadOutcomes`, with every fault at once, unless each item has one outcome."""
    known = {item.id for item in order.items}
    given = Counter(one.item_id for one in outcomes)
    faults = [
        FieldError("/outcomes", "missing", f"item {item_id} has no outcome")
        for item_id in sorted(known - set(given))
    ]
    for i, one in enumerate(outcomes):
        at = f"/outcomes/{i}"
        if one.item_id not in known:
            faults.append(FieldError(f"{at}/item_id", "not_of_the_order", "no item of this order"))
        elif given[one.item_id] > 1:
            faults.append(FieldError(f"{at}/item_id", "twice", "each item has one outcome"))
        if sum(told is not None for told in (one.returned, one.incident, one.incident_id)) != 1:
            message = "returned, an incident, or one that was reported before: one of the three"
            faults.append(FieldError(at, "one_of_three", message))
        if one.incident is not None and one.incident.kind is IncidentKind.DAMAGED:
            message = "a damaged pack comes back; enter its return and report the damage beside it"
            faults.append(FieldError(f"{at}/incident/kind", "comes_back", message))
    if faults:
        raise BadOutcomes("; ".join(fault.message for fault in faults), fields=faults)


async def carry_out_one(
    tx: Connection, item: ReturnItemView, outcome: ItemOutcome, *, by: str, now: datetime
) -> None:
    if outcome.returned is not None:
        await handovers.return_pack(tx, item.line_id, outcome.returned, by=by, now=now)
        await store.returned(tx, item.id, outcome.returned.returned_on)
        return
    if outcome.incident is not None:
        told = await moves.report(tx, item.line_id, outcome.incident, by=by, now=now)
        incident_id, kind, on = told.id, told.kind, told.happened_on
    else:
        assert outcome.incident_id is not None
        row = await incidents.lock(tx, outcome.incident_id)
        if row is None or (row["line_id"], row["pack_id"]) != (item.line_id, item.pack_id):
            raise NoSuchIncident
        refuse_found(row["found_on"], IncidentKind(row["kind"]))
        incident_id, kind, on = row["id"], IncidentKind(row["kind"]), row["happened_on"]
    await end_line(tx, item.line_id, on, by=by, now=now)
    await store.befell(tx, item.id, ItemResult(kind), on, incident_id)


def refuse_found(found_on: date | None, kind: IncidentKind) -> None:
    if found_on is not None or kind is IncidentKind.DAMAGED:
        raise BadOutcomes("the pack of this incident is not gone")


async def end_line(tx: Connection, line_id: UUID, on: date, *, by: str, now: datetime) -> None:
    """No other pack comes into the line of one that is gone."""
    found = await lines.lock(tx, {line_id: on})
    if line_id in found and found[line_id].ended_on is None:
        await moves.end_lost_line(tx, line_id, on, by=by, now=now)
