"""A plan for all packs that wait: made, stored with what proves it, locked in part, applied.

A plan is made from the database as of one moment and solved in a process of its own; it reserves
nothing. Applied, prefecture by prefecture, it takes room under locks; packs that an outlet cannot
take any more find another at once or stay where they are.
"""

import asyncio
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np

from leasing.batteries import store as batteries_store
from leasing.db import clock
from leasing.db.pool import Connection, Database
from leasing.end_of_life import choosing, loads, placing, plan_store, snapshot
from leasing.end_of_life.loads import Load, Problem
from leasing.end_of_life.model import NoSuchPlan, PlanIsClosed
from leasing.end_of_life.snapshot import Day, Known
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.routing import planning
from leasing.routing.certificate import Verdict
from leasing.routing.model import PRICE_OF_NO_ROOM, Against, Ints, Network, digest, instance_digest
from leasing.routing.planning import Planned
from leasing.routing.worker import Failed, TookTooLong, within
from schemas.packs import PackState
from schemas.routing import (
    PlanApplyView,
    PlanComparisonView,
    PlanState,
    RoutingPlanView,
    SpacePriceView,
)

SECONDS = 300.0
"""Then the greedy plan is taken."""
GREEDY_SECONDS = 900.0
LEAD_DAYS = 3
"""A plan is for packs handed over so many days after it is made."""
MOST_PACKS = 300_000
NOWHERE = (None, None)
HANDFUL = 20
DEAREST = 20


@dataclass(frozen=True)
class Solved:
    planned: Planned
    verdict: Verdict
    seconds: float

    @property
    def solver(self) -> str:
        return "greedy" if self.planned.flow is None else "flow"


def work(network: Network, prices: Ints) -> Solved:
    """What the process of its own does: plan, and let the checker judge it."""
    begun = time.perf_counter()
    known = prices if prices.any() else None
    planned = planning.plan(network, known)
    seconds = time.perf_counter() - begun
    return Solved(planned, planning.judged(network, planned)[1], seconds)


def work_greedily(network: Network) -> Solved:
    begun = time.perf_counter()
    planned = planning.first_come(network)
    seconds = time.perf_counter() - begun
    return Solved(planned, planning.judged(network, planned)[1], seconds)


def solve(network: Network, prices: Ints, seconds: float = SECONDS) -> Solved:
    """A plan in a process of its own; pack by pack when time is over, or the solver fails. A
    handful of packs is not worth a process."""
    try:
        if network.classes.packs.sum() <= HANDFUL:
            return work(network, prices)
        return within(seconds, work, network, prices)
    except (TookTooLong, Failed, ImportError):
        return within(GREEDY_SECONDS, work_greedily, network)


@dataclass(frozen=True)
class Asked:
    """All that a plan is made from, read in one transaction."""

    day: Day
    problem: Problem
    held: list[tuple[Load, Against]]
    """Not fit to travel, or beyond the room there is."""
    kept: list[tuple[Load, int, int | None, str]]
    """Locked by staff: with the outlet, the firm behind it, and by whom."""
    as_of: date
    prices: Ints

    @property
    def input_sha256(self) -> str:
        """Everything that the plan depends on."""
        return digest(
            instance_digest(self.problem.network),
            self.prices,
            self.as_of.toordinal(),
            self.day.day.toordinal(),
            ids_digest([load.pack_id for load in self.problem.loads]),
            ids_digest([load.pack_id for load, _ in self.held]),
            snapshot.whole(code for _, code in self.held),
            ids_digest([load.pack_id for load, *_ in self.kept]),
            ids_digest([self.day.known.ids[outlet] for _, outlet, *_ in self.kept]),
            ids_digest(self.day.known.ids),
        )


def ids_digest(ids: list[UUID]) -> str:
    return digest(b"".join(one.bytes for one in ids).hex())


