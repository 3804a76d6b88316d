"""End of life: route, hand over, certify."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.batteries import service as batteries
from leasing.batteries import store as batteries_store
from leasing.batteries.store import Pack
from leasing.db.pool import Connection
from leasing.end_of_life import (
    choosing,
    firms_store,
    loads,
    placing,
    recovery,
    recovery_store,
    reserving,
    snapshot,
    store,
    terms,
)
from leasing.end_of_life.choosing import LotJudged
from leasing.end_of_life.loads import Load
from leasing.end_of_life.model import (
    NoFeasibleOutlet,
    NoSuchRouting,
    NotDecided,
    NotOnePlace,
    OutletNotQualified,
    RecycledBeforeHandOver,
    Routing,
    RoutingState,
)
from leasing.end_of_life.reserving import REQUIRED
from leasing.end_of_life.snapshot import ALLOWED, Day, Known
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, midnight
from leasing.outlets.model import OutletClosed
from leasing.routing.one import Question
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.end_of_life import (
    CertificateCreate,
    CertificateView,
    LotOptionsView,
    LotOptionView,
    LotRoutedView,
    LotRoutingCreate,
    ReleaseCreate,
    RouteOptionsView,
    RoutingCreate,
    RoutingView,
)
from schemas.end_of_life import RoutingState as State
from schemas.packs import PackState
from schemas.recovery import (
    Metal,
    MetalRecovery,
    RecoveryBatchCreate,
    RecoveryCertificateCreate,
)


async def route(
    tx: Connection,
    pack_id: UUID,
    data: RoutingCreate,
    *,
    by: str,
    now: datetime,
    known: Known | None = None,
) -> RoutingView:
    """Choose the outlet at which a condemned pack brings most, of all that may and can take it on
    the planned day, and reserve its room. `known` is what the caller knows of all outlets; without
    it they are read anew.

    Raises `NoFeasibleOutlet` with the number of outlets that each reason speaks against.
    """
    pack = await batteries.lock(tx, pack_id)
    if pack.state is not PackState.CONDEMNED:
        raise NotDecided(f"this pack is {pack.state}", state=pack.state)
    place = await store.condemned(tx, pack_id)
    if place is None:
        raise NotDecided
    known = known or await snapshot.load(tx)
    day = known.on(data.hand_over_on)
    asked = asked_of(day, pack, place)
    judged = await reserving.reserve_best(tx, known, day, asked)
    chosen, day = judged.answer.chosen, judged.day
    assert chosen is not None
    await batteries.move(tx, pack, PackState.ROUTED)
    firm = day.firm(chosen.outlet, asked)
    recycler = day.recycler_of(chosen.outlet, firm)
    routing_id = await store.insert_routing(
        tx,
        pack_id=pack_id,
        disposition_id=place["disposition_id"],
        outlet_id=day.known.ids[chosen.outlet],
        recycler_id=recycler,
        mass_kg=pack.mass_kg,
        distance_m=judged.distance_m(chosen.outlet),
        hand_over_on=data.hand_over_on,
        explanation=choosing.explanation(judged),
        now=now,
        expires_at=midnight(terms.expires_on(day.terms, data.hand_over_on)),
        capacity_ids=reserving.capacity_ids(day, firm, asked),
    )
    facts: dict[str, object] = {
        "routing_id": routing_id,
        "outlet": day.known.codes[chosen.outlet],
        "distance_m": judged.distance_m(chosen.outlet),
        "hand_over_on": data.hand_over_on,
    }
    step = Step(pack_id, "route.chosen", civil_date(now), facts, place["adcode"], recycler)
    await traceability.record(tx, [step], by=by, now=now)
    chosen_event = Event("routing", routing_id, "routing.chosen", facts)
    await events.append(tx, [chosen_event], actor=by, now=now)
    return await get_routing(tx, routing_id)


def asked_of(day: Day, pack: Pack, place: Record) -> Question:
    return day.question(
        longitude=place["longitude"],
        latitude=place["latitude"],
        adcode=place["adcode"],
        chemistry=pack.chemistry,
        hazard=place["hazard"],
        dispositions=ALLOWED[place["decision"]],
        mass_kg=pack.mass_kg,
    )


async def route_options(
    tx: Connection, pack_id: UUID, hand_over_on: date, known: Known
) -> RouteOptionsView:
    """Where a condemned pack should go, and why. Nothing is written."""
    row = await store.condemned(tx, pack_id)
    if row is None:
        await batteries.get(tx, pack_id)
        raise NotDecided
    day = known.on(hand_over_on)
    asked = day.question(
        longitude=row["longitude"],
        latitude=row["latitude"],
        adcode=row["adcode"],
        chemistry=row["chemistry"],
        hazard=row["hazard"],
        dispositions=ALLOWED[row["decision"]],
        mass_kg=row["mass_kg"],
    )
    judged = await reserving.judge(tx, day, asked)
    return choosing.options(judged, [pack_id], hand_over_on)


async def lot(tx: Connection, data: LotRoutingCreate, known: Known) -> tuple[list[Load], LotJudged]:
    """Packs of a lot with the answer for all of them together. Raises `NotDecided` and
    `NotOnePlace`."""
    ours = await loads.these(tx, data.pack_ids)
    if len(ours) != len(set(data.pack_ids)):
        raise NotDecided("some packs of the lot were not condemned")
    places = {(load.longitude, load.latitude) for load in ours}
    if len(places) > 1:
        raise NotOnePlace(f"they wait at {len(places)} places")
    day = known.on(data.hand_over_on)
    await snapshot.read_room(tx, known)
    return ours, choosing.judge_lot(day, [day.question_of(load) for load in ours])


async def lot_options(tx: Connection, data: LotRoutingCreate, known: Known) -> LotOptionsView:
    """Where several packs of one place should go together. Nothing is written."""
    ours, judged = await lot(tx, data, known)
    best = [lot_option(judged, ours, outlet) for outlet in judged.order] + [None, None]
    return LotOptionsView(
        pack_ids=[load.pack_id for load in ours],
        hand_over_on=data.hand_over_on,
        mass_kg=judged.mass_kg,
        chosen=best[0],
        runner_up=best[1],
        excluded_by_reason={
            code.name: int(mask.sum()) for code, mask in judged.masks.items() if mask.any()
        },
    )


def lot_option(judged: LotJudged, ours: list[Load], outlet: int) -> LotOptionView:
    day = judged.day
    brought = loads.carried(day, ours, [outlet] * len(ours))
    offer, onward, freight, packing = (
        sum(each) for each in (brought.offer, brought.onward, brought.freight, brought.packing)
    )
    return LotOptionView(
        outlet_id=day.known.ids[outlet],
        outlet_code=day.known.codes[outlet],
        recycler_id=day.recycler_of(outlet, brought.firm[0]),
        distance_m=100 * int(judged.far[outlet]),
        offer_amount=offer,
        onward_amount=onward,
        freight_amount=freight,
        packing_amount=packing,
        net_amount=offer + onward + freight + packing,
    )


async def route_lot(
    tx: Connection, data: LotRoutingCreate, *, by: str, now: datetime, known: Known
) -> LotRoutedView:
    """Reserve room for several packs of one place at the outlet where they bring most together. It
    is locked before its room is counted; packs that it cannot take all the same go to the next best
    one by one. Raises `NoFeasibleOutlet` when no outlet takes them all."""
    packs = await batteries_store.lock_many(tx, data.pack_ids)
    wrong = sorted({pack.state for pack in packs.values()} - {PackState.CONDEMNED})
    if wrong:
        raise NotDecided(f"some packs are {', '.join(wrong)}")
    ours, judged = await lot(tx, data, known)
    if not judged.order:
        counts = {code.name: int(mask.sum()) for code, mask in judged.masks.items() if mask.any()}
        raise NoFeasibleOutlet(
            f"none of {len(known.ids)} outlets takes all of them", excluded_by_reason=counts
        )
    wanted = dict.fromkeys(range(len(ours)), judged.order[0])
    why: dict[str, object] = {"rule": "the best value for all packs of a lot together"}
    sent = await placing.send(tx, judged.day, ours, wanted, by=by, now=now, why=why)
    if sent.refused:
        raise NoFeasibleOutlet("room was taken meanwhile", packs=len(sent.refused))
    return LotRoutedView(
        routings=[await get_routing(tx, sent.routings[place]) for place in sorted(sent.routings)]
    )


async def get_routing(tx: Connection, routing_id: UUID) -> RoutingView:
    row = await store.get_routing(tx, routing_id)
    if row is None:
        raise NoSuchRouting
    return convert(row, RoutingView)


async def lock_routing(tx: Connection, routing_id: UUID, state: State) -> Routing:
    """Lock a routing. Raises `RoutingState` unless it is in the state asked for."""
    routing = await store.lock_routing(tx, routing_id)
    if routing is None:
        raise NoSuchRouting
    if routing.state != state:
        raise RoutingState(f"it is {routing.state}, not {state}", state=routing.state)
    return routing


async def hand_over(
    tx: Connection,
    routing_id: UUID,
    on: date,
    *,
    by: str,
    now: datetime,
    consigned: dict[str, object] | None = None,
) -> RoutingView:
    """Hand a pack over at its outlet. The recycler's qualification is asked again, on this
    very day: raises `OutletNotQualified` when it was lost since the choice, and `OutletClosed` when
    the outlet is open no more. `consigned` tells of the lot that brought it: it left with that lot,
    and its room was kept among what is in transit.
    """
    refuse_future(on, civil_date(now), "handed_over_on")
    routing = await lock_routing(tx, routing_id, State.RESERVED)
    missing = await store.lacking(tx, routing.recycler_id, on, REQUIRED)
    if missing:
        raise OutletNotQualified(
            f"on {on} the recycler holds no valid {', '.join(missing)}: "
            "release this routing and route the pack again",
            missing=missing,
        )
    pack = await batteries.lock(tx, routing.pack_id)
    await batteries.move(tx, pack, PackState.HANDED_OVER)
    await store.hand_over(tx, routing_id, on)
    left = {"reserved_kg" if consigned is None else "in_transit_kg": -routing.mass_kg}
    await store.move_mass(tx, routing.outlet_id, stock_kg=routing.mass_kg, **left)
    # Asked when its row is locked, so that it does not close meanwhile.
    if await store.is_closed(tx, routing.outlet_id, on):
        raise OutletClosed("release this routing and route the pack again")
    facts: dict[str, object] = {
        "routing_id": routing_id,
        "mass_kg": routing.mass_kg,
        **(consigned or {}),
    }
    kinds = ["waste.inbound"] if consigned is not None else ["waste.outbound", "waste.inbound"]
    steps = [Step(pack.id, kind, on, facts, routing.adcode, routing.recycler_id) for kind in kinds]
    await traceability.record(tx, steps, by=by, now=now)
    handed = Event("routing", routing_id, "routing.handed_over", {**facts, "on": on})
    await events.append(tx, [handed], actor=by, now=now)
    return await get_routing(tx, routing_id)


async def release(
    tx: Connection, routing_id: UUID, data: ReleaseCreate, *, by: str, now: datetime
) -> RoutingView:
    """Give up a routing before hand-over: the room is free again, the pack waits for another.
    One that was given up already stays as it is."""
    if await store.is_released(tx, routing_id):
        return await get_routing(tx, routing_id)
    routing = await lock_routing(tx, routing_id, State.RESERVED)
    pack = await batteries.lock(tx, routing.pack_id)
    await batteries.move(tx, pack, PackState.CONDEMNED)
    await store.release(tx, routing_id, data.released_on, data.reason)
    await store.move_mass(tx, routing.outlet_id, reserved_kg=-routing.mass_kg)
    await firms_store.give_back(tx, dict.fromkeys(routing.capacity_ids, routing.mass_kg))
    facts: dict[str, object] = {"routing_id": routing_id, "reason": data.reason}
    step = Step(
        pack.id, "route.released", data.released_on, facts, routing.adcode, routing.recycler_id
    )
    await traceability.record(tx, [step], by=by, now=now)
    told = {**facts, "on": data.released_on}
    released = Event("routing", routing_id, "routing.released", told)
    await events.append(tx, [released], actor=by, now=now)
    return await get_routing(tx, routing_id)


async def certify(
    tx: Connection, routing_id: UUID, data: CertificateCreate, *, by: str, now: datetime
) -> CertificateView:
    """Record the recycler's certificate of a single pack: a batch of one. The pack is no more, the
    outlet has its room back."""
    refuse_future(data.recycled_on, civil_date(now), "recycled_on")
    routing = await lock_routing(tx, routing_id, State.HANDED_OVER)
    locked = await recovery_store.lock_routings(tx, [routing_id])
    (handed_over_on,) = [row["handed_over_on"] for row in locked]
    if data.recycled_on < handed_over_on:
        raise RecycledBeforeHandOver(f"it was handed over on {handed_over_on}")
    alone = RecoveryBatchCreate(
        number=f"R-{routing_id}",
        received_on=handed_over_on,
        mass_in_kg=str(routing.mass_kg),
        routing_ids=[routing_id],
    )
    batch_id = await recovery.insert(tx, locked, alone, by=by, now=now)
    batch = await recovery_store.lock_batch(tx, batch_id)
    assert batch is not None
    ncm = data.nickel_cobalt_manganese_percent
    metals = [MetalRecovery(metal=Metal.LI, percent=data.lithium_percent)]
    if ncm is not None:
        metals.append(MetalRecovery(metal=Metal.NICKEL_COBALT_MANGANESE, percent=ncm))
    certificate = RecoveryCertificateCreate(
        number=data.number, recycled_on=data.recycled_on, metals=metals
    )
    certified = await recovery.finish(tx, batch, locked, certificate, by=by, now=now)
    return CertificateView(
        routing_id=routing_id,
        number=data.number,
        recycler_id=routing.recycler_id,
        recycled_on=data.recycled_on,
        lithium_percent=Decimal(data.lithium_percent),
        nickel_cobalt_manganese_percent=None if ncm is None else Decimal(ncm),
        below_floor=bool(certified.is_below_floor),
    )
