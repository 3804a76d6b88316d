"""Batches at recyclers: packs come in for treatment, and a certificate says what was recovered.

A certificate below the floors of its day is taken down as it is, and marked: what a recycler did is
one fact, whether the conditions allow it is another.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.batteries import service as batteries
from leasing.db.pool import Connection, as_lessor
from leasing.end_of_life import floors, recovery_store, store
from leasing.end_of_life.model import (
    BadBatch,
    BadRecovery,
    BatchInState,
    NoSuchBatch,
    NoSuchRouting,
    RoutingState,
)
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.end_of_life import RoutingState as State
from schemas.packs import PackState
from schemas.recovery import (
    BatchState,
    Metal,
    RecoveryBatchCreate,
    RecoveryBatchView,
    RecoveryCertificateCreate,
    RecoveryMetalView,
    RecoveryProductView,
    Regime,
)

TOLERANCE = Decimal("0.01")
"""Points by which a percentage may differ from that of its masses, which are rounded."""


# Packs come in


async def receive(
    tx: Connection, data: RecoveryBatchCreate, *, owner: UUID | None, by: str, now: datetime
) -> RecoveryBatchView:
    """Packs are taken into treatment. `owner` is the recycler that asks, None for the lessor.
    Raises `BadBatch`, `NoSuchRouting`, `RoutingState`, `BatchNumberTaken`, `InAnotherBatch`."""
    refuse_future(data.received_on, civil_date(now), "received_on")
    async with as_lessor(tx):
        wanted = await wanted_routings(tx, data)
        routings = await lock_all(tx, wanted, State.HANDED_OVER, owner)
        firms = {row["recycler_id"] for row in routings}
        if len(firms) > 1:
            raise refused(
                BadBatch, "/routing_ids", "several_recyclers", "they are at several firms"
            )
        late = [row["id"] for row in routings if row["handed_over_on"] > data.received_on]
        if late:
            message = "a pack is treated after it was handed over"
            raise refused(BadBatch, "/received_on", "before_hand_over", message)
        if Decimal(data.mass_in_kg) == 0:
            raise refused(BadBatch, "/mass_in_kg", "no_mass", "a batch weighs something")
        batch_id = await insert(tx, routings, data, by=by, now=now)
        await tell_received(tx, routings, data, batch_id, by=by, now=now)
        return await get(tx, batch_id)


async def wanted_routings(tx: Connection, data: RecoveryBatchCreate) -> list[UUID]:
    if (data.consignment_id is None) == (not data.routing_ids):
        message = "name a consignment or routings, not both"
        raise refused(BadBatch, "/routing_ids", "one_of_two", message)
    if data.consignment_id is None:
        return data.routing_ids
    found = await recovery_store.of_consignment(tx, data.consignment_id)
    if not found:
        raise refused(BadBatch, "/consignment_id", "no_consignment", "it has no packs")
    return found


def refused(
    error: type[BadBatch] | type[BadRecovery], pointer: str, code: str, message: str
) -> BadBatch | BadRecovery:
    return error(message, fields=[FieldError(pointer, code, message)])


async def lock_all(
    tx: Connection, wanted: Sequence[UUID], state: State, owner: UUID | None
) -> list[Record]:
    """Routings that are all there, all the owner's and all in a state, locked by id."""
    routings = await recovery_store.lock_routings(tx, wanted)
    mine = [row for row in routings if owner is None or row["recycler_id"] == owner]
    missing = set(wanted) - {row["id"] for row in mine}
    if missing:
        raise NoSuchRouting(f"there is no routing {min(missing)}")
    for row in mine:
        if row["state"] != state:
            message = f"routing {row['id']} is {row['state']}, not {state}"
            raise RoutingState(message, routing_id=row["id"], state=row["state"])
    return mine


async def insert(
    tx: Connection,
    routings: Sequence[Record],
    data: RecoveryBatchCreate,
    *,
    by: str,
    now: datetime,
) -> UUID:
    return await recovery_store.insert_batch(
        tx,
        routings[0]["recycler_id"],
        data,
        [row["id"] for row in routings],
        expected_kg=sum(row["mass_kg"] for row in routings),
        by=by,
        now=now,
    )


