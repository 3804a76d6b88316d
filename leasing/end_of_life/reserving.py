"""Room at an outlet: chosen in memory, decided by the database.

What was read may be old. So the room of the most promising outlets is read anew first, and the
reservation itself asks once more for room and evidence, in the statement that takes the room. An
outlet that filled up meanwhile is passed over for the next best.
"""

from uuid import UUID

import numpy as np

from leasing.db.pool import Connection, savepoint
from leasing.end_of_life import choosing, firms_store, rules, snapshot, store
from leasing.end_of_life.choosing import Judged
from leasing.end_of_life.model import NoFeasibleOutlet
from leasing.end_of_life.snapshot import Day, Known
from leasing.routing.one import Question

REQUIRED = [str(kind) for kind in rules.REQUIRED]
LEADERS = 24
"""Outlets whose room is read anew before the choice."""
TRIES = 100
"""Outlets asked for room in turn before a request gives up."""


class Full(Exception):
    """The outlet has no room, or its recycler may not take it any more."""


class FirmIsFull(Full):
    """The firm behind the outlet has no room."""


async def judge(tx: Connection, day: Day, asked: Question) -> Judged:
    """The answer to a question, by the room as it is now."""
    await snapshot.read_room_of(tx, day.known, choosing.leaders(day, asked, LEADERS))
    return choosing.judge(day, asked)


async def reserve_best(tx: Connection, known: Known, day: Day, asked: Question) -> Judged:
    """Take room for a pack at the best outlet that has some.

    The caller has the pack's row locked. Raises `NoFeasibleOutlet` with the number of outlets that
    each reason speaks against.
    """
    judged = await judge(tx, day, asked)
    for _ in range(TRIES):
        chosen = judged.answer.chosen
        if chosen is None:
            break
        try:
            await take(tx, day, chosen.outlet, asked)
            return judged
        except FirmIsFull:
            judged = choosing.judge(await without_full(tx, day, chosen.outlet, asked), asked)
        except Full:
            judged = await after_refusal(tx, day, asked, chosen.outlet)
        day = judged.day
    if not known.stale and day.known is known:
        # Perhaps an outlet is new, or a recycler qualified again, and nobody told us yet.
        known.stale = True
        fresh = await snapshot.load(tx)
        if fresh.version != known.version:
            return await reserve_best(tx, fresh, fresh.on(day.day), asked)
    raise NoFeasibleOutlet(
        f"none of {len(day.known.ids)} outlets", excluded_by_reason=choosing.counted(judged)
    )


async def take(tx: Connection, day: Day, outlet: int, asked: Question) -> None:
    """Reserve room, of the outlet and then of the firm where the way ends. Raises `Full`. A refusal
    leaves no lock on any row behind: two who try several outlets, each in its own order, would wait
    for each other."""
    firm = day.firm(outlet, asked)
    async with savepoint(tx):
        outlet_id, recycler_id = day.known.ids[outlet], day.recycler_of(outlet, firm)
        if not await store.reserve(tx, outlet_id, asked.mass_kg, day.day, REQUIRED, recycler_id):
            raise Full
        if not await firms_store.take(tx, capacity_ids(day, firm, asked), asked.mass_kg):
            raise FirmIsFull
    day.known.free_kg[outlet] -= asked.mass_kg


def capacity_ids(day: Day, firm: int | None, asked: Question) -> list[UUID]:
    """Whose room a pack takes at the end of its way."""
    if day.chain is None or firm is None:
        return []
    return day.chain.limit_ids_of(firm, asked.chemistry)


async def without_full(tx: Connection, day: Day, outlet: int, asked: Question) -> Day:
    """The day for a pack that the best firm behind an outlet refused: without that firm, and
    without all others that have no room for it either."""
    firm, chain = day.firm(outlet, asked), day.chain
    assert chain is not None
    assert firm is not None
    day.known.stale = True
    room = await firms_store.room(tx, chain.limit_ids)
    full = {
        int(chain.stage.limit_firm[one])
        for one, limit_id in enumerate(chain.limit_ids)
        if chain.stage.limit_chemistries[one] >> asked.chemistry & 1
        and room.get(limit_id, 0) < asked.mass_kg
    }
    return day.without(full | {firm}, asked.chemistry)


async def after_refusal(tx: Connection, day: Day, asked: Question, outlet: int) -> Judged:
    """The answer without an outlet that refused."""
    known = day.known
    await snapshot.read_room_of(tx, known, np.array([outlet]))
    if known.free_kg[outlet] >= asked.mass_kg:
        # It has room, so its recycler may not take the pack: what we know of it is old.
        known.stale = True
        fresh = await snapshot.load(tx)
        again = fresh.place.get(known.ids[outlet])
        if again is not None and not fresh.on(day.day).network.closed[again]:
            # Room came back in the meantime. It is not tried again by this request.
            fresh.free_kg[again] = 0
        return choosing.judge(fresh.on(day.day), asked)
    return await judge(tx, day, asked)
