"""End of life: route, hand over, certify."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from leasing.batteries import service as batteries
from leasing.db.pool import Connection
from leasing.end_of_life import recovery, recovery_store, rules, store
from leasing.end_of_life.model import (
    Candidate,
    Load,
    NoFeasibleOutlet,
    NoSuchRouting,
    NotDecided,
    OutletNotQualified,
    Ranked,
    RecycledBeforeHandOver,
    Routing,
    RoutingState,
)
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.end_of_life import (
    CertificateCreate,
    CertificateView,
    ReleaseCreate,
    RoutingCreate,
    RoutingView,
)
from schemas.end_of_life import RoutingState as State
from schemas.outlets import Hazard
from schemas.packs import PackState
from schemas.recovery import (
    Metal,
    MetalRecovery,
    RecoveryBatchCreate,
    RecoveryCertificateCreate,
)

REQUIRED = [str(kind) for kind in rules.REQUIRED]


async def route(
    tx: Connection,
    pack_id: UUID,
    data: RoutingCreate,
    *,
    by: str,
    now: datetime,
    outlets: list[Candidate] | None = None,
) -> RoutingView:
    """Choose the nearest outlet that may and can take a condemned pack on the planned day, and
    reserve its room. `outlets` may be passed by a caller who routes many packs at once.

    Raises `NoFeasibleOutlet` with the number of outlets that each reason excludes.
    """
    pack = await batteries.lock(tx, pack_id)
    if pack.state is not PackState.CONDEMNED:
        raise NotDecided(f"this pack is {pack.state}", state=pack.state)
    place = await store.condemned(tx, pack_id)
    if place is None:
        raise NotDecided
    load = Load(
        pack_id=pack_id,
        chemistry=pack.chemistry,
        hazard=Hazard(place["hazard"]),
        mass_kg=pack.mass_kg,
        longitude=place["longitude"],
        latitude=place["latitude"],
    )
    if outlets is None:
        outlets = await store.candidates(tx, data.hand_over_on, REQUIRED)
    ranked = rules.rank(load, outlets)
    position = await reserve_nearest(tx, ranked, pack.mass_kg)
    chosen = ranked[position]
    await batteries.move(tx, pack, PackState.ROUTED)
    routing_id = await store.insert_routing(
        tx,
        pack_id=pack_id,
        disposition_id=place["disposition_id"],
        outlet_id=chosen.outlet.id,
        recycler_id=chosen.outlet.recycler_id,
        mass_kg=pack.mass_kg,
        distance_m=chosen.distance_m,
        hand_over_on=data.hand_over_on,
        explanation=rules.explain(ranked, position),
        now=now,
    )
    facts: dict[str, object] = {
        "routing_id": routing_id,
        "outlet": chosen.outlet.code,
        "distance_m": chosen.distance_m,
        "hand_over_on": data.hand_over_on,
    }
    recycler = chosen.outlet.recycler_id
    step = Step(pack_id, "route.chosen", civil_date(now), facts, place["adcode"], recycler)
    await traceability.record(tx, [step], by=by, now=now)
    chosen_event = Event("routing", routing_id, "routing.chosen", facts)
    await events.append(tx, [chosen_event], actor=by, now=now)
    return await get_routing(tx, routing_id)


async def reserve_nearest(tx: Connection, ranked: list[Ranked], mass_kg: int) -> int:
    """Reserve room at the first outlet that nothing speaks against, and return its place in
    the ranking. One that filled up since it was read is passed over, and says so."""
    for position, candidate in enumerate(ranked):
        if candidate.reasons:
            continue
        if await store.reserve(tx, candidate.outlet.id, mass_kg):
            return position
        candidate.reasons.append("SPACE")
    counts: dict[str, int] = {}
    for candidate in ranked:
        for reason in candidate.reasons:
            counts[reason] = counts.get(reason, 0) + 1
    raise NoFeasibleOutlet(f"none of {len(ranked)} outlets", excluded_by_reason=counts)


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
    very day: raises `OutletNotQualified` when it was lost since the choice. `consigned` tells of
    the lot that brought it: its room was kept among what is in transit then."""
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
    facts: dict[str, object] = {
        "routing_id": routing_id,
        "mass_kg": routing.mass_kg,
        **(consigned or {}),
    }
    steps = [
        Step(pack.id, kind, on, facts, routing.adcode, routing.recycler_id)
        for kind in ("waste.outbound", "waste.inbound")
    ]
    await traceability.record(tx, steps, by=by, now=now)
    handed = Event("routing", routing_id, "routing.handed_over", {**facts, "on": on})
    await events.append(tx, [handed], actor=by, now=now)
    return await get_routing(tx, routing_id)


async def release(
    tx: Connection, routing_id: UUID, data: ReleaseCreate, *, by: str, now: datetime
) -> RoutingView:
    """Give up a routing before hand-over: the room is free again, the pack waits for another."""
    routing = await lock_routing(tx, routing_id, State.RESERVED)
    pack = await batteries.lock(tx, routing.pack_id)
    await batteries.move(tx, pack, PackState.CONDEMNED)
    await store.release(tx, routing_id, data.released_on, data.reason)
    await store.move_mass(tx, routing.outlet_id, reserved_kg=-routing.mass_kg)
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