async def tell_received(
    tx: Connection,
    routings: Sequence[Record],
    data: RecoveryBatchCreate,
    batch_id: UUID,
    *,
    by: str,
    now: datetime,
) -> None:
    facts: dict[str, object] = {"batch_id": batch_id, "batch": data.number}
    steps = []
    for row in sorted(routings, key=lambda row: row["pack_id"].bytes):
        await batteries.lock(tx, row["pack_id"])
        told = {**facts, "routing_id": row["id"], "mass_kg": row["mass_kg"]}
        place = (row["adcode"], row["recycler_id"])
        steps.append(Step(row["pack_id"], "recycle.received", data.received_on, told, *place))
    await traceability.record(tx, steps, by=by, now=now)
    on_each = [
        Event("routing", row["id"], "routing.batched", {**facts, "on": data.received_on})
        for row in routings
    ]
    received = {**facts, "on": data.received_on, "mass_in_kg": data.mass_in_kg}
    batch = Event("recovery_batch", batch_id, "recovery_batch.received", received)
    await events.append(tx, [batch, *on_each], actor=by, now=now)


# What was recovered


async def certify(
    tx: Connection,
    batch_id: UUID,
    data: RecoveryCertificateCreate,
    *,
    owner: UUID | None,
    by: str,
    now: datetime,
) -> RecoveryBatchView:
    """Record what was recovered from a batch: its packs are no more, and their outlets have their
    room back. Raises `NoSuchBatch`, `BatchInState`, `BadRecovery`, `CertificateNumberTaken`."""
    refuse_future(data.recycled_on, civil_date(now), "recycled_on")
    async with as_lessor(tx):
        batch = await recovery_store.lock_batch(tx, batch_id)
        if batch is None or owner not in (None, batch["recycler_id"]):
            raise NoSuchBatch(f"there is no batch {batch_id}")
        if batch["state"] != BatchState.RECEIVED:
            raise BatchInState(f"it is {batch['state']}", state=batch["state"])
        wanted = await recovery_store.packs_of_batch(tx, batch_id)
        routings = await lock_all(tx, wanted, State.HANDED_OVER, None)
        return await finish(tx, batch, routings, data, by=by, now=now)


async def finish(
    tx: Connection,
    batch: Record,
    routings: Sequence[Record],
    data: RecoveryCertificateCreate,
    *,
    by: str,
    now: datetime,
) -> RecoveryBatchView:
    """Write the certificate of a batch that is locked, as its routings are."""
    if data.recycled_on < batch["received_on"]:
        message = f"the batch came in on {batch['received_on']}"
        raise refused(BadRecovery, "/recycled_on", "before_receipt", message)
    efficiency = refuse_impossible(data, batch["mass_in_kg"])
    rates = {one.metal: Decimal(one.percent) for one in data.metals}
    judged = floors.judge(rates, efficiency, data.recycled_on)
    await recovery_store.certify_batch(
        tx,
        batch["id"],
        data,
        efficiency_percent=efficiency,
        is_below_floor=floors.is_below(judged, Regime.CHINA),
        is_below_eu_floor=floors.is_below(judged, Regime.EU),
    )
    await recovery_store.insert_certificates(
        tx,
        [row["id"] for row in routings],
        data.number,
        batch["recycler_id"],
        data.recycled_on,
        rates.get(Metal.LI),
        rates.get(Metal.NICKEL_COBALT_MANGANESE),
        batch["id"],
    )
    await end_packs(tx, batch, routings, data, by=by, now=now)
    return await get(tx, batch["id"])


