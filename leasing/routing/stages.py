"""Two stages: from the site to an outlet, which only receives, checks, sorts, stores and packs, and
on to the utilisation firm that ends the chain.

As long as firms have room, an outlet gives what its best firm gives less the way there, and the
problem is that of one stage (`folded`). Where a firm's limit binds, every kilogram takes room of an
outlet and of a firm at once. With several chemistries that is no flow any more: an outlet's room
belongs to all of them, and behind it nobody knows which one passed, though firms tell them apart.
It is a linear programme over the same few arcs, which HiGHS solves in place of the flow; all else
of `columns` stays. Its arcs lead into lanes: an outlet, a firm, and chemistries that meet the same
limits.
"""

from dataclasses import dataclass, replace

import numpy as np

from leasing.routing.certificate import Plan
from leasing.routing.columns import START, Part, Relaxed, generate, start_prices
from leasing.routing.highs import solver
from leasing.routing.model import (
    FORBIDDEN,
    PRICE_OF_NO_ROOM,
    Ints,
    Network,
    Places,
    Stage,
    digest,
    instance_digest,
)
from leasing.routing.pricing import Pairs, Pricer, arc_km, pricer, vectors
from leasing.routing.whole import WholePlan

NEARLY = 1e-6
"""A kilogram short of a whole number by less is whole."""


def stage_of(network: Network) -> Stage:
    assert network.stage is not None
    return network.stage


def given(network: Network) -> Ints:
    """What a kilogram brings at the end of each way less the second leg, by disposition and
    chemistry; FORBIDDEN where the firm gives nothing."""
    stage = stage_of(network)
    apart = vectors(network.outlets)[stage.outlet] - vectors(stage.firms)[stage.firm]
    hundreds = np.rint(10 * arc_km(np.sqrt((apart**2).sum(axis=1)))).astype(np.int64)
    freight = (stage.freight * network.circuity_percent * hundreds + 500_000) // 1_000_000
    price = stage.price[:, :, stage.firm]
    return np.where(price > FORBIDDEN, price - stage.leg * (freight + stage.packing), FORBIDDEN)


def folded(network: Network) -> Network:
    """The network with what the best firm behind each outlet gives as the outlet's offer."""
    stage, each = stage_of(network), given(network)
    offer = np.full((*each.shape[:2], len(network.free_kg)), FORBIDDEN, dtype=np.int64)
    for place in np.ndindex(each.shape[:2]):
        np.maximum.at(offer[place], stage.outlet, each[place])
    return replace(network, offer=offer)


def best_firms(network: Network, rows: Ints, outlets: Ints) -> Ints:
    """The firm behind each outlet at which the class brings most, of equal ones the first."""
    stage, each = stage_of(network), given(network)
    found = np.zeros(len(rows), dtype=np.int64)
    asks = np.stack([network.chemistry[rows], network.dispositions[rows]], axis=1)
    for chemistry, dispositions in np.unique(asks, axis=0).tolist():
        allowed = [d for d in range(len(each)) if dispositions >> d & 1]
        worth = each[allowed, chemistry].max(axis=0)
        order = np.lexsort((stage.firm, -worth, stage.outlet))
        first = np.searchsorted(stage.outlet[order], outlets)
        ours = (asks == (chemistry, dispositions)).all(axis=1)
        found[ours] = stage.firm[order[first[ours]]]
    return found


def fits(network: Network, plan: Plan) -> bool:
    """Whether no firm is sent more than it can treat."""
    stage = stage_of(network)
    for number, (firm, chemistries) in enumerate(
        zip(stage.limit_firm.tolist(), stage.limit_chemistries.tolist(), strict=True)
    ):
        meets = (plan.firm == firm) & (chemistries >> network.chemistry[plan.row] & 1 == 1)
        if plan.kg[meets].sum() > stage.limit_kg[number]:
            return False
    return True


@dataclass(frozen=True)
class Lanes:
    """Ways apart by chemistries that meet the same limits, as the outlets of `network`; lane
    `lane[k]` meets limit `limit[k]`."""

    network: Network
    outlet: Ints
    firm: Ints
    lane: Ints
    limit: Ints

    def priced(self, prices: Ints, limit_prices: Ints) -> Ints:
        """The price of a kilogram in each lane."""
        price = prices[self.outlet].copy()
        np.add.at(price, self.lane, limit_prices[self.limit])
        return np.minimum(price, PRICE_OF_NO_ROOM)


