"""What happens to the packs of a lease between hand-over and return: moved, lost, bought.

Each is dated, also in the past. A pack's stays follow one another, so an event is refused when a
later one was entered already; days that were billed otherwise are put right by the next run.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from leasing.batteries import service as batteries
from leasing.contracts import duties, incidents, lines, rules, service, stays
from leasing.contracts.handovers import last_revision
from leasing.contracts.model import (
    BeforePlacement,
    LaterChange,
    Line,
    LineEmpty,
    LineEnded,
    LineOccupied,
    NoSuchIncident,
    NoSuchLine,
    NotLiable,
    NotLost,
)
from leasing.contracts.stays import Departure, Stay
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.sites import cabinets
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.contracts import (
    BuyOutCreate,
    FeeView,
    IncidentCreate,
    IncidentKind,
    IncidentView,
    Liability,
    RelocationCreate,
)
from schemas.packs import PackState


async def lock(tx: Connection, line_id: UUID, on: date) -> Line:
    """Lock a line, as it is on a day. Raises `NoSuchLine`."""
    found = await lines.lock(tx, {line_id: on})
    if line_id not in found:
        raise NoSuchLine
    return found[line_id]


async def tell(
    tx: Connection, line: Line, kind: str, facts: dict[str, object], *, by: str, now: datetime
) -> None:
    await events.append(tx, [Event("line", line.id, kind, facts)], actor=by, now=now)


async def revise(
    tx: Connection,
    line: Line,
    on: date,
    changes: dict[str, Any],
    cause: str,
    *,
    by: str,
    now: datetime,
) -> None:
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    history = (await lines.revisions(tx, [line.id]))[line.id]
    revised = rules.revise(history, on, changes, cause=cause, by=by, now=now)
    await lines.write_revisions(tx, revised)


# Elsewhere


async def relocate(
    tx: Connection, line_id: UUID, data: RelocationCreate, *, by: str, now: datetime
) -> None:
    """The position, and the pack in it, stand at another site or slot from a day on."""
    refuse_future(data.moved_on, civil_date(now), "moved_on")
    line = await lock(tx, line_id, data.moved_on)
    rules.refuse_unless_in_force(line.contract_state)
    standing = (await stays.standing(tx, [line_id])).get(line_id)
    if standing is not None and standing.from_on > data.moved_on:
        raise LaterChange(f"a pack came on {standing.from_on}", from_on=standing.from_on)
    changes = {"site_id": data.site_id, "slot": data.slot}
    facts: dict[str, object] = {
        "line_id": line_id,
        "from": [line.site_id, line.slot],
        "to": [data.site_id, data.slot],
        "from_site_id": line.site_id,
        "on": data.moved_on,
        "reason": data.reason,
    }
    if standing is None:
        await refuse_stay_after(tx, line_id, data.moved_on)
        await revise(tx, line, data.moved_on, changes, "relocated", by=by, now=now)
    else:
        pack_id = standing.pack_id
        await batteries.lock(tx, pack_id)
        await cabinets.refuse_mixed(tx, data.site_id, data.slot, pack_id, data.moved_on)
        await move_stay(tx, standing, data)
        await revise(tx, line, data.moved_on, changes, "relocated", by=by, now=now)
        there = await lock(tx, line_id, data.moved_on)
        step = Step(
            pack_id,
            "pack.relocated",
            data.moved_on,
            {**facts, "site_id": data.site_id},
            there.adcode,
            line.lessee_id,
        )
        await traceability.record(tx, [step], by=by, now=now)
    await tell(tx, line, "line.relocated", facts, by=by, now=now)


async def refuse_stay_after(tx: Connection, line_id: UUID, on: date) -> None:
    """Raise `LaterChange` when a pack that is gone by now stood in the line on a day or later."""
    for stay in await stays.of_line(tx, line_id):
        if stay["to_on"] > on:
            raise LaterChange(f"a pack stood there until {stay['to_on']}", from_on=stay["to_on"])


async def move_stay(tx: Connection, standing: Stay, data: RelocationCreate) -> None:
    """A stay ends at one place and another begins at the next, under the same joint test."""
    if standing.from_on == data.moved_on:
        await stays.move(tx, standing.line_id, data.site_id, data.slot, data.moved_on)
        return
    await stays.close(tx, {standing.line_id: data.moved_on})
    there = replace(standing, site_id=data.site_id, slot=data.slot, from_on=data.moved_on)
    await stays.place(tx, [there])


# Without rent for a while


async def suspend(
    tx: Connection, line_id: UUID, on: date, reason: str, *, by: str, now: datetime
) -> None:
    """No rent for a line from a day on. The term is not extended."""
    line = await lock(tx, line_id, on)
    rules.refuse_unless_in_force(line.contract_state)
    await revise(tx, line, on, {"suspended": True}, "suspended", by=by, now=now)
    await tell(tx, line, "line.suspended", {"on": on, "reason": reason}, by=by, now=now)


async def resume(tx: Connection, line_id: UUID, on: date, *, by: str, now: datetime) -> None:
    """Rent again for a line from a day on."""
    line = await lock(tx, line_id, on)
    rules.refuse_unless_in_force(line.contract_state)
    await revise(tx, line, on, {"suspended": False}, "resumed", by=by, now=now)
    await tell(tx, line, "line.resumed", {"on": on}, by=by, now=now)


# Missing, stolen, burnt, damaged

TOLD_AS = {IncidentKind.DAMAGED: "pack.damaged", IncidentKind.BURNT: "pack.burnt"}
"""Steps of a pack's life; whatever else befalls it, it is lost."""