async def asked(tx: Connection, as_of: date, hand_over_on: date) -> Asked:
    # Not the prices of a plan made today: a second run would start from what the first found.
    known = await snapshot.load(tx, as_of)
    day = known.on(hand_over_on)
    everything = await loads.waiting(tx, MOST_PACKS)
    chosen = {row["pack_id"]: row for row in await plan_store.locked(tx)}
    kept: list[tuple[Load, int, int | None, str]] = []
    others = []
    held: list[tuple[Load, Against]] = []
    for load in everything:
        if load.unfit:
            held.append((load, Against.TRANSPORT_CHECK))
            continue
        row = chosen.get(load.pack_id)
        outlet = known.place.get(row["outlet_id"]) if row is not None else None
        if row is not None and outlet is not None and may(day, load, outlet):
            known.free_kg[outlet] -= load.mass_kg
            kept.append((load, outlet, keep(day, load, outlet), row["locked_by"]))
        else:
            others.append(load)
    fitting, excess = loads.without_excess(day, others)
    held += [(load, Against.SPACE) for load in excess]
    prices = np.minimum(day.prices, PRICE_OF_NO_ROOM - 1)
    return Asked(day, loads.problem(day, fitting), held, kept, as_of, prices)


def keep(day: Day, load: Load, outlet: int) -> int | None:
    """The firm where a pack ends that stays with its outlet; its room is for no other."""
    asked = day.question_of(load)
    firm = day.firm(outlet, asked)
    if day.chain is not None and firm is not None:
        met = day.chain.limits(firm, asked.chemistry)
        left = day.chain.stage.limit_kg
        left[met] = np.maximum(left[met] - load.mass_kg, 0)
    return firm


def may(day: Day, load: Load, outlet: int) -> bool:
    """Whether an outlet may and can take a pack."""
    return not choosing.against(day, day.question_of(load), outlet)


async def make(
    db: Database, as_of: date, *, by: str, seconds: float = SECONDS, lead_days: int = LEAD_DAYS
) -> UUID | None:
    """Make a plan for all packs that wait and propose it; what was proposed before is superseded.
    The same input gets the plan it got before. None when no pack waits."""
    async with db.transaction(read_only=True) as tx:
        found = await asked(tx, as_of, as_of + timedelta(days=lead_days))
        known = await plan_store.of_input(tx, found.input_sha256)
    if not (found.problem.loads or found.held or found.kept):
        return None
    if known is None:
        solved = await asyncio.to_thread(solve, found.problem.network, found.prices, seconds)
        items = await asyncio.to_thread(items_of, found, solved)
    async with db.transaction() as tx:
        now = await clock.now(tx)
        if known is not None:
            plan_id: UUID = known["id"]
            await plan_store.revive(tx, plan_id)
        else:
            plan_id = await store(tx, found, solved, items, by=by, now=now)
        await plan_store.supersede(tx, plan_id, as_of, now)
    return plan_id


def items_of(found: Asked, solved: Solved) -> list[tuple[object, ...]]:
    """Every pack of a plan: where it goes and what it brings there, or why it is held. The plan's
    own id is put in later."""
    day, asked_for = found.day, found.problem
    planned = solved.planned
    outlets = loads.assigned(asked_for, planned.packs)
    firms = loads.assigned(asked_for, planned.packs, planned.firm) if day.chain else {}
    going: list[tuple[Load, int, int | None, str | None]] = [
        (asked_for.loads[place], outlets[place], firms.get(place), None)
        for place in sorted(outlets)
    ]
    going += found.kept
    brought = loads.carried(
        day, [one[0] for one in going], [one[1] for one in going], [one[2] for one in going]
    )
    rows: list[tuple[object, ...]] = []
    for number, (load, outlet, firm, locked_by) in enumerate(going):
        ends = day.known.ids[outlet], day.recycler_of(outlet, firm)
        rows.append(item(load, "planned", ends, brought.parts(number), None, locked_by))
    reasons: dict[tuple[int, ...], str] = {}
    for place, load in enumerate(asked_for.loads):
        if place not in outlets:
            kind = loads.key(day, load)
            if kind not in reasons:
                reasons[kind] = why_held(day, load)
            rows.append(item(load, "held", NOWHERE, None, reasons[kind], None))
    rows += [item(load, "held", NOWHERE, None, code.name, None) for load, code in found.held]
    return rows