def lanes(network: Network) -> Lanes:
    stage, each = stage_of(network), given(network)
    rows: list[tuple[int, int]] = []
    meets: list[tuple[int, int]] = []
    apart = [alike(stage, firm, each.shape[1]) for firm in range(len(stage.firms.longitude))]
    for way in np.lexsort((stage.firm, stage.outlet)).tolist():
        for chemistries, limits in apart[int(stage.firm[way])]:
            meets += [(len(rows), limit) for limit in limits]
            rows.append((way, chemistries))
    way, named = np.array(rows, dtype=np.int64).reshape(-1, 2).T.copy()
    lane, limit = np.array(meets, dtype=np.int64).reshape(-1, 2).T.copy()
    outlet = stage.outlet[way]
    free = network.free_kg[outlet]
    np.minimum.at(free, lane, stage.limit_kg[limit])
    return Lanes(
        replace(
            network,
            outlets=Places(network.outlets.longitude[outlet], network.outlets.latitude[outlet]),
            free_kg=free,
            closed=network.closed[outlet],
            takes_chemistries=network.takes_chemistries[outlet] & named,
            takes_hazards=network.takes_hazards[outlet],
            single_load_kg=network.single_load_kg[outlet],
            offer=each[:, :, way],
            stage=None,
        ),
        outlet,
        stage.firm[way],
        lane,
        limit,
    )


def alike(stage: Stage, firm: int, chemistries: int) -> list[tuple[int, list[int]]]:
    """A firm's chemistries (bits) by the limits that they meet."""
    ours = np.flatnonzero(stage.limit_firm == firm).tolist()
    found: dict[tuple[int, ...], int] = {}
    for chemistry in range(chemistries):
        key = tuple(one for one in ours if stage.limit_chemistries[one] >> chemistry & 1)
        found[key] = found.get(key, 0) | 1 << chemistry
    return [(bits, list(key)) for key, bits in sorted(found.items())]


@dataclass
class Master:
    """The linear programme over some arcs. The prices of the last one solved are kept."""

    whole: Network
    lanes: Lanes
    prices: Ints
    limit_prices: Ints

    def send(self, part: Part, arcs: Pairs) -> tuple[Ints, Ints, Ints]:
        """As `columns.send`, in whole kilograms."""
        import highspy

        stage = stage_of(self.whole)
        n, m, many = len(part.rows), len(self.whole.free_kg), len(arcs.row)
        index, column = self.rows_of(part, arcs)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = many, n + m + len(stage.limit_kg)
        lp.col_cost_ = (part.hold - arcs.value).astype(np.float64)
        lp.col_lower_ = np.zeros(many)
        lp.col_upper_ = np.full(many, highspy.kHighsInf)
        lp.row_lower_ = np.full(lp.num_row_, -highspy.kHighsInf)
        room = [part.supply, self.whole.free_kg, stage.limit_kg]
        lp.row_upper_ = np.concatenate(room).astype(np.float64)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.searchsorted(column, np.arange(many + 1))
        lp.a_matrix_.index_ = index
        lp.a_matrix_.value_ = np.ones(len(index))
        highs = solver(lp)
        highs.setOptionValue("parallel", "off")
        highs.run()
        found = highs.getSolution()
        kg = np.maximum(np.floor(np.array(found.col_value) + NEARLY), 0).astype(np.int64)
        price = np.maximum(np.rint(-np.array(found.row_dual)[n:]), 0).astype(np.int64)
        self.prices = np.where(self.whole.free_kg > 0, price[:m], PRICE_OF_NO_ROOM)
        self.limit_prices = np.where(stage.limit_kg > 0, price[m:], PRICE_OF_NO_ROOM)
        priced = self.lanes.priced(self.prices, self.limit_prices)
        kg, left = self.filled_up(part, arcs, kg, index, column, room, priced)
        return kg, left[:n], priced

    def filled_up(
        self,
        part: Part,
        arcs: Pairs,
        kg: Ints,
        index: Ints,
        column: Ints,
        room: list[Ints],
        priced: Ints,
    ) -> tuple[Ints, Ints]:
        """What was cut off to whole kilograms goes where it is worth most of the arcs with room;
        and what is left in each row."""
        left = np.concatenate(room)
        np.subtract.at(left, index, kg[column])
        first = np.searchsorted(column, np.arange(len(kg) + 1))
        worth = arcs.value - priced[arcs.column]
        hopeful = (np.minimum.reduceat(left[index], first[:-1]) > 0) & (arcs.value > part.hold)
        for k in np.flatnonzero(hopeful)[np.argsort(-worth[hopeful], kind="stable")].tolist():
            rows = index[first[k] : first[k + 1]]
            more = left[rows].min()
            kg[k] += more
            left[rows] -= more
        return kg, left

    def rows_of(self, part: Part, arcs: Pairs) -> tuple[Ints, Ints]:
        """Which rows each arc stands in: its class's, its outlet's, those of the limits it meets;
        by arcs."""
        n, m, each = len(part.rows), len(self.whole.free_kg), np.arange(len(arcs.row))
        first = np.searchsorted(self.lanes.lane, arcs.column, "left")
        limits = np.searchsorted(self.lanes.lane, arcs.column, "right") - first
        met = np.repeat(first, limits) + np.arange(limits.sum())
        met -= np.repeat(np.cumsum(limits) - limits, limits)
        index = np.concatenate(
            [
                np.searchsorted(part.rows, arcs.row),
                n + self.lanes.outlet[arcs.column],
                n + m + self.lanes.limit[met],
            ]
        )
        column = np.concatenate([each, each, np.repeat(each, limits)])
        order = np.argsort(column, kind="stable")
        return index[order], column[order]


