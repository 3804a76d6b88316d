"""Open routings whose recycler may not take them: all at once to other outlets, nobody else moved.

Evidence is asked for the day of hand-over, or for today when that day is past. What was reserved is
given back, and the packs are planned together at the room that is left, under one transaction.
Packs without any outlet wait again, with the reasons.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import numpy as np
from asyncpg import Record

from leasing.batteries import store as batteries_store
from leasing.db.pool import Connection
from leasing.end_of_life import loads, placing, plans, snapshot
from leasing.end_of_life.chain import Plant
from leasing.end_of_life.loads import Load, Problem
from leasing.end_of_life.model import NothingToReroute
from leasing.end_of_life.reserving import REQUIRED
from leasing.end_of_life.snapshot import UNPRICED_HOLD, Day
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.routing import columns, planning, whole
from leasing.routing.model import PRICE_OF_NO_ROOM, Ints, Network
from leasing.routing.planning import Planned
from leasing.routing.worker import Failed, TookTooLong, within
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import PackState
from schemas.routing import ReroutingView, SuggestionView

Group: TypeAlias = tuple[Day, list[Load], dict[int, int], dict[int, int]]
"""Packs of a day, with the outlets and the firms thought of for them."""

AT_ONCE = 5_000
"""More packs are planned in a process of their own."""
SECONDS = 25.0
"""A transaction may not idle for a minute."""

# A pack in a lot goes with its lot: when that is cancelled or refused, the pack is found here.
HIT = """
SELECT routing.id, routing.pack_id, routing.outlet_id, routing.recycler_id, routing.mass_kg,
       routing.capacity_ids,
       greatest(routing.hand_over_on, $1) AS hand_over_on, outlet.adcode,
       (explanation -> 'parts' ->> 'net_amount')::bigint AS net_amount, lacking.kinds AS lacking
  FROM routing
  JOIN outlet ON outlet.id = routing.outlet_id
 CROSS JOIN LATERAL (
         SELECT ARRAY(
           SELECT needed.kind
             FROM unnest($2::text[]) AS needed (kind)
            WHERE NOT EXISTS (
              SELECT FROM qualification
               WHERE qualification.party_id = routing.recycler_id
                 AND qualification.kind = needed.kind
                 AND qualification.valid @> greatest(routing.hand_over_on, $1))
            ORDER BY needed.kind) AS kinds) AS lacking
 WHERE routing.state = 'reserved'
   AND (outlet.closed_from <= greatest(routing.hand_over_on, $1) OR lacking.kinds <> '{}')
   AND NOT EXISTS (
         SELECT
           FROM consignment_pack
           JOIN consignment ON consignment.id = consignment_id
          WHERE consignment_pack.routing_id = routing.id
            AND NOT is_let_go
            AND consignment.state IN ('packed', 'dispatched', 'weighed_in'))
 ORDER BY routing.id
   FOR UPDATE OF routing
"""

INSERT = """
INSERT INTO rerouting (made_at, made_by, reason, hit, rerouted, held, before_amount, after_amount)
VALUES ($1, $2, $3, $4, 0, '[]', NULL, 0)
RETURNING id
"""

RELEASE_MANY = """
UPDATE routing
   SET state = 'released',
       released_on = $2,
       release_reason = $3
 WHERE id = ANY ($1::uuid[])
"""

NOTE = """
UPDATE rerouting
   SET rerouted = $2,
       held = $3,
       before_amount = $4,
       after_amount = $5
 WHERE id = $1
RETURNING id, made_at, made_by, reason, hit, rerouted, held, before_amount, after_amount
"""

LIST = """
SELECT id, made_at, made_by, reason, hit, rerouted, held, before_amount, after_amount
  FROM rerouting
 WHERE id < $1
 ORDER BY id DESC
 LIMIT $2