def item(
    load: Load,
    state: str,
    ends: tuple[UUID | None, UUID | None],
    parts: dict[str, object] | None,
    reason: str | None,
    locked_by: str | None,
) -> tuple[object, ...]:
    """`ends` are the outlet and the firm behind it."""
    return load.pack_id, state, load.adcode, load.mass_kg, *ends, parts, reason, locked_by


def why_held(day: Day, load: Load) -> str:
    """The codes of what excludes all outlets; HELD when some may take the pack: waiting is worth
    more than what its space is worth to others."""
    judged = choosing.judge(day, day.question_of(load))
    if judged.answer.chosen is not None:
        return Against.HELD.name
    return ", ".join(choosing.counted(judged))


async def store(
    tx: Connection,
    found: Asked,
    solved: Solved,
    items: list[tuple[object, ...]],
    *,
    by: str,
    now: datetime,
) -> UUID:
    plan, verdict = solved.planned, solved.verdict
    network = found.problem.network
    planned = sum(1 for one in items if one[1] == "planned")
    plan_id = await plan_store.insert_plan(
        tx,
        digest=plan.plan_id,
        input_sha256=found.input_sha256,
        outlets_version=found.day.known.version,
        as_of=found.as_of,
        hand_over_on=found.day.day,
        solver=solved.solver,
        solver_seconds=solved.seconds,
        packs=len(items),
        planned=planned,
        value=verdict.value,
        bound=verdict.bound,
        outbid=verdict.outbid,
        unused=verdict.unused,
        instance=loads.packed_problem(found.problem),
        solution=loads.packed_plan(found.problem, plan, instance_digest(network)),
        now=now,
    )
    await plan_store.insert_items(tx, [(plan_id, *one) for one in items])
    facts: dict[str, object] = {
        "digest": plan.plan_id,
        "packs": len(items),
        "held": len(items) - planned,
        "solver": solved.solver,
    }
    proposed = Event("routing_plan", plan_id, "routing_plan.proposed", facts)
    await events.append(tx, [proposed], actor=by, now=now)
    return plan_id


async def get(tx: Connection, plan_id: UUID) -> RoutingPlanView:
    row = await plan_store.get(tx, plan_id)
    if row is None:
        raise NoSuchPlan
    return convert(row, RoutingPlanView)


async def lock(
    tx: Connection, plan_id: UUID, pack_ids: list[UUID], locked: bool, *, by: str, now: datetime
) -> int:
    """Say that packs keep their outlet when the next plan is made, or need not any more."""
    plan = await get(tx, plan_id)
    if plan.state is not PlanState.PROPOSED:
        raise PlanIsClosed(f"it is {plan.state}", state=plan.state)
    count = await plan_store.lock_items(tx, plan_id, pack_ids, locked, by)
    await plan_store.lock_plan(tx, plan_id)
    facts: dict[str, object] = {"locked": count if locked else -count}
    event = Event("routing_plan", plan_id, "routing_plan.locked", facts)
    await events.append(tx, [event], actor=by, now=now)
    return count


