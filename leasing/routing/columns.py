"""The best flow in kilograms over all pairs of class and outlet, by column generation.

Equal packs are one class. A flow over few arcs gives prices of space; by these prices all pairs
are looked at, and arcs that would be better are added, twice as many for a class each time it was
short. When no pair is better, the flow is best of all, and the prices prove it (`certificate`).
Prices to begin with are learnt on samples of the classes with their share of the room.
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
FIRST_ADDED = 6
MOST_ADDED = 96
MAX_ROUNDS = 60
FORGETTING_ROUNDS = 6
"""So long arcs that are of no use are left out again, and a class keeps at most:"""
KEPT = 24
SAMPLES = (64, 16, 4)
"""One class in so many is in a sample; smaller samples than this are not worth it:"""
LEAST_SAMPLE = 200
LEARNING_ROUNDS = 3


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
    """Certified over all pairs. `prices`, say of last night, replace what samples teach."""
    ask = within or pricer(instance)
    supply = instance.classes.supply_kg
    free = instance.free_kg
    rows = np.flatnonzero(supply > 0)
    if prices is None:
        prices = learnt(ask, rows, supply, free, instance.hold)
    whole = Part(rows, supply[rows], free, instance.hold)
    return generate(ask, whole, start_prices(prices, free), len(supply), MAX_ROUNDS)


def learnt(ask: Pricer, rows: Ints, supply: Ints, free: Ints, hold: int) -> Ints:
    """Prices of space from nested samples."""
    prices = np.zeros(len(free), dtype=np.int64)
    order = scattered(rows)
    for share in SAMPLES:
        some = np.sort(order[: len(order) // share])
        if len(some) >= LEAST_SAMPLE:
            room = free * int(supply[some].sum()) // int(supply[rows].sum())
            part = Part(some, supply[some], room, hold)
            at = start_prices(prices, room)
            prices = generate(ask, part, at, len(supply), LEARNING_ROUNDS).prices
            prices = np.where(room == 0, 0, prices)
    return prices


def start_prices(prices: Ints, free: Ints) -> Ints:
    return np.where(free > 0, np.minimum(prices, PRICE_OF_NO_ROOM - 1), PRICE_OF_NO_ROOM)


def scattered(rows: Ints) -> Ints:
    """The same mixed order on every machine (Fibonacci hashing)."""
    return rows[np.argsort(rows * 2_654_435_769 % (1 << 32), kind="stable")]


def generate(
    ask: Pricer, part: Part, prices: Ints, classes: int, rounds: int, sender: Sender | None = None
) -> Relaxed:
    sender = sender or send
    arcs = ask.good(prices, part.rows, START)
    adding = np.full(classes, FIRST_ADDED)
    for turn in range(1, rounds + 1):
        kg, held, prices = sender(part, arcs)
        gain = gains(part, arcs, prices, classes)
        more = missing(ask, part.rows, prices, gain, adding)
        if not len(more.row) or (turn == rounds and rounds < MAX_ROUNDS):
            value = int((kg * arcs.value).sum()) + int(held.sum()) * part.hold
            held_kg = np.zeros(classes, dtype=np.int64)
            held_kg[part.rows] = held
            return Relaxed(arcs, kg, held_kg, prices, value, turn)
        if turn <= FORGETTING_ROUNDS:
            arcs = useful(arcs, kg, gain, prices)
        arcs = joined([arcs, more])
    raise NotSettled(f"no end after {rounds} rounds")


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
