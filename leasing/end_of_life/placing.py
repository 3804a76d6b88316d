"""Sending many packs on their way in one transaction.

Locks are taken in one order by everybody: packs by id, then outlets by id, then room in plants by
id. Room is given to the
packs that bring most for a kilogram; those that an outlet cannot take come back and go to the
next best one at once, without waiting for anybody, so that no two transactions wait for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from leasing.batteries import store as batteries_store
from leasing.db.pool import Connection, fetch_for, savepoint
from leasing.end_of_life import choosing, firms_store, terms
from leasing.end_of_life.loads import Carried, Load, carried
from leasing.end_of_life.reserving import REQUIRED, FirmIsFull, Full, capacity_ids, without_full
from leasing.end_of_life.snapshot import Day
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.time import civil_date, midnight
from leasing.routing.model import Against
from leasing.routing.one import Question
from leasing.traceability import store as traceability
from leasing.traceability.store import Step
from schemas.packs import PackState

TRIES = 40


@dataclass(frozen=True)
class Sent:
    """What became of loads, by their places in what was asked: the outlet and the routing, or the
    reasons for none with how many outlets they speak against."""

    outlets: dict[int, int]
    recyclers: dict[int, UUID]
    """The firm where each way ends."""
    routings: dict[int, UUID]
    parts: dict[int, dict[str, object]]
    elsewhere: set[int]
    """Loads that nobody thought of an outlet for, or whose outlet could not take them, and that
    go to another."""
    refused: dict[int, dict[str, int]]


# The outlets are locked in order of id, and what is read is what holds under the lock.
LOCK_OUTLETS = """
SELECT outlet.id,
       outlet.store_limit_kg - outlet.stock_kg - outlet.reserved_kg - outlet.in_transit_kg
         AS free_kg,
       outlet.closed_from <= $2::date IS TRUE AS may_not
  FROM outlet
 WHERE outlet.id = ANY ($1::uuid[])
 ORDER BY outlet.id
   FOR UPDATE OF outlet
"""

RESERVE_MANY = """
UPDATE outlet
   SET reserved_kg = reserved_kg + given.kg
  FROM unnest($1::uuid[], $2::integer[]) AS given (id, kg)
 WHERE outlet.id = given.id
"""

# Never waits: an outlet that somebody else has locked counts as full.
RESERVE_IF_FREE = """
UPDATE outlet
   SET reserved_kg = reserved_kg + $2
 WHERE id = (
         SELECT free.id
           FROM outlet AS free
          WHERE free.id = $1
            AND stock_kg + reserved_kg + in_transit_kg + $2 <= store_limit_kg
            AND (closed_from IS NULL OR closed_from > $3::date)
            AND NOT EXISTS (
                  SELECT
                    FROM unnest($4::text[]) AS needed (kind)
                   WHERE NOT EXISTS (
                     SELECT FROM qualification
                      WHERE qualification.party_id = $5
                        AND qualification.kind = needed.kind
                        AND qualification.valid @> $3::date))
            FOR NO KEY UPDATE SKIP LOCKED)
"""

INSERT_ROUTINGS = """
INSERT INTO routing (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m,
                     hand_over_on, explanation, chosen_at, expires_at, rerouting_id, capacity_ids)
SELECT pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m, $7, explanation, $8,
       $9, $10, capacity_ids::uuid[]
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::integer[], $6::integer[],
              $11::jsonb[], $12::text[])
       AS given (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m, explanation,
                 capacity_ids)
 ORDER BY pack_id