async def apply(
    tx: Connection,
    plan_id: UUID,
    adcode: str,
    *,
    by: str,
    now: datetime,
    known: Known | None = None,
) -> PlanApplyView:
    """Send the packs of a prefecture where the plan says. Those that changed since stay as they
    are; those whose outlet cannot take them any more go to the next best. What was done before
    stays done. `known` may be a little old: room and evidence are asked again under locks."""
    plan = await get(tx, plan_id)
    if plan.state is not PlanState.PROPOSED:
        raise PlanIsClosed(f"it is {plan.state}", state=plan.state)
    rows = await plan_store.chunk(tx, plan_id, adcode)
    outlet_of = {row["pack_id"]: row["outlet_id"] for row in rows}
    packs = await batteries_store.lock_many(tx, list(outlet_of))
    changed = [one for one in outlet_of if packs[one].state is not PackState.CONDEMNED]
    await plan_store.refused(
        tx, plan_id, changed, [f"the pack is {packs[one].state}" for one in changed]
    )
    # The place and the hazard are asked again: a pack may have been inspected anew.
    ours = [load for load in await loads.these(tx, list(outlet_of)) if load.pack_id not in changed]
    applied = elsewhere = refused = 0
    if ours:
        known = known or await snapshot.load(tx)
        day = known.on(plan.hand_over_on)
        firm_of = {row["pack_id"]: row["recycler_id"] for row in rows}
        wanted = {
            place: known.place[outlet_of[load.pack_id]]
            for place, load in enumerate(ours)
            if outlet_of[load.pack_id] in known.place
            and allowed(day, load, known.place[outlet_of[load.pack_id]])
        }
        why: dict[str, object] = {
            "rule": "planned together with all packs that waited",
            "plan_id": str(plan_id),
            "plan_digest": plan.digest,
        }
        firms = {
            place: firm
            for place, outlet in wanted.items()
            if (firm := firm_named(day, outlet, firm_of[ours[place].pack_id])) is not None
        }
        sent = await placing.send(tx, day, ours, wanted, by=by, now=now, why=why, firms=firms)
        order = sorted(sent.routings)
        await plan_store.applied(
            tx,
            plan_id,
            [ours[place].pack_id for place in order],
            [known.ids[sent.outlets[place]] for place in order],
            [sent.recyclers[place] for place in order],
            [sent.routings[place] for place in order],
            [sent.parts[place] for place in order],
        )
        await plan_store.refused(
            tx,
            plan_id,
            [ours[place].pack_id for place in sorted(sent.refused)],
            [", ".join(sent.refused[place]) for place in sorted(sent.refused)],
        )
        applied, refused = len(order), len(sent.refused)
        elsewhere = len(sent.elsewhere)
    await plan_store.lock_plan(tx, plan_id)
    facts: dict[str, object] = {
        "adcode": adcode,
        "applied": applied,
        "refused": refused + len(changed),
    }
    event = Event("routing_plan", plan_id, "routing_plan.applied", facts)
    await events.append(tx, [event], actor=by, now=now)
    await plan_store.close_if_applied(tx, plan_id, now)
    return PlanApplyView(
        adcode=adcode,
        applied=applied,
        elsewhere=elsewhere,
        refused=refused + len(changed),
        left=await plan_store.left(tx, plan_id),
        state=(await get(tx, plan_id)).state,
    )


def firm_named(day: Day, outlet: int, recycler_id: UUID) -> int | None:
    """The firm behind an outlet that is this recycler, the first if it has several plants."""
    if day.chain is None:
        return None
    firms = day.chain.stage.firm[day.chain.ways(outlet)].tolist()
    return next((one for one in firms if day.recycler_of(outlet, one) == recycler_id), None)


def allowed(day: Day, load: Load, outlet: int) -> bool:
    """Whether an outlet may take a pack; its room is looked at under the lock."""
    return set(choosing.against(day, day.question_of(load), outlet)) <= choosing.FULL


async def compare(tx: Connection, plan_id: UUID, other_id: UUID) -> PlanComparisonView:
    one, other = await get(tx, plan_id), await get(tx, other_id)
    row = await plan_store.compare(tx, plan_id, other_id)
    return PlanComparisonView(
        plan_id=plan_id,
        other_id=other_id,
        value_cny_e4=one.value_cny_e4,
        other_value_cny_e4=other.value_cny_e4,
        packs_in_both=row["packs_in_both"],
        moves=row["moves"],
    )


async def dearest(tx: Connection, plan_id: UUID) -> list[SpacePriceView]:
    """Where another tonne of room would be worth most: there one asks for it."""
    row = await plan_store.find(tx, str(plan_id))
    if row is None:
        raise NoSuchPlan
    prices = snapshot.prices_of(row["solution"])
    order = sorted(prices.items(), key=lambda one: (-one[1], one[0]))[:DEAREST]
    codes = await plan_store.outlet_codes(tx, [outlet_id for outlet_id, _ in order])
    return [
        SpacePriceView(
            outlet_id=outlet_id,
            outlet_code=codes[outlet_id],
            cny_per_tonne=Decimal(price) / 10,
        )
        for outlet_id, price in order
        if outlet_id in codes
    ]
