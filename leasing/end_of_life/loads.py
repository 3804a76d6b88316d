"""Many packs at once, as the arrays that a plan is made of, and back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import UUID

import msgspec
import numpy as np

from leasing.batteries.codes import Chemistry
from leasing.db.pool import Connection
from leasing.end_of_life.choosing import per_kg
from leasing.end_of_life.snapshot import (
    ALLOWED,
    CHEMISTRIES,
    DISPOSITIONS,
    UNPRICED_HOLD,
    Day,
)
from leasing.kit.rows import convert_all
from leasing.routing.files import network_arrays, packed, plan_arrays
from leasing.routing.model import Ints, Network, Packs, Places
from leasing.routing.planning import Planned
from leasing.routing.pricing import arc_km, vectors
from leasing.routing.whole import WholePlan


class Load(msgspec.Struct, frozen=True):
    """A condemned pack where it waits."""

    pack_id: UUID
    disposition_id: UUID
    decided_on: date
    chemistry: str
    hazard: str
    mass_kg: int
    longitude: float
    latitude: float
    adcode: str
    decision: str
    unfit: bool
    """It failed its transport check, and nothing was done about it so far."""


WAITING = """
SELECT pack.id AS pack_id, decided.id AS disposition_id, decided.decided_on, pack.chemistry,
       decided.hazard, pack.mass_kg, site.longitude, site.latitude, site.adcode, decided.decision,
       failed_transport_check(pack.id) IS NOT NULL AS unfit
  FROM pack
  JOIN LATERAL (
         SELECT disposition.id, disposition.decided_on, disposition.decision, inspection.hazard
           FROM disposition
           JOIN inspection ON inspection.id = disposition.inspection_id
          WHERE disposition.pack_id = pack.id
            AND disposition.decision IN ('dismantle', 'recycle')
          ORDER BY disposition.decided_on DESC, disposition.id DESC
          LIMIT 1) AS decided ON true
  JOIN LATERAL (
         SELECT line_id
           FROM pack_return
          WHERE pack_return.pack_id = pack.id
          ORDER BY returned_on DESC
          LIMIT 1) AS newest_return ON true
  JOIN LATERAL (
         SELECT site_id
           FROM placement
          WHERE placement.line_id = newest_return.line_id
            AND placement.pack_id = pack.id
          ORDER BY lower(during) DESC
          LIMIT 1) AS last_stay ON true
  JOIN site ON site.id = last_stay.site_id
"""

ALL_WAITING = f"""{WAITING}
 WHERE pack.state = 'condemned'
 ORDER BY pack.id
 LIMIT $1
"""

THESE_WAITING = f"""{WAITING}
 WHERE pack.id = ANY ($1::uuid[])
 ORDER BY pack.id