@dataclass(frozen=True)
class Settled:
    """The best flow through lanes, and prices of outlets and limits."""

    lanes: Lanes
    ask: Pricer
    relaxed: Relaxed
    prices: Ints
    limit_prices: Ints

    def flow(self) -> Plan:
        sent = self.relaxed.kg > 0
        arcs, roads = self.relaxed.arcs, self.lanes
        lane = arcs.column[sent]
        return Plan(arcs.row[sent], roads.outlet[lane], self.relaxed.kg[sent], roads.firm[lane])


def solve(network: Network, prices: Ints) -> Settled:
    """The best kilograms over all classes, outlets and firms; `prices` of outlets to begin with."""
    roads = lanes(network)
    ask = pricer(roads.network)
    none = np.zeros(len(stage_of(network).limit_kg), dtype=np.int64)
    master = Master(network, roads, prices, none)
    supply = network.classes.supply_kg
    rows = np.flatnonzero(supply > 0)
    part = Part(rows, supply[rows], roads.network.free_kg, network.hold)
    start = start_prices(roads.priced(prices, none), roads.network.free_kg)
    arcs = ask.good(start, rows, START)
    relaxed = generate(ask, part, start, arcs, len(supply), 0, master.send)
    return Settled(roads, ask, relaxed, master.prices, master.limit_prices)


def best_value_first(network: Network) -> WholePlan:
    """Pack after pack, each to the lane of highest value with room, of outlet and firm; held when
    that is worth more. Columns are lanes."""
    roads = lanes(network)
    ask = pricer(roads.network)
    every = np.arange(len(roads.outlet))
    free, limit = network.free_kg.copy(), stage_of(network).limit_kg.copy()
    first = np.searchsorted(roads.lane, every, "left")
    last = np.searchsorted(roads.lane, every, "right")
    found: list[tuple[int, int, int]] = []
    masses, counts = network.classes.mass_kg.tolist(), network.classes.packs.tolist()
    for i, (mass, packs) in enumerate(zip(masses, counts, strict=True)):
        left = packs
        value = ask.values(np.full(len(every), i), every)
        there = np.flatnonzero((value > FORBIDDEN) & (value > network.hold))
        for k in there[np.argsort(-value[there], kind="stable")].tolist() if left else []:
            met = roads.limit[first[k] : last[k]]
            room = min(int(free[roads.outlet[k]]), int(limit[met].min(initial=2**62)))
            many = min(left, room // mass)
            if many:
                found.append((i, k, many))
                free[roads.outlet[k]] -= many * mass
                limit[met] -= many * mass
                left -= many
            if not left:
                break
    rows = np.array(found, dtype=np.int64).reshape(-1, 3)
    return WholePlan(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())


def ended(roads: Lanes, packs: WholePlan) -> tuple[WholePlan, Ints]:
    """A plan in lanes as one of outlets, and the firm of each of its parts; in order of class,
    outlet and firm."""
    outlet, firm = roads.outlet[packs.column], roads.firm[packs.column]
    order = np.lexsort((firm, outlet, packs.row))
    return WholePlan(packs.row[order], outlet[order], packs.packs[order]), firm[order]


def plan_id(network: Network, packs: WholePlan, firm: Ints) -> str:
    return digest(instance_digest(network), packs.row, packs.column, packs.packs, firm)