def refuse_impossible(data: RecoveryCertificateCreate, mass_in_kg: Decimal) -> Decimal | None:
    """Recycling efficiency in percent of the mass that came in, None when the mass in products was
    not reported. Raises `BadRecovery` when the figures contradict each other."""
    seen: set[Metal] = set()
    for place, one in enumerate(data.metals):
        if one.metal in seen:
            raise refused(BadRecovery, f"/metals/{place}/metal", "twice", "it is there already")
        seen.add(one.metal)
        if (one.input_kg is None) != (one.output_kg is None):
            message = "give both masses, or neither"
            raise refused(BadRecovery, f"/metals/{place}/input_kg", "one_mass", message)
        if one.input_kg is not None and one.output_kg is not None:
            contained, recovered = Decimal(one.input_kg), Decimal(one.output_kg)
            if not 0 <= recovered <= contained or contained == 0:
                message = "no more is recovered than there was"
                raise refused(BadRecovery, f"/metals/{place}/output_kg", "too_much", message)
            follows = floors.percent_of_mass(recovered, contained)
            if abs(follows - Decimal(one.percent)) > TOLERANCE:
                message = f"{recovered} of {contained} kg is {follows} %"
                raise refused(BadRecovery, f"/metals/{place}/percent", "contradicts", message)
    if len({one.product for one in data.products}) < len(data.products):
        raise refused(BadRecovery, "/products", "twice", "each product is named once")
    recovered_kg = Decimal(data.recovered_kg or 0)
    if recovered_kg + Decimal(data.residue_kg or 0) > mass_in_kg:
        message = f"{mass_in_kg} kg came in, and more went out"
        raise refused(BadRecovery, "/recovered_kg", "too_much", message)
    if data.recovered_kg is None:
        return None
    return floors.percent_of_mass(recovered_kg, mass_in_kg)


async def end_packs(
    tx: Connection,
    batch: Record,
    routings: Sequence[Record],
    data: RecoveryCertificateCreate,
    *,
    by: str,
    now: datetime,
) -> None:
    on = data.recycled_on
    rates = {str(one.metal): one.percent for one in data.metals}
    facts: dict[str, object] = {
        "certificate": data.number,
        "batch": batch["number"],
        "rates": rates,
        "products": {one.product: one.mass_kg for one in data.products},
    }
    steps, told = [], []
    for row in sorted(routings, key=lambda row: row["pack_id"].bytes):
        pack = await batteries.lock(tx, row["pack_id"])
        await batteries.move(tx, pack, PackState.RECYCLED, recycled_on=on)
        await store.recycle(tx, row["id"], on)
        of_it = {"routing_id": row["id"], **facts}
        place = (row["adcode"], row["recycler_id"])
        steps.append(Step(pack.id, "recycle.completed", on, of_it, *place))
        told.append(Event("routing", row["id"], "routing.recycled", {**of_it, "on": on}))
    for outlet_id in sorted({row["outlet_id"] for row in routings}):
        mass_kg = sum(row["mass_kg"] for row in routings if row["outlet_id"] == outlet_id)
        await store.move_mass(tx, outlet_id, stock_kg=-mass_kg)
    await traceability.record(tx, steps, by=by, now=now)
    certified = {"certificate": data.number, "rates": rates, "on": on}
    batch_told = Event("recovery_batch", batch["id"], "recovery_batch.certified", certified)
    await events.append(tx, [batch_told, *told], actor=by, now=now)


# Reading


async def get(tx: Connection, batch_id: UUID) -> RecoveryBatchView:
    """A batch with what was recovered from it, against every floor of its day."""
    row = await recovery_store.get_batch(tx, batch_id)
    if row is None:
        raise NoSuchBatch(f"there is no batch {batch_id}")
    (view,) = await views(tx, [row])
    return view


async def views(tx: Connection, rows: Sequence[Record]) -> list[RecoveryBatchView]:
    rates, products = await recovery_store.rates_and_products(tx, [row["id"] for row in rows])
    return [
        view(
            row,
            [convert(rate, RecoveryMetalView) for rate in rates if rate["batch_id"] == row["id"]],
            [convert(one, RecoveryProductView) for one in products if one["batch_id"] == row["id"]],
        )
        for row in rows
    ]


def view(
    row: Record, metals: list[RecoveryMetalView], products: list[RecoveryProductView]
) -> RecoveryBatchView:
    judged = []
    if row["recycled_on"] is not None:
        rates = {one.metal: one.percent for one in metals}
        judged = floors.judge(rates, row["efficiency_percent"], row["recycled_on"])
    lost = None
    if row["recovered_kg"] is not None and row["residue_kg"] is not None:
        lost = row["mass_in_kg"] - row["recovered_kg"] - row["residue_kg"]
    more = {"metals": metals, "products": products, "floors": judged, "lost_kg": lost}
    return convert({**row, **more}, RecoveryBatchView)