"""


async def waiting(tx: Connection, limit: int) -> list[Load]:
    """Every pack that was condemned and has no way to an outlet yet, in order of id; also what may
    not be packed, so that a plan says why it stays."""
    return convert_all(await tx.fetch(ALL_WAITING, limit), Load)


async def these(tx: Connection, pack_ids: Sequence[UUID]) -> list[Load]:
    """Packs where they were last, whatever became of them since, in order of id."""
    return convert_all(await tx.fetch(THESE_WAITING, list(pack_ids)), Load)


@dataclass(frozen=True)
class Problem:
    """Loads as classes of equal packs before a day's outlets. `members[i]` are the places of the
    packs of class i among the loads."""

    day: Day
    loads: list[Load]
    network: Network
    members: list[list[int]]


def problem(day: Day, loads: list[Load], free_kg: Ints | None = None) -> Problem:
    """Equal packs of one place are one class; classes are in order of their numbers."""
    found: dict[tuple[int, ...], list[int]] = {}
    for place, load in enumerate(loads):
        found.setdefault(key(day, load), []).append(place)
    keys = sorted(found)
    columns = np.array(keys, dtype=np.int64).reshape(-1, 6).T.copy()
    members = [sorted(found[one], key=lambda place: loads[place].pack_id) for one in keys]
    packs = np.array([len(places) for places in members], dtype=np.int64)
    stage = day.network.stage
    network = replace(
        day.network,
        # Room changes while a plan is made, of firms as of outlets.
        stage=stage and replace(stage, limit_kg=stage.limit_kg.copy()),
        classes=Packs(columns[5], packs),
        at=Places(columns[0], columns[1]),
        chemistry=columns[2],
        hazard=columns[3],
        dispositions=columns[4],
        free_kg=(day.network.free_kg if free_kg is None else free_kg).copy(),
        hold=day.terms.hold if day.is_priced else UNPRICED_HOLD,
    )
    return Problem(day, loads, network, members)


def key(day: Day, load: Load) -> tuple[int, ...]:
    return (
        round(1e5 * load.longitude),
        round(1e5 * load.latitude),
        CHEMISTRIES.index(Chemistry(load.chemistry)),
        day.hazard(load.hazard, load.adcode),
        ALLOWED[load.decision],
        load.mass_kg,
    )


def without_excess(day: Day, loads: list[Load]) -> tuple[list[Load], list[Load]]:
    """Loads for which there is room at all, and those beyond it, which are held before anything is
    solved. Those that were decided on first are served first.

    Room is counted for each hazard by itself, and for all together.
    """
    one = day.network
    room: dict[int, int] = {}
    total = int(one.free_kg[one.closed == 0].sum())
    kept, held = [], []
    for load in sorted(loads, key=lambda load: (load.decided_on, load.pack_id)):
        hazard = day.hazard(load.hazard, load.adcode)
        if hazard not in room:
            takes = (one.closed == 0) & (one.takes_hazards >> hazard & 1 == 1)
            room[hazard] = int(one.free_kg[takes].sum())
        if load.mass_kg <= min(room[hazard], total):
            room[hazard] -= load.mass_kg
            total -= load.mass_kg
            kept.append(load)
        else:
            held.append(load)
    return sorted(kept, key=lambda load: load.pack_id), held


def assigned(asked: Problem, plan: WholePlan, to: Ints | None = None) -> dict[int, int]:
    """Outlets of loads, by their places; a load that is held is left out. Of a class the packs
    with the lowest ids go to the first outlets. `to` is something else to be told of each part of
    the plan, such as its firm."""
    order = np.lexsort((plan.column, plan.row))
    left = [iter(places) for places in asked.members]
    found = {}
    for row, column, packs in zip(
        plan.row[order].tolist(),
        (plan.column if to is None else to)[order].tolist(),
        plan.packs[order].tolist(),
        strict=True,
    ):
        for _ in range(packs):
            found[next(left[row])] = column
    return found


@dataclass(frozen=True)
class Carried:
    """What loads bring at their outlets. Offer, the second leg, freight and packing, fen, add up to
    the net."""

    outlet: list[int]
    firm: list[int | None]
    """Where the way ends; None where there is no chain."""
    disposition: list[int]
    offer: list[int]
    onward: list[int]
    freight: list[int]
    packing: list[int]
    distance_m: list[int]
    road_m: list[int]
    space: list[int]

    def net(self, place: int) -> int:
        return sum(each[place] for each in (self.offer, self.onward, self.freight, self.packing))

    def parts(self, place: int) -> dict[str, object]:
        return {
            "disposition": DISPOSITIONS[self.disposition[place]],
            "offer_amount": self.offer[place],
            "onward_amount": self.onward[place],
            "freight_amount": self.freight[place],
            "packing_amount": self.packing[place],
            "net_amount": self.net(place),
            "road_m": self.road_m[place],
            "space_cny_per_kg": per_kg(self.space[place]),
        }


def carried(
    day: Day,
    loads: Sequence[Load],
    outlets: Sequence[int],
    firms: Sequence[int | None] | None = None,
) -> Carried:
    """What each load brings at its outlet, rounded part by part as for one pack; at the best firm
    behind it where `firms` says nothing else."""
    keys = np.array([key(day, load) for load in loads], dtype=np.int64).reshape(-1, 6).T
    at, place = Places(keys[0], keys[1]), np.array(outlets, dtype=np.int64)
    mass, hazard = keys[5], keys[3]
    apart = vectors(at) - day.atlas.points[place]
    hundreds = np.rint(10 * arc_km(np.sqrt((apart**2).sum(axis=1)))).astype(np.int64)
    one = day.network
    rate = one.freight[hazard] * one.circuity_percent
    per_kg_freight = (rate * hundreds + 500_000) // 1_000_000
    ends = [
        end(day, *each)
        for each in zip(
            keys[2].tolist(),
            keys[4].tolist(),
            place.tolist(),
            firms or [None] * len(loads),
            strict=True,
        )
    ]
    price = np.array([one.price for one in ends], dtype=np.int64)
    given = price - np.array([one.onward for one in ends], dtype=np.int64)
    return Carried(
        outlet=place.tolist(),
        firm=[one.firm for one in ends],
        disposition=[one.disposition for one in ends],
        offer=fen(price * mass).tolist(),
        # What is left of the price at the outlet is rounded, as outlets are compared by it.
        onward=(fen(given * mass) - fen(price * mass)).tolist(),
        freight=(-fen(per_kg_freight * mass)).tolist(),
        packing=(-fen(one.packing[hazard] * mass)).tolist(),
        distance_m=(100 * hundreds).tolist(),
        road_m=(one.circuity_percent * hundreds).tolist(),
        space=day.prices[place].tolist(),
    )


def fen(amount: Ints) -> Ints:
    """Whole fen of 0.0001 CNY, halves up, as for one pack."""
    return (amount + 50) // 100


@dataclass(frozen=True)
class End:
    """Where a way ends, 0.0001 CNY/kg: what is given there, and what the second leg costs."""

    firm: int | None
    disposition: int
    price: int
    onward: int


def end(day: Day, chemistry: int, dispositions: int, outlet: int, firm: int | None) -> End:
    """The end of a way, at the best firm behind the outlet if none is named, and with the best
    allowed disposition there."""
    if day.chain is None:
        allowed = [d for d in range(len(DISPOSITIONS)) if dispositions >> d & 1]
        offered = day.network.offer[allowed, chemistry, outlet]
        best = int(offered.argmax())
        return End(None, allowed[best], int(offered[best]), 0)
    if firm is None:
        firm = day.chain.best(outlet, chemistry, dispositions)
    return End(firm, *day.chain.end(outlet, firm, chemistry, dispositions))


def packed_problem(asked: Problem) -> bytes:
    return packed(network_arrays(asked.network))


def packed_plan(asked: Problem, planned: Planned, digest: str) -> bytes:
    """The plan as kilograms with its prices, as `leasing routing solve` writes it, and beside it
    which outlets its columns are."""
    kg = planned.kilograms(asked.network)
    ids = np.array([one.bytes for one in asked.day.known.ids], dtype="V16")
    held = plan_arrays(kg, planned.prices, digest, planned.limit_prices)
    return packed(held | {"outlet_ids": ids})