async def report(
    tx: Connection, line_id: UUID, data: IncidentCreate, *, by: str, now: datetime
) -> IncidentView:
    """Something befell the pack in a line. A pack that is missing, stolen or burnt leaves the line
    empty from that day on: there is no rent for it until another is handed over. What is left of a
    burnt one is with the lessor."""
    refuse_future(data.happened_on, civil_date(now), "happened_on")
    if data.compensation_amount and data.liable is not Liability.LESSEE:
        message = "only a liable lessee owes compensation"
        fault = FieldError("/compensation_amount", "not_liable", message)
        raise NotLiable(message, fields=[fault])
    line = await lock(tx, line_id, data.happened_on)
    pack_id = await pack_in(tx, line, data.happened_on)
    gone = data.kind is not IncidentKind.DAMAGED
    burnt = data.kind is IncidentKind.BURNT
    if gone:
        await stays.close(tx, {line_id: data.happened_on})
        await duties.close(tx, {pack_id: data.happened_on}, "pack_lost")
    pack = await batteries.lock(tx, pack_id)
    if gone:
        await batteries.move(tx, pack, PackState.BURNT if burnt else PackState.LOST)
    if burnt:
        remains = Departure(line, pack_id, data.happened_on)
        await stays.insert_returns(tx, [remains], "burnt")
    row = await incidents.insert(tx, line_id, pack_id, data, by, now)
    if data.compensation_amount:
        component = "loss" if gone else "damage"
        owed = [(line_id, pack_id, data.compensation_amount)]
        await incidents.insert_fees(
            tx, owed, component, data.happened_on, data.description[:200], by, now
        )
    facts: dict[str, object] = {
        "incident_id": row["id"],
        "kind": data.kind,
        "line_id": line_id,
        "site_id": line.site_id,
        "liable": data.liable,
    }
    kind = TOLD_AS.get(data.kind, "pack.lost")
    step = Step(pack_id, kind, data.happened_on, facts, line.adcode, line.lessee_id)
    await traceability.record(tx, [step], by=by, now=now)
    told = {
        **facts,
        "pack_id": pack_id,
        "on": data.happened_on,
        "description": data.description,
    }
    await tell(tx, line, f"line.{data.kind}", told, by=by, now=now)
    return convert(row, IncidentView)


async def pack_in(tx: Connection, line: Line, on: date) -> UUID:
    """The pack that stands in a line, since before a day or that day. Raises `LineEmpty`,
    `BeforePlacement`."""
    standing = (await stays.standing(tx, [line.id])).get(line.id)
    if standing is None:
        raise LineEmpty
    if standing.from_on > on:
        raise BeforePlacement(f"the pack came on {standing.from_on}")
    return standing.pack_id