"""


async def before(tx: Connection, rerouting_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST, rerouting_id, limit)


async def reroute(tx: Connection, reason: str, *, by: str, now: datetime) -> ReroutingView:
    """Route anew whatever is reserved with a recycler that may not take it on the day. Raises
    `NothingToReroute` when nothing is."""
    today = civil_date(now)
    hit = await tx.fetch(HIT, today, REQUIRED)
    if not hit:
        raise NothingToReroute
    packs = await batteries_store.lock_many(tx, [row["pack_id"] for row in hit])
    assert all(pack.state is PackState.ROUTED for pack in packs.values())
    rerouting_id = await tx.fetchval(INSERT, now, by, reason, len(hit))
    await release_all(tx, hit, reason, by=by, now=now)
    known = await snapshot.load(tx)
    freed: dict[UUID, int] = {}
    for row in hit:
        freed[row["outlet_id"]] = freed.get(row["outlet_id"], 0) + row["mass_kg"]
    for outlet_id, kg in freed.items():
        known.free_kg[known.place[outlet_id]] += kg
    freed_of_firms: dict[UUID, int] = {}
    for row in hit:
        for capacity_id in row["capacity_ids"]:
            freed_of_firms[capacity_id] = freed_of_firms.get(capacity_id, 0) + row["mass_kg"]
    known.plants = [with_room(plant, freed_of_firms.get(plant.id, 0)) for plant in known.plants]
    found = {load.pack_id: load for load in await loads.these(tx, list(packs))}
    groups: list[Group] = []
    room = known.free_kg.copy()
    for on in sorted({row["hand_over_on"] for row in hit}):
        ours = [found[row["pack_id"]] for row in hit if row["hand_over_on"] == on]
        ours.sort(key=lambda load: load.pack_id)
        day = known.on(on)
        outlets, firms = await asyncio.to_thread(planned, loads.problem(day, ours, room))
        for place, outlet in outlets.items():
            room[outlet] -= ours[place].mass_kg
        groups.append((day, ours, outlets, firms))
    wanted = {known.ids[outlet] for _, _, outlets, _ in groups for outlet in outlets.values()}
    of_firms = {
        one
        for day, ours, outlets, firms in groups
        for one in placing.Ends(day, ours, firms).taken(outlets)
    }
    await placing.give_back(tx, groups[0][0], freed, wanted, freed_of_firms, of_firms)
    view = await sent(tx, groups, hit, rerouting_id, by=by, now=now)
    facts: dict[str, object] = {
        "hit": view.hit,
        "rerouted": view.rerouted,
        "reason": reason,
    }
    made = Event("rerouting", rerouting_id, "rerouting.made", facts)
    await events.append(tx, [made], actor=by, now=now)
    return view


async def sent(
    tx: Connection,
    groups: list[Group],
    hit: Sequence[Record],
    rerouting_id: UUID,
    *,
    by: str,
    now: datetime,
) -> ReroutingView:
    """Reserve for each day, and write down what came of it."""
    was = {row["pack_id"]: row["net_amount"] for row in hit}
    held: list[dict[str, object]] = []
    amounts: list[tuple[int | None, Any]] = []
    why: dict[str, object] = {
        "rule": "the outlet chosen before may not take the pack any more",
        "rerouting_id": str(rerouting_id),
    }
    for day, ours, outlets, firms in groups:
        done = await placing.send(
            tx, day, ours, outlets, by=by, now=now, why=why, rerouting_id=rerouting_id, firms=firms
        )
        for place, parts in done.parts.items():
            amounts.append((was[ours[place].pack_id], parts["net_amount"]))
        for place, reasons in sorted(done.refused.items()):
            held.append({"pack_id": str(ours[place].pack_id), "excluded_by_reason": reasons})
    unknown = any(amount is None for amount, _ in amounts)
    row = await tx.fetchrow(
        NOTE,
        rerouting_id,
        len(amounts),
        held,
        None if unknown else sum(amount or 0 for amount, _ in amounts),
        sum(after for _, after in amounts),
    )
    assert row is not None
    return convert(row, ReroutingView)


async def release_all(
    tx: Connection, hit: Sequence[Record], reason: str, *, by: str, now: datetime
) -> None:
    """Give up the routings and let the packs wait again; a pack whose recycler lost what it needs
    has that in its life. Their room is given back later, when all outlets are locked."""
    today = civil_date(now)
    await tx.execute(RELEASE_MANY, [row["id"] for row in hit], today, reason)
    await batteries_store.set_states(tx, [row["pack_id"] for row in hit], PackState.CONDEMNED)
    steps, told = [], []
    for row in hit:
        facts: dict[str, object] = {"routing_id": row["id"], "reason": reason}
        place = (row["adcode"], row["recycler_id"])
        if row["lacking"]:
            lost = {"lacking": row["lacking"], "as_of": row["hand_over_on"], "reason": reason}
            steps.append(Step(row["pack_id"], "qualification.changed", today, lost, *place))
        steps.append(Step(row["pack_id"], "route.released", today, facts, *place))
        told.append(Event("routing", row["id"], "routing.released", {**facts, "on": today}))
    await traceability.record(tx, steps, by=by, now=now)
    await events.append(tx, told, actor=by, now=now)


def with_room(plant: Plant, kg: int) -> Plant:
    """A plant with what is about to be given back."""
    if plant.free_kg is None or not kg:
        return plant
    return msgspec.structs.replace(plant, free_kg=plant.free_kg + kg)


def planned(problem: Problem) -> tuple[dict[int, int], dict[int, int]]:
    """Outlets for packs by the best flow at the room there is, and the firms behind them where
    there are some. None for some packs when there is no time or no solver: whoever reserves looks
    for each by itself."""
    prices = np.minimum(problem.day.prices, PRICE_OF_NO_ROOM - 1)
    network = replace(problem.network, hold=UNPRICED_HOLD)
    try:
        if len(problem.loads) > AT_ONCE:
            plan = within(SECONDS, flowing, network, prices)
        else:
            plan = flowing(network, prices)
    except (TookTooLong, Failed, ImportError):
        return {}, {}
    firms = {} if plan.firm is None else loads.assigned(problem, plan.packs, plan.firm)
    return loads.assigned(problem, plan.packs), firms


def flowing(network: Network, prices: Ints) -> Planned:
    known = prices if prices.any() else None
    if network.stage is not None:
        return planning.plan(network, known)
    relaxed = columns.solve(network, known)
    packs = whole.plan(network, relaxed)
    return Planned(packs, relaxed.prices, None, packs.plan_id(network))


# --- What planning all anew would bring -------------------------------------------------------

OPEN = """
SELECT pack_id, outlet_id, mass_kg
  FROM routing
 WHERE state = 'reserved'
   AND hand_over_on = $1
 ORDER BY pack_id
