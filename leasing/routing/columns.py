"""The best flow in kilograms over all pairs of class and outlet, by column generation.

Equal packs are one class. A flow over few arcs gives prices of space; by these prices all pairs
are looked at, and arcs that would be better are added, twice as many for a class each time it was
short. When no pair is better, the flow is best of all, and the prices prove it (`certificate`).
Prices to begin with are learnt on classes merged by place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from leasing.routing import flow
from leasing.routing.model import PRICE_OF_NO_ROOM, Instance, Ints, digest, instance_digest
from leasing.routing.pricing import Pairs, Pricer, joined, pricer, top

START = 10
"""Arcs of a class to begin with, good by value − price."""
NEAR = 400
"""And all others so little below the best, 0.0001 CNY/kg: at prices that are about right they are
those that a flow needs, and with too few of them prices jump. At most so many for a class:"""
MOST_NEAR = 80
FIRST_ADDED = 6
MOST_ADDED = 96
MAX_ROUNDS = 60
FORGETTING_ROUNDS = 6
"""So long arcs that are of no use are left out again, and a class keeps at most:"""
KEPT = 24
MERGED = (100_000, 30_000)
"""Sides of the cells in which alike classes are one while prices are learnt, 0.00001 degrees; not
worth it when more than this share of the classes are left:"""
WORTH_MERGING = 0.5
SETTLED = 20
"""Learning is over when at most one class in so many has a better arc."""
ROUGH = 4
"""The same for a plan that is to be quick."""


class NotSettled(RuntimeError):
    """More rounds than any instance seen needs: something is wrong, and no plan is better."""


@dataclass(frozen=True)
class Relaxed:
    """A best flow: `kg[k]` from class `arcs.row[k]` to outlet `arcs.column[k]`, the rest held.

    `value` is in 0.0001 CNY, `prices` are of a kilogram of space at each outlet, 0.0001 CNY.
    """

    arcs: Pairs
    kg: Ints
    held_kg: Ints
    prices: Ints
    value: int
    rounds: int

    def plan_id(self, instance: Instance) -> str:
        sent = self.kg > 0
        return digest(
            instance_digest(instance),
            self.arcs.row[sent],
            self.arcs.column[sent],
            self.kg[sent],
            self.prices,
        )


@dataclass(frozen=True)
class Part:
    """Some classes, with a share of the room."""

    rows: Ints
    supply: Ints
    free: Ints
    hold: int


Sender: TypeAlias = Callable[[Part, Pairs], tuple[Ints, Ints, Ints]]
"""The best flow over some arcs: kg of each, kg held of each class of the part, prices of space."""


def solve(instance: Instance, prices: Ints | None = None, within: Pricer | None = None) -> Relaxed:
    """Certified over all pairs. `prices`, say of last night, replace what merged classes teach."""
    ask = within or pricer(instance)
    whole = everything(instance)
    if prices is not None:
        return from_prices(ask, whole, prices, len(instance.classes.packs), 0)
    prices, arcs = learnt(ask, whole, len(instance.classes.packs))
    return generate(ask, whole, prices, arcs, len(instance.classes.packs), 0)


def roughly(instance: Instance, prices: Ints, ask: Pricer) -> Relaxed:
    """Nearly the best flow, and quick: some classes may have a better arc, so nothing is proven."""
    whole = everything(instance)
    short = len(whole.rows) // ROUGH
    return from_prices(ask, whole, prices, len(instance.classes.packs), short)


def everything(instance: Instance) -> Part:
    supply = instance.classes.supply_kg
    rows = np.flatnonzero(supply > 0)
    return Part(rows, supply[rows], instance.free_kg, instance.hold)


def from_prices(ask: Pricer, whole: Part, prices: Ints, classes: int, short: int) -> Relaxed:
    prices = start_prices(prices, whole.free)
    return generate(ask, whole, prices, ask.good(prices, whole.rows, START), classes, short)


def learnt(ask: Pricer, whole: Part, classes: int) -> tuple[Ints, Pairs]:
    """Prices of space when neighbours that ask the same are one class, ever nearer ones; and arcs
    of each class that are good at these prices."""
    prices = start_prices(np.zeros_like(whole.free), whole.free)
    known: Relaxed | None = None
    by = whole.rows
    for cell in MERGED:
        one = ask.alike(whole.rows, cell)
        some = np.unique(one)
        if len(some) > len(whole.rows) * WORTH_MERGING:
            break
        supply = np.bincount(np.searchsorted(some, one), whole.supply).astype(np.int64)
        part = Part(some, supply, whole.free, whole.hold)
        arcs = begun(ask, known, part.rows, by[np.searchsorted(whole.rows, some)], prices)
        known = generate(ask, part, prices, arcs, classes, len(some) // SETTLED)
        prices, by = known.prices, one
    return prices, begun(ask, known, whole.rows, by, prices)


def begun(ask: Pricer, known: Relaxed | None, rows: Ints, by: Ints, prices: Ints) -> Pairs:
    """Arcs of each class to begin with: the best of the class `by` that it was merged with."""
    if known is None:
        return ask.good(prices, rows, START)
    best = top(known.arcs, known.arcs.value - prices[known.arcs.column], START)
    first, last = (np.searchsorted(best.row, by, side) for side in ("left", "right"))
    many = last - first
    place = np.arange(many.sum()) + np.repeat(first - (np.cumsum(many) - many), many)
    row, column = np.repeat(rows, many), best.column[place]
    return Pairs(row, column, ask.values(row, column))


def start_prices(prices: Ints, free: Ints) -> Ints:
    return np.where(free > 0, np.minimum(prices, PRICE_OF_NO_ROOM - 1), PRICE_OF_NO_ROOM)


def generate(
    ask: Pricer,
    part: Part,
    prices: Ints,
    arcs: Pairs,
    classes: int,
    short: int,
    sender: Sender | None = None,
) -> Relaxed:
    """The best flow from these prices and arcs on; when at most `short` classes have a better arc,
    that is enough. `sender` finds the best over few arcs in place of a min-cost flow."""
    sender = sender or send
    arcs = joined([arcs, near(ask, part, prices, arcs, classes)])
    adding = np.full(classes, FIRST_ADDED)
    for turn in range(1, MAX_ROUNDS + 1):
        kg, held, prices = sender(part, arcs)
        gain = gains(part, arcs, prices, classes)
        more = missing(ask, part.rows, prices, gain, adding)
        if len(np.unique(more.row)) <= short:
            value = int((kg * arcs.value).sum()) + int(held.sum()) * part.hold
            held_kg = np.zeros(classes, dtype=np.int64)
            held_kg[part.rows] = held
            return Relaxed(arcs, kg, held_kg, prices, value, turn)
        if turn <= FORGETTING_ROUNDS:
            arcs = useful(arcs, kg, gain, prices)
        arcs = joined([arcs, more])
    raise NotSettled(f"no end after {MAX_ROUNDS} rounds")


def near(ask: Pricer, part: Part, prices: Ints, arcs: Pairs, classes: int) -> Pairs:
    """Arcs that are nearly as good as the best of these, and not among them."""
    gain = gains(part, arcs, prices, classes)[part.rows]
    some = ask.better(prices, part.rows, MOST_NEAR, gain - NEAR)
    pair = some.row * len(prices) + some.column
    new = ~np.isin(pair, arcs.row * len(prices) + arcs.column)
    return Pairs(some.row[new], some.column[new], some.value[new])


def useful(arcs: Pairs, kg: Ints, gain: Ints, prices: Ints) -> Pairs:
    """Arcs that carry something, and of each class the others that come nearest to it."""
    lost = gain[arcs.row] - (arcs.value - prices[arcs.column])
    kept = top(arcs, np.where(kg > 0, PRICE_OF_NO_ROOM, -lost), KEPT)
    return joined([kept])


def gains(part: Part, arcs: Pairs, prices: Ints, classes: int) -> Ints:
    """What a kilogram of each class is worth: its best value − price among its arcs, or held."""
    gain = np.full(classes, part.hold, dtype=np.int64)
    np.maximum.at(gain, arcs.row, arcs.value - prices[arcs.column])
    return gain


def missing(ask: Pricer, rows: Ints, prices: Ints, gain: Ints, adding: Ints) -> Pairs:
    """Arcs better than those there are; the next time a class is short it gets twice as many."""
    found = []
    for many in np.unique(adding[rows]):
        some = rows[adding[rows] == many]
        found.append(ask.better(prices, some, int(many), gain[some]))
    more = joined(found)
    short = np.unique(more.row)
    adding[short] = np.minimum(2 * adding[short], MOST_ADDED)
    return more


def send(part: Part, arcs: Pairs) -> tuple[Ints, Ints, Ints]:
    """The best flow over these arcs: kg of each, kg held of each class, prices of space.

    Nodes are classes, then the outlets that arcs lead to, then the end. Arcs from classes have no
    bound of their own, or the price of a full outlet could hide on them.
    """
    used, place = np.unique(arcs.column, return_inverse=True)
    n, m = len(part.rows), len(used)
    total = int(part.supply.sum())
    end = n + m
    node = np.searchsorted(part.rows, arcs.row)
    highest = max(part.hold, int(arcs.value.max(initial=part.hold)))
    found = flow.solve(
        flow.Arcs(
            supply=np.concatenate([part.supply, np.zeros(m, dtype=np.int64), [-total]]),
            start=np.concatenate([node, np.arange(n), n + np.arange(m)]),
            end=np.concatenate([n + place, np.full(n + m, end)]),
            low=np.zeros(len(node) + n + m, dtype=np.int64),
            capacity=np.concatenate([np.full(len(node) + n, total), part.free[used]]),
            cost=np.concatenate(
                [highest - arcs.value, np.full(n, highest - part.hold), np.zeros(m, dtype=np.int64)]
            ),
        )
    )
    prices = np.where(part.free > 0, 0, PRICE_OF_NO_ROOM)
    at = found.potential
    priced = np.maximum(at[end] - at[n : n + m], 0)
    prices[used] = np.where(part.free[used] > 0, priced, PRICE_OF_NO_ROOM)
    return found.flow[: len(node)], found.flow[len(node) : len(node) + n], prices