async def find(
    tx: Connection, incident_id: UUID, on: date, *, by: str, now: datetime
) -> IncidentView:
    """A lost pack turned up: it is back with the lessor, to be inspected."""
    refuse_future(on, civil_date(now), "found_on")
    incident = await incidents.lock(tx, incident_id)
    if incident is None:
        raise NoSuchIncident
    if incident["kind"] in TOLD_AS or incident["found_on"] is not None:
        raise NotLost
    if on < incident["happened_on"]:
        raise BeforePlacement(f"it was lost on {incident['happened_on']}")
    line = await lock(tx, incident["line_id"], on)
    pack = await batteries.lock(tx, incident["pack_id"])
    await batteries.move(tx, pack, PackState.RETURNED)
    await stays.insert_returns(tx, [Departure(line, pack.id, on)], "found")
    row = await incidents.mark_found(tx, incident_id, on)
    facts: dict[str, object] = {"incident_id": incident_id, "line_id": line.id}
    step = Step(pack.id, "pack.found", on, facts, line.adcode, line.lessee_id)
    await traceability.record(tx, [step], by=by, now=now)
    told = {**facts, "pack_id": pack.id, "on": on}
    await tell(tx, line, "line.pack_found", told, by=by, now=now)
    return convert(row, IncidentView)


# Out


async def buy_out(
    tx: Connection, line_id: UUID, data: BuyOutCreate, *, by: str, now: datetime
) -> FeeView | None:
    """The lessee buys the pack in a line at the contract's price; the line ends. Returns what is
    owed, None when the price is nothing. Raises `NotAllowed` when the pack is not for sale."""
    on = data.bought_on
    refuse_future(on, civil_date(now), "bought_on")
    line = await lock(tx, line_id, on)
    rules.refuse_unless_in_force(line.contract_state)
    pack_id = await pack_in(tx, line, on)
    price = await price_of(tx, line, on)
    await stays.close(tx, {line_id: on})
    await end_line(tx, line, on, "bought_out")
    pack = await batteries.lock(tx, pack_id)
    await batteries.move(tx, pack, PackState.SOLD)
    await duties.close(tx, {pack_id: on}, "lease_ended")
    reason = "bought at the contract's price"
    fees = await incidents.insert_fees(
        tx, [(line_id, pack_id, price)], "buy_out", on, reason, by, now
    )
    facts: dict[str, object] = {"line_id": line_id, "site_id": line.site_id, "pack_id": pack_id}
    step = Step(pack_id, "pack.sold", on, facts, line.adcode, line.lessee_id)
    await traceability.record(tx, [step], by=by, now=now)
    await tell(tx, line, "line.bought_out", {**facts, "on": on, "price": price}, by=by, now=now)
    return convert(fees[0], FeeView) if fees else None


async def price_of(tx: Connection, line: Line, on: date) -> int:
    """What the pack in a line costs on a day, by the terms of that day."""
    terms = await service.terms_on(tx, line.contract_id, on)
    since = await stays.standing_since(tx, [line.id])
    return rules.buy_out_price(terms.buy_out, since[line.id], on)


async def end_lost_line(tx: Connection, line_id: UUID, on: date, *, by: str, now: datetime) -> None:
    """End a line whose pack is gone and will not be replaced. Raises `LineEmpty` when it never
    had one: such a position is given up by its removal."""
    line = await lock(tx, line_id, on)
    if line.started_on is None:
        raise LineEmpty("no pack was ever handed over here; remove the position instead")
    if await stays.standing(tx, [line_id]):
        raise LineOccupied("a pack stands there; it goes back by a return")
    await end_line(tx, line, on, "lost")
    await tell(tx, line, "line.ended", {"on": on, "reason": "lost"}, by=by, now=now)


async def end_line(tx: Connection, line: Line, on: date, reason: str) -> None:
    """No position any more from a day on. Raises `LaterChange` when something was entered for
    that day or later, `LineEnded`, `OutsideLine`."""
    history = (await lines.revisions(tx, [line.id]))[line.id]
    await lines.write_revisions(tx, [last_revision(line, history, on)])
    await lines.end(tx, {line.id: on}, reason)
