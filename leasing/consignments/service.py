"""Consignments: packed, sent off, weighed in, received or refused.

Whoever locks several things locks the consignment first, then its routings by id, then packs, then
the outlet. What a recycler does with its own lot it is first seen to have, in its own role; what
follows is written as the lessor.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.batteries import store as batteries
from leasing.consignments import rules, store
from leasing.consignments.model import (
    NEXT_STATES,
    BadPermit,
    BadWeights,
    Candidate,
    ConsignmentInState,
    Hindrance,
    Lot,
    MayNotLeave,
    MixedHazards,
    NoSuchConsignment,
    NoSuchPermit,
    NotACarrier,
    NotDiscrepant,
    NotInspected,
    PermitEnded,
    SeveralOutlets,
    Unexplained,
    WrongOrder,
)
from leasing.db.pool import Connection, as_lessor
from leasing.end_of_life import service as end_of_life
from leasing.end_of_life import store as routings
from leasing.end_of_life.model import NoSuchRouting, RoutingState
from leasing.end_of_life.reserving import REQUIRED
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, midnight
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.consignments import (
    CarrierPermitCreate,
    CarrierPermitView,
    CarrierPermitWithdraw,
    ConsignmentCancellation,
    ConsignmentCreate,
    ConsignmentDetail,
    ConsignmentDispatch,
    ConsignmentReceipt,
    ConsignmentRefusal,
    ConsignmentState,
    ConsignmentView,
    ConsignmentWeighIn,
    PackWeight,
    TransportPurpose,
    TransportRules,
)
from schemas.end_of_life import RoutingState as Way
from schemas.outlets import Hazard


def rules_on(on: date) -> TransportRules:
    """Everything that holds on a day for packing, carrying and weighing."""
    return TransportRules(
        on=on,
        packing=rules.on_day(rules.PACKING, on),
        modes=rules.on_day(rules.MODES, on),
        weighing=rules.on_day(rules.WEIGHING, on),
        un_numbers=rules.UN_NUMBERS,
    )


# Carriers


async def permit(
    tx: Connection, carrier_id: UUID, data: CarrierPermitCreate, *, by: str, now: datetime
) -> CarrierPermitView:
    """A carrier may carry class 9 by a mode from a day on. Raises `NotACarrier`, `BadPermit`,
    `PermitOverlaps`."""
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise BadPermit(fields=[fault])
    if not await store.is_carrier(tx, carrier_id, data.valid_from):
        raise NotACarrier(f"on {data.valid_from} it has no role `carrier`")
    made = await store.insert_permit(tx, carrier_id, data, by, now)
    facts: dict[str, object] = {"mode": made.mode, "document": made.document}
    told = Event("party", carrier_id, "carrier.permitted", {**facts, "on": made.valid_from})
    await events.append(tx, [told], actor=by, now=now)
    return made


async def withdraw(
    tx: Connection, permit_id: UUID, data: CarrierPermitWithdraw, *, by: str, now: datetime
) -> CarrierPermitView:
    """A permit ends early. Raises `NoSuchPermit`, `PermitEnded`."""
    if not await store.permit_exists(tx, permit_id):
        raise NoSuchPermit(f"there is no permit {permit_id}")
    ended = await store.withdraw_permit(tx, permit_id, data.withdrawn_on, data.document)
    if ended is None:
        raise PermitEnded
    facts: dict[str, object] = {"mode": ended.mode, "document": data.document}
    told = Event(
        "party", ended.carrier_id, "carrier.permit_withdrawn", {**facts, "on": data.withdrawn_on}
    )
    await events.append(tx, [told], actor=by, now=now)
    return ended


# Packing


async def pack(
    tx: Connection, data: ConsignmentCreate, *, by: str, now: datetime
) -> ConsignmentDetail:
    """Put packs that are reserved for one outlet into a lot. Raises `NoSuchRouting`,
    `RoutingState`, `SeveralOutlets`, `NotInspected`, `MixedHazards`, `NoPackingRule`,
    `InAnotherLot`."""
    refuse_future(data.packed_on, civil_date(now), "packed_on")
    found = await reserved(tx, data.routing_ids)
    if len({one.outlet_id for one in found}) > 1:
        raise SeveralOutlets("its packs are reserved for several")
    if len({one.recycler_id for one in found}) > 1:
        raise SeveralOutlets("its packs go on from there to several firms")
    hazard = common_hazard(found)
    un_number = rules.un_number(one.chemistry for one in found)
    packing = msgspec.to_builtins(rules.packing_for(hazard, data.purpose, data.packed_on))
    kept = {name: packing[name] for name in PACKING_KEPT}
    consignment_id = await store.insert(
        tx, data, found, hazard=hazard, un_number=un_number, packing=kept, now=now
    )
    facts: dict[str, object] = {
        "number": data.number,
        "outlet_id": found[0].outlet_id,
        "packs": len(found),
        "mass_kg": sum(one.mass_kg for one in found),
        "hazard": hazard,
        "on": data.packed_on,
    }
    told = Event("consignment", consignment_id, "consignment.packed", facts)
    await events.append(tx, [told], actor=by, now=now)
    return await get(tx, consignment_id)


PACKING_KEPT = ("packing_instructions", "special_provision", "marks", "labels", "source")


async def reserved(tx: Connection, routing_ids: Sequence[UUID]) -> list[Candidate]:
    found = await store.candidates(tx, routing_ids)
    missing = set(routing_ids) - {one.routing_id for one in found}
    if missing:
        raise NoSuchRouting(f"there is no routing {min(missing)}")
    for one in found:
        if one.state != Way.RESERVED:
            message = f"routing {one.routing_id} is {one.state}, not reserved"
            raise RoutingState(message, routing_id=one.routing_id, state=one.state)
    return found


def common_hazard(found: Sequence[Candidate]) -> Hazard:
    """The class of all packs. Raises `NotInspected`, `MixedHazards`."""
    unknown = [one.pack_id for one in found if one.hazard is None]
    if unknown:
        raise NotInspected(pack_ids=unknown)
    by_hazard = {
        str(hazard): [one.pack_id for one in found if one.hazard is hazard]
        for hazard in Hazard
        if any(one.hazard is hazard for one in found)
    }
    if len(by_hazard) > 1:
        raise MixedHazards(f"it has {' and '.join(by_hazard)} packs", by_hazard=by_hazard)
    (hazard,) = by_hazard
    return Hazard(hazard)


# Leaving


async def dispatch(
    tx: Connection, consignment_id: UUID, data: ConsignmentDispatch, *, by: str, now: datetime
) -> ConsignmentDetail:
    """A lot leaves: its mass is in transit to its outlet. Raises `NoSuchConsignment`,
    `ConsignmentInState`, and `MayNotLeave` with every reason against it."""
    refuse_future(data.dispatched_on, civil_date(now), "dispatched_on")
    lot = await locked(tx, consignment_id, ConsignmentState.DISPATCHED)
    in_lot = await store.packs(tx, consignment_id)
    found = await store.candidates(tx, [one.routing_id for one in in_lot])
    permit_id = await store.permit_on(tx, data.carrier_id, data.mode, data.dispatched_on)
    against = await who_may_not(tx, lot, data, permit_id)
    instant = min(now, midnight(data.dispatched_on + timedelta(days=1)))
    purpose, on = TransportPurpose(lot.purpose), data.dispatched_on
    against += rules.hindrances(found, lot.hazard, purpose, data.mode, data.approval, instant, on)
    if against or permit_id is None:
        hindrances = msgspec.to_builtins(against)
        raise MayNotLeave("; ".join(one.message for one in against), hindrances=hindrances)
    await store.dispatch(tx, consignment_id, data, permit_id, found)
    papers = papers_of(sent_off(lot, data))
    left = [step_of(one, "waste.outbound", on, papers, one.recycler_id) for one in found]
    await record(tx, left, by=by, now=now)
    await routings.move_mass(
        tx, lot.outlet_id, reserved_kg=-lot.expected_kg, in_transit_kg=lot.expected_kg
    )
    facts: dict[str, object] = {
        "consignment_id": consignment_id,
        "consignment": lot.number,
        "mode": data.mode,
        "on": data.dispatched_on,
    }
    await tell(tx, lot, "routing.dispatched", facts, found, by=by, now=now)
    return await get(tx, consignment_id)


def sent_off(lot: Lot, data: ConsignmentDispatch) -> Lot:
    return replace(
        lot,
        dispatched_on=data.dispatched_on,
        mode=data.mode,
        carrier_id=data.carrier_id,
        vehicle=data.vehicle,
    )


def step_of(
    pack: Candidate, kind: str, on: date, facts: dict[str, object], party_id: UUID | None
) -> Step:
    whole = {"routing_id": pack.routing_id, "mass_kg": pack.mass_kg, **facts}
    return Step(pack.pack_id, kind, on, whole, pack.adcode, party_id)


async def record(tx: Connection, steps: Sequence[Step], *, by: str, now: datetime) -> None:
    await batteries.lock_many(tx, [step.pack_id for step in steps])
    await traceability.record(tx, steps, by=by, now=now)


async def who_may_not(
    tx: Connection, lot: Lot, data: ConsignmentDispatch, permit_id: UUID | None
) -> list[Hindrance]:
    """What speaks against the carrier, and against the firm that it goes to."""
    against = []
    if permit_id is None:
        message = f"the carrier has no permit for class 9 by {data.mode} on {data.dispatched_on}"
        against.append(Hindrance("carrier_not_permitted", message))
    if await routings.is_closed(tx, lot.outlet_id, data.dispatched_on):
        message = f"on {data.dispatched_on} the outlet is closed"
        against.append(Hindrance("outlet_closed", message))
    missing = await routings.lacking(tx, lot.recycler_id, data.dispatched_on, REQUIRED)
    if missing:
        message = f"on {data.dispatched_on} the recycler holds no valid {', '.join(missing)}"
        against.append(Hindrance("recycler_not_qualified", message))
    return against


async def tell(
    tx: Connection,
    lot: Lot,
    kind: str,
    facts: dict[str, object],
    packs: Sequence[Candidate],
    *,
    by: str,
    now: datetime,
) -> None:
    """Of the lot, and on the timeline of each of its packs."""
    of_lot = Event("consignment", lot.id, f"consignment.{kind.partition('.')[2]}", facts)
    of_packs = [Event("routing", one.routing_id, kind, facts) for one in packs]
    await events.append(tx, [of_lot, *of_packs], actor=by, now=now)


# Arriving


async def weigh_in(
    tx: Connection, consignment_id: UUID, data: ConsignmentWeighIn, *, by: str, now: datetime
) -> ConsignmentDetail:
    """What a lot weighs where it came in. Raises `NoSuchConsignment`, `ConsignmentInState`,
    `BadWeights`."""
    refuse_future(data.weighed_on, civil_date(now), "weighed_on")
    await seen(tx, consignment_id)
    async with as_lessor(tx):
        lot = await locked(tx, consignment_id, ConsignmentState.WEIGHED_IN)
        if lot.dispatched_on is None or data.weighed_on < lot.dispatched_on:
            raise WrongOrder(f"it left on {lot.dispatched_on}")
        packs = {one.routing_id: one.mass_kg for one in await store.packs(tx, consignment_id)}
        weights = weights_of(data.packs, packs)
        weighed_kg = total_weight(data, weights, packs)
        each = [(mass, weights.get(routing_id)) for routing_id, mass in packs.items()]
        tolerance = rules.tolerance_kg(lot.expected_kg, len(packs), data.weighed_on)
        odd = rules.is_discrepant(lot.expected_kg, weighed_kg, each, data.weighed_on)
        await store.weigh(tx, consignment_id, data.weighed_on, weighed_kg, weights, tolerance, odd)
        facts: dict[str, object] = {
            "consignment": lot.number,
            "expected_kg": lot.expected_kg,
            "weighed_kg": str(weighed_kg),
            "is_discrepant": odd,
            "on": data.weighed_on,
        }
        told = Event("consignment", consignment_id, "consignment.weighed_in", facts)
        await events.append(tx, [told], actor=by, now=now)
    return await get(tx, consignment_id)


def weights_of(given: Sequence[PackWeight], packs: dict[UUID, int]) -> dict[UUID, Decimal]:
    weights: dict[UUID, Decimal] = {}
    for place, one in enumerate(given):
        pointer = f"/packs/{place}/routing_id"
        if one.routing_id not in packs:
            raise BadWeights(pointer, "not_in_lot", "it is not in this consignment")
        if one.routing_id in weights:
            raise BadWeights(pointer, "twice", "it was weighed already")
        weights[one.routing_id] = Decimal(one.weighed_kg)
    return weights


def total_weight(
    data: ConsignmentWeighIn, weights: dict[UUID, Decimal], packs: dict[UUID, int]
) -> Decimal:
    """What the lot weighs. Raises `BadWeights` when that is not said, or said twice and apart."""
    total = sum(weights.values(), Decimal(0))
    if data.weighed_kg is None:
        if len(weights) < len(packs):
            message = "give the weight of the lot, or of every pack"
            raise BadWeights("/weighed_kg", "missing", message)
        return total
    weighed_kg = Decimal(data.weighed_kg)
    if len(weights) == len(packs) and weighed_kg != total:
        message = f"the packs add up to {total} kg"
        raise BadWeights("/weighed_kg", "does_not_add_up", message)
    return weighed_kg


async def explain(
    tx: Connection, consignment_id: UUID, explanation: str, *, by: str, now: datetime
) -> ConsignmentDetail:
    """Why a lot does not weigh what it should. Raises `NoSuchConsignment`, `ConsignmentInState`,
    `NotDiscrepant`."""
    lot = await locked(tx, consignment_id, ConsignmentState.RECEIVED)
    if not lot.is_discrepant:
        raise NotDiscrepant
    await store.explain(tx, consignment_id, explanation)
    facts: dict[str, object] = {"consignment": lot.number, "reason": explanation}
    told = Event("consignment", consignment_id, "consignment.explained", facts)
    await events.append(tx, [told], actor=by, now=now)
    return await get(tx, consignment_id)


async def receive(
    tx: Connection, consignment_id: UUID, data: ConsignmentReceipt, *, by: str, now: datetime
) -> ConsignmentDetail:
    """The outlet takes a lot: each of its packs is handed over, if the recycler is qualified on
    that day. Raises `NoSuchConsignment`, `ConsignmentInState`, `Unexplained`, `WrongOrder`, and
    what `end_of_life.service.hand_over` raises."""
    on = data.received_on
    refuse_future(on, civil_date(now), "received_on")
    await seen(tx, consignment_id)
    async with as_lessor(tx):
        lot = await locked(tx, consignment_id, ConsignmentState.RECEIVED)
        if lot.is_discrepant and lot.discrepancy_explanation is None:
            raise Unexplained(f"expected {lot.expected_kg} kg, weighed {lot.weighed_kg} kg")
        in_lot = await store.packs(tx, consignment_id)
        found = await store.candidates(tx, [one.routing_id for one in in_lot])
        await store.receive(tx, consignment_id, on)
        weighed = {one.routing_id: one.weighed_kg for one in in_lot}
        for one in found:
            kg = weighed[one.routing_id]
            papers = papers_of(lot) | {"weighed_kg": None if kg is None else str(kg)}
            await end_of_life.hand_over(tx, one.routing_id, on, by=by, now=now, consigned=papers)
        facts: dict[str, object] = {"consignment": lot.number, "on": on}
        told = Event("consignment", consignment_id, "consignment.received", facts)
        await events.append(tx, [told], actor=by, now=now)
    return await get(tx, consignment_id)


def papers_of(lot: Lot) -> dict[str, object]:
    """What records say of the transport."""
    return {
        "consignment_id": lot.id,
        "consignment": lot.number,
        "carrier_id": lot.carrier_id,
        "mode": lot.mode,
        "vehicle": lot.vehicle,
        "un_number": lot.un_number,
        "packing_instructions": lot.packing["packing_instructions"],
        "dispatched_on": lot.dispatched_on,
    }


async def refuse(
    tx: Connection, consignment_id: UUID, data: ConsignmentRefusal, *, by: str, now: datetime
) -> ConsignmentDetail:
    """The outlet takes a lot not: its packs come back to the lessor's store and are reserved again;
    they may be given up or go in another lot. Raises `NoSuchConsignment`, `ConsignmentInState`,
    `WrongOrder`."""
    refuse_future(data.refused_on, civil_date(now), "refused_on")
    await seen(tx, consignment_id)
    async with as_lessor(tx):
        lot = await locked(tx, consignment_id, ConsignmentState.REFUSED)
        in_lot = await store.packs(tx, consignment_id)
        found = await store.candidates(tx, [one.routing_id for one in in_lot])
        await store.refuse(tx, consignment_id, data.refused_on, data.reason)
        why: dict[str, object] = {"consignment": lot.number, "reason": data.reason}
        back = [step_of(one, "waste.inbound", data.refused_on, why, None) for one in found]
        await record(tx, back, by=by, now=now)
        await routings.move_mass(
            tx, lot.outlet_id, reserved_kg=lot.expected_kg, in_transit_kg=-lot.expected_kg
        )
        facts: dict[str, object] = {
            "consignment_id": consignment_id,
            "consignment": lot.number,
            "reason": data.reason,
            "on": data.refused_on,
        }
        await tell(tx, lot, "routing.refused", facts, found, by=by, now=now)
    return await get(tx, consignment_id)


async def cancel(
    tx: Connection, consignment_id: UUID, data: ConsignmentCancellation, *, by: str, now: datetime
) -> ConsignmentDetail:
    """A lot is unpacked before it left. Raises `NoSuchConsignment`, `ConsignmentInState`,
    `WrongOrder`."""
    refuse_future(data.cancelled_on, civil_date(now), "cancelled_on")
    lot = await locked(tx, consignment_id, ConsignmentState.CANCELLED)
    await store.cancel(tx, consignment_id, data.cancelled_on, data.reason)
    facts: dict[str, object] = {
        "consignment": lot.number,
        "reason": data.reason,
        "on": data.cancelled_on,
    }
    told = Event("consignment", consignment_id, "consignment.cancelled", facts)
    await events.append(tx, [told], actor=by, now=now)
    return await get(tx, consignment_id)


# Reading


async def after(
    tx: Connection,
    consignment_id: UUID,
    outlet_id: UUID | None,
    recycler_id: UUID | None,
    state: ConsignmentState | None,
    stranded: bool,
    limit: int,
    now: datetime,
) -> list[ConsignmentView]:
    """Consignments, by id; `stranded` are those on the road that may not be handed over today."""
    filters = (outlet_id, recycler_id, state)
    if not stranded:
        return await store.after(tx, consignment_id, *filters, limit)
    return await store.stranded_after(
        tx, consignment_id, *filters, limit, civil_date(now), REQUIRED
    )


async def seen(tx: Connection, consignment_id: UUID) -> None:
    """Raises `NoSuchConsignment` unless whoever asks may see it."""
    if await store.get(tx, consignment_id) is None:
        raise NoSuchConsignment(f"there is no consignment {consignment_id}")


async def locked(tx: Connection, consignment_id: UUID, to: ConsignmentState) -> Lot:
    """A lot for changing. Raises `NoSuchConsignment`, `ConsignmentInState`."""
    lot = await store.lock(tx, consignment_id)
    if lot is None:
        raise NoSuchConsignment(f"there is no consignment {consignment_id}")
    if to not in NEXT_STATES[lot.state]:
        message = f"a consignment that is {lot.state} cannot become {to}"
        raise ConsignmentInState(message, state=lot.state)
    return lot


async def get(tx: Connection, consignment_id: UUID) -> ConsignmentDetail:
    """A consignment with its packs. Raises `NoSuchConsignment`."""
    row = await store.get(tx, consignment_id)
    if row is None:
        raise NoSuchConsignment(f"there is no consignment {consignment_id}")
    packs = await store.packs(tx, consignment_id)
    return convert({**row, "packs": packs}, ConsignmentDetail)