RETURNING id, pack_id
"""


async def send(
    tx: Connection,
    day: Day,
    loads: Sequence[Load],
    outlets: dict[int, int],
    *,
    by: str,
    now: datetime,
    why: dict[str, object],
    rerouting_id: UUID | None = None,
    firms: dict[int, int] | None = None,
) -> Sent:
    """Reserve room for condemned packs that the caller has locked, at the outlets thought of for
    them, and at the firms behind those (the best ones, where none is thought of); packs without one
    are looked after as if theirs had refused. Packs that failed their transport check go nowhere.
    `why` goes into each explanation."""
    unfit = {place for place, load in enumerate(loads) if load.unfit}
    outlets = {place: one for place, one in outlets.items() if place not in unfit}
    ends = Ends(day, loads, firms or {})
    room = await lock_outlets(tx, day, {day.known.ids[one] for one in outlets.values()})
    left, unlawful = await lock_firms(tx, day, ends, outlets)
    fitting = fits(day, loads, outlets, ends, room, left, unlawful)
    await reserve_many(tx, day, loads, fitting)
    await firms_store.move(tx, ends.taken(fitting))
    late = sorted(
        (place for place in range(len(loads)) if place not in fitting and place not in unfit),
        key=lambda place: (-loads[place].mass_kg, loads[place].pack_id),
    )
    everywhere = {Against.TRANSPORT_CHECK.name: len(day.known.ids)}
    refused = dict.fromkeys(unfit, everywhere)
    elsewhere = set()
    for place in late:
        found = await next_best(tx, day, loads[place])
        if isinstance(found, Found):
            fitting[place] = found.outlet
            ends.wanted.pop(place, None)
            if found.firm is not None:
                ends.wanted[place] = found.firm
            elsewhere.add(place)
        else:
            refused[place] = found
    order = sorted(fitting, key=lambda place: loads[place].pack_id)
    brought = carried(
        day,
        [loads[p] for p in order],
        [fitting[p] for p in order],
        [ends.firm(p, fitting[p]) for p in order],
    )
    routings = await write(tx, day, [loads[p] for p in order], brought, by, now, why, rerouting_id)
    return Sent(
        fitting,
        {p: day.recycler_of(fitting[p], brought.firm[n]) for n, p in enumerate(order)},
        dict(zip(order, routings, strict=True)),
        {place: brought.parts(number) for number, place in enumerate(order)},
        elsewhere,
        refused,
    )


async def lock_outlets(tx: Connection, day: Day, outlet_ids: set[UUID]) -> dict[UUID, int]:
    """The room of outlets, locked; none where nothing may be taken that day."""
    rows = await tx.fetch(LOCK_OUTLETS, sorted(outlet_ids), day.day)
    room = {}
    for row in rows:
        free_kg = max(0, row["free_kg"])
        day.known.free_kg[day.known.place[row["id"]]] = free_kg
        room[row["id"]] = 0 if row["may_not"] else free_kg
    return room


@dataclass(frozen=True)
class Ends:
    """Where loads end, by their places: the firms thought of, or the best behind their outlets."""

    day: Day
    loads: Sequence[Load]
    wanted: dict[int, int]

    def firm(self, place: int, outlet: int) -> int | None:
        chain, firm = self.day.chain, self.wanted.get(place)
        if chain is None:
            return None
        if firm is not None and chain.leads(outlet, firm):
            return firm
        return self.day.firm(outlet, self.day.question_of(self.loads[place]))

    def capacity_ids(self, place: int, outlet: int) -> list[UUID]:
        """Whose room the load takes there."""
        asked = self.day.question_of(self.loads[place])
        return capacity_ids(self.day, self.firm(place, outlet), asked)

    def taken(self, outlets: dict[int, int]) -> dict[UUID, int]:
        """What loads at these outlets take of each capacity."""
        kg: dict[UUID, int] = {}
        for place, outlet in outlets.items():
            for one in self.capacity_ids(place, outlet):
                kg[one] = kg.get(one, 0) + self.loads[place].mass_kg
        return kg


async def lock_firms(
    tx: Connection, day: Day, ends: Ends, outlets: dict[int, int]
) -> tuple[dict[UUID, int], set[UUID]]:
    """The room of plants where loads end, locked; and who lacks evidence that day."""
    left = await firms_store.lock(tx, sorted(ends.taken(outlets)))
    at = {day.recycler_of(one, ends.firm(place, one)) for place, one in outlets.items()}
    return left, await firms_store.unfit(tx, sorted(at), day.day, REQUIRED)


async def give_back(
    tx: Connection,
    day: Day,
    freed: dict[UUID, int],
    also: set[UUID],
    capacities: dict[UUID, int],
    also_capacities: set[UUID],
) -> None:
    """Free reserved room, kilograms by outlet and by capacity; `also` are those that are wanted
    later in this transaction, locked now so that all are locked in one order."""
    await tx.fetch(LOCK_OUTLETS, sorted(freed.keys() | also), day.day)
    outlets = sorted(freed)
    await tx.execute(RESERVE_MANY, outlets, [-freed[one] for one in outlets])
    await firms_store.lock(tx, sorted(capacities.keys() | also_capacities))
    await firms_store.move(tx, {one: -kg for one, kg in capacities.items()})


def fits(
    day: Day,
    loads: Sequence[Load],
    outlets: dict[int, int],
    ends: Ends,
    room: dict[UUID, int],
    firm_room: dict[UUID, int],
    unlawful: set[UUID],
) -> dict[int, int]:
    """Which loads their outlets and firms can take, those first that bring most for a kilogram."""
    order = sorted(outlets)
    firms = [ends.firm(place, outlets[place]) for place in order]
    brought = carried(
        day, [loads[place] for place in order], [outlets[place] for place in order], firms
    )
    gain = {place: brought.net(n) / loads[place].mass_kg for n, place in enumerate(order)}
    left = room | firm_room
    found = {}
    for place in sorted(order, key=lambda place: (-gain[place], loads[place].pack_id)):
        outlet = outlets[place]
        if day.recycler_of(outlet, ends.firm(place, outlet)) in unlawful:
            continue
        met = [day.known.ids[outlet], *ends.capacity_ids(place, outlet)]
        if loads[place].mass_kg <= min(left.get(one, 0) for one in met):
            for one in met:
                left[one] -= loads[place].mass_kg
            found[place] = outlet
    return found


async def reserve_many(
    tx: Connection, day: Day, loads: Sequence[Load], fitting: dict[int, int]
) -> None:
    kg: dict[int, int] = {}
    for place, outlet in fitting.items():
        kg[outlet] = kg.get(outlet, 0) + loads[place].mass_kg
    outlets = sorted(kg)
    ids = [day.known.ids[outlet] for outlet in outlets]
    await tx.execute(RESERVE_MANY, ids, [kg[outlet] for outlet in outlets])
    for outlet, mass in kg.items():
        day.known.free_kg[outlet] -= mass


@dataclass(frozen=True)
class Found:
    outlet: int
    firm: int | None


async def next_best(tx: Connection, day: Day, load: Load) -> Found | dict[str, int]:
    """An outlet that takes the pack at once, reserved; or how many outlets each reason excludes."""
    asked = day.question_of(load)
    for _ in range(TRIES):
        judged = choosing.judge(day, asked)
        chosen = judged.answer.chosen
        if chosen is None:
            return choosing.counted(judged)
        firm = day.firm(chosen.outlet, asked)
        try:
            async with savepoint(tx):
                await take_at_once(tx, day, chosen.outlet, firm, asked)
        except FirmIsFull:
            day = await without_full(tx, day, chosen.outlet, asked)
            continue
        except Full:
            pass
        else:
            day.known.free_kg[chosen.outlet] -= load.mass_kg
            return Found(chosen.outlet, firm)
        day.known.free_kg[chosen.outlet] = 0
        day.known.stale = True
    return choosing.counted(choosing.judge(day, asked))


async def take_at_once(
    tx: Connection, day: Day, outlet: int, firm: int | None, asked: Question
) -> None:
    """Reserve room without waiting for anybody. Raises `Full`."""
    recycler_id, mass = day.recycler_of(outlet, firm), asked.mass_kg
    outlet_id = day.known.ids[outlet]
    done = await tx.execute(RESERVE_IF_FREE, outlet_id, mass, day.day, REQUIRED, recycler_id)
    if done != "UPDATE 1":
        raise Full
    if not await firms_store.take_if_free(tx, capacity_ids(day, firm, asked), mass):
        raise FirmIsFull


async def write(
    tx: Connection,
    day: Day,
    loads: list[Load],
    brought: Carried,
    by: str,
    now: datetime,
    why: dict[str, object],
    rerouting_id: UUID | None,
) -> list[UUID]:
    """Routings with all that follows from them; returns their ids in the order of the loads."""
    if not loads:
        return []
    known = day.known
    valued_by = "offers" if day.is_priced else "freight"
    ends = list(zip(brought.outlet, brought.firm, strict=True))
    recyclers = [day.recycler_of(outlet, firm) for outlet, firm in ends]
    met = [
        capacity_ids(day, firm, day.question_of(load))
        for load, (_, firm) in zip(loads, ends, strict=True)
    ]
    rows = await fetch_for(
        tx,
        len(loads),
        INSERT_ROUTINGS,
        [load.pack_id for load in loads],
        [load.disposition_id for load in loads],
        [known.ids[outlet] for outlet in brought.outlet],
        recyclers,
        [load.mass_kg for load in loads],
        brought.distance_m,
        day.day,
        now,
        midnight(terms.expires_on(day.terms, day.day)),
        rerouting_id,
        [
            {**why, "valued_by": valued_by, "parts": brought.parts(place)}
            for place in range(len(loads))
        ],
        ["{" + ",".join(map(str, each)) + "}" for each in met],
    )
    ids = {row["pack_id"]: row["id"] for row in rows}
    await batteries_store.set_states(tx, [load.pack_id for load in loads], PackState.ROUTED)
    steps, told = [], []
    for place, load in enumerate(loads):
        facts: dict[str, object] = {
            "routing_id": ids[load.pack_id],
            "outlet": known.codes[brought.outlet[place]],
            "distance_m": brought.distance_m[place],
            "hand_over_on": day.day,
        }
        steps.append(
            Step(
                load.pack_id,
                "route.chosen",
                civil_date(now),
                facts,
                load.adcode,
                recyclers[place],
            )
        )
        told.append(Event("routing", ids[load.pack_id], "routing.chosen", facts))
    await traceability.record(tx, steps, by=by, now=now)
    await events.append(tx, told, actor=by, now=now)
    return [ids[load.pack_id] for load in loads]