"""


async def suggestion(tx: Connection, hand_over_on: date) -> SuggestionView:
    """What it would bring to plan everything reserved for a day anew. Nothing is changed. Raises
    `TookTooLong`."""
    known = await snapshot.load(tx)
    day = known.on(hand_over_on)
    rows = await tx.fetch(OPEN, hand_over_on)
    now_at = {row["pack_id"]: known.place[row["outlet_id"]] for row in rows}
    for row in rows:
        known.free_kg[known.place[row["outlet_id"]]] += row["mass_kg"]
    ours = await loads.these(tx, list(now_at))
    if not ours:
        return SuggestionView(
            hand_over_on=hand_over_on, routings=0, gain_amount=0, moves=0, solver="flow"
        )
    problem = loads.problem(day, ours)
    network = replace(problem.network, hold=UNPRICED_HOLD)
    prices = np.minimum(day.prices, PRICE_OF_NO_ROOM - 1)
    solved = await asyncio.to_thread(within, SECONDS, plans.work, network, prices)
    outlets = loads.assigned(problem, solved.planned.packs)
    here = {place: now_at[load.pack_id] for place, load in enumerate(ours)}
    # A pack that the new plan has no room for would stay where it is.
    there = {place: outlets.get(place, here[place]) for place in here}
    return SuggestionView(
        hand_over_on=hand_over_on,
        routings=len(ours),
        gain_amount=worth(day, ours, there) - worth(day, ours, here),
        moves=sum(1 for place in here if here[place] != there[place]),
        solver=solved.solver,
    )


def worth(day: Day, ours: list[Load], outlets: dict[int, int]) -> int:
    """Fen. An outlet that may not take its packs any more counts by what it offered."""
    order = sorted(outlets)
    brought = loads.carried(day, [ours[one] for one in order], [outlets[one] for one in order])
    return sum(brought.net(number) for number in range(len(order)))
