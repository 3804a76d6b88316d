"""Whole packs are moved about until plans get no better: three ways, none of which loses.

* `climb`: a pack goes to a better outlet that has room.
* `exchange`: packs of equal mass change places with each other, all at once and at their best. What
  an outlet takes of one mass is a number of slots, so this is a flow of packs and comes out whole.
* `refill`: a dear outlet is packed anew, from what lies in it and what would rather lie in it, as a
  knapsack; what drops out goes to its next best outlet with room.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from math import gcd

import numpy as np

from leasing.routing.columns import Part, send
from leasing.routing.model import PRICE_OF_NO_ROOM, Ints
from leasing.routing.pricing import Pairs

HELD = -1
"""In place of an outlet: the pack stays where it is."""
ROUNDS = 2
OPEN_KG = 2_400
"""Of an outlet's room so much is packed anew; below it lies what is worth most for a kilogram."""
OPEN_PACKS = 100
"""Packs thought of for it."""
LEAST = 30_000
"""Of 0.0001 CNY: an outlet that lacks no more is left as it is."""


@dataclass
class Bench:
    """Where packs are while they are moved about: counts by class and outlet, and room left."""

    mass: list[int]
    hold: int
    free: list[int]
    choices: dict[int, list[tuple[int, int]]]
    """Outlets of a class with their values, the best by value − price first."""
    value: dict[tuple[int, int], int]
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    inside: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Classes that have packs at an outlet."""
    places: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    """Outlets that have packs of a class, and HELD."""

    def worth(self, i: int, j: int) -> int:
        return self.hold if j == HELD else self.value[i, j]

    def put(self, i: int, j: int, many: int) -> None:
        """Add packs of class i to outlet j; take them out when below 0."""
        left = self.counts.get((i, j), 0) + many
        if left:
            self.counts[i, j] = left
            self.places[i].add(j)
        else:
            self.counts.pop((i, j), None)
            self.places[i].discard(j)
        if j != HELD:
            self.free[j] -= many * self.mass[i]
            (self.inside[j].add if left else self.inside[j].discard)(i)

    def move(self, i: int, j: int, to: int, many: int = 1) -> None:
        self.put(i, j, -many)
        self.put(i, to, many)

    def elsewhere(self, i: int, j: int) -> tuple[int, int]:
        """The best place with room for a pack of class i but outlet j, and its value."""
        best, most, mass = HELD, self.hold, self.mass[i]
        for to, value in self.choices[i]:
            if value > most and to != j and self.free[to] >= mass:
                best, most = to, value
        return best, most


def mend(bench: Bench, pairs: Pairs, prices: Ints) -> None:
    """`pairs` are the choices of all classes."""
    climb(bench)
    for _ in range(ROUNDS):
        exchange(bench, pairs)
        refill(bench, prices)


def climb(bench: Bench) -> None:
    for i, j in sorted(bench.counts):
        now, mass = bench.worth(i, j), bench.mass[i]
        better = [(-v, to) for to, v in bench.choices[i] if v > now and bench.free[to] >= mass]
        for _, to in sorted(better):
            many = min(bench.counts.get((i, j), 0), bench.free[to] // mass)
            if many:
                bench.move(i, j, to, many)


def exchange(bench: Bench, pairs: Pairs) -> None:
    """Mass by mass, the heaviest first, over the pairs thought of."""
    known = zip(pairs.row.tolist(), pairs.column.tolist(), strict=True)
    now = np.array([bench.counts.get(pair, 0) for pair in known], dtype=np.int64)
    mass = np.array(bench.mass, dtype=np.int64)
    packs = np.array([bench.counts.get((i, HELD), 0) for i in range(len(mass))], dtype=np.int64)
    np.add.at(packs, pairs.row, now)
    free = np.array(bench.free, dtype=np.int64)
    for kg in np.unique(mass[pairs.row])[::-1]:
        on = np.flatnonzero((mass[pairs.row] == kg) & (packs[pairs.row] > 0))
        slots = free // kg
        np.add.at(slots, pairs.column[on], now[on])
        rows = np.unique(pairs.row[on])
        some = Pairs(pairs.row[on], pairs.column[on], pairs.value[on])
        sent = send(Part(rows, packs[rows], slots, bench.hold), some)[0]
        more = sent - now[on]
        np.subtract.at(free, some.column, more * kg)
        for k in np.flatnonzero(more):
            bench.move(int(some.row[k]), HELD, int(some.column[k]), int(more[k]))


def refill(bench: Bench, prices: Ints) -> None:
    """From the dearest outlet down: what a dear one gives away is room that a less dear one has."""
    dear = (prices > 0) & (prices < PRICE_OF_NO_ROOM)
    seekers: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for i, choices in sorted(bench.choices.items()):
        for j, value in choices:
            seekers[j].append((i, value))
    unit = gcd(*bench.mass)
    order = np.flatnonzero(dear)
    price: list[int] = prices.tolist()
    for j in order[np.argsort(-prices[order], kind="stable")].tolist():
        if missed(bench, j, price) > LEAST:
            repack(bench, j, seekers[j], unit)


def missed(bench: Bench, j: int, price: list[int]) -> int:
    """What outlet j lacks at these prices: its empty room, and what its packs would bring more at
    the best of their choices; 0.0001 CNY."""
    lost = price[j] * bench.free[j]
    for i in bench.inside[j]:
        best, value = bench.choices[i][0]
        less = value - price[best] - (bench.value[i, j] - price[j])
        lost += bench.counts[i, j] * bench.mass[i] * less
    return lost


def repack(bench: Bench, j: int, seekers: list[tuple[int, int]], unit: int) -> None:
    """The packs that make most of outlet j's room, if they make more of it than those that are
    there."""
    there = {(i, j): bench.counts[i, j] for i in sorted(bench.inside[j])}
    wanted = [(bench.value[pair] - bench.elsewhere(pair[0], j)[1], *pair) for pair in there]
    for i, value in seekers:
        for k in bench.places[i]:
            now = bench.hold if k == HELD else bench.value[i, k]
            if value > now:
                wanted.append((value - now, i, k))
    room = bench.free[j] + sum(n * bench.mass[i] for (i, _), n in there.items())
    chosen = packed(bench, wanted, room, unit)
    if chosen == there:
        return
    done, gained = [], 0
    for (i, k), n in chosen.items():
        if k != j:
            gained += n * bench.mass[i] * (bench.value[i, j] - bench.worth(i, k))
            done.append((i, k, j, n))
            bench.move(i, k, j, n)
    out = [(i, n - chosen.get((i, j), 0)) for (i, _), n in there.items()]
    for i, n in sorted(out, key=lambda one: (-bench.mass[one[0]], one[0])):
        for _ in range(n):
            to, value = bench.elsewhere(i, j)
            gained += bench.mass[i] * (value - bench.value[i, j])
            done.append((i, j, to, 1))
            bench.move(i, j, to)
    if gained <= 0:
        for i, k, to, n in reversed(done):
            bench.move(i, to, k, n)


def packed(
    bench: Bench, wanted: list[tuple[int, int, int]], room: int, unit: int
) -> dict[tuple[int, int], int]:
    """Packs of class and place that bring most in a room together, given what a kilogram of each
    brings: the most profitable while there is plenty of room, and of the next the best set."""
    chosen: dict[tuple[int, int], int] = defaultdict(int)
    left: list[tuple[int, int, int]] = []
    for gain, i, k in sorted(wanted, key=lambda one: (-one[0], one[1], one[2])):
        if gain <= 0 or len(left) >= OPEN_PACKS:
            break
        n, mass = bench.counts[i, k], bench.mass[i]
        surely = min(n, max(0, room - OPEN_KG) // mass)
        if surely:
            chosen[i, k] += surely
            room -= surely * mass
        left += (n - surely) * [(gain, i, k)]
    for i, k in best_set(left, [bench.mass[i] for _, i, _ in left], room, unit):
        chosen[i, k] += 1
    return dict(chosen)


def best_set(
    packs: list[tuple[int, int, int]], mass: list[int], room: int, unit: int
) -> list[tuple[int, int]]:
    """A knapsack, by the best value for each amount of room in so many kilograms."""
    best = np.zeros(room // unit + 1, dtype=np.int64)
    taken = np.zeros((len(packs), len(best)), dtype=np.bool_)
    for one, (gain, _, _) in enumerate(packs):
        size = mass[one] // unit
        if size < len(best):
            with_it = best[: len(best) - size] + gain * mass[one]
            np.greater(with_it, best[size:], out=taken[one, size:])
            np.maximum(best[size:], with_it, out=best[size:])
    found, at = [], len(best) - 1
    for one in range(len(packs) - 1, -1, -1):
        if taken[one, at]:
            found.append(packs[one][1:])
            at -= mass[one] // unit
    return found
