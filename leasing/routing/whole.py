"""Whole packs out of a best flow: rounded along it, then mended.

What a pack loses against its class's best at the prices of the flow, and dear room that stays
empty, add up to the distance from the bound; so only packs that lose are mended. A pack moves to a
better outlet with room, or into one where another pack, sent elsewhere, makes the room.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from leasing.routing import small
from leasing.routing.columns import Relaxed
from leasing.routing.model import Instance, Ints, digest, instance_digest
from leasing.routing.pricing import Pairs, Pricer, joined, pricer, top

HELD = -1
"""In place of an outlet: the pack stays where it is."""
MORE_CHOICES = 16
"""Outlets that a class may be rounded to beside those of its arcs."""
CHOICES = 20
"""Outlets of a class that are thought of at all, the best by value − price."""
EJECTIONS_INTO = 10
"""Outlets tried for one pack by sending another away."""
PASSES = 4


@dataclass(frozen=True)
class WholePlan:
    """`packs[k]` whole packs of class `row[k]` go to outlet `column[k]`, the others are held."""

    row: Ints
    column: Ints
    packs: Ints

    def kg(self, instance: Instance) -> Ints:
        return self.packs * instance.classes.mass_kg[self.row]

    def plan_id(self, instance: Instance) -> str:
        return digest(instance_digest(instance), self.row, self.column, self.packs)


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

    def worth(self, i: int, j: int) -> int:
        return self.hold if j == HELD else self.value[i, j]

    def put(self, i: int, j: int, many: int) -> None:
        """Add packs of class i to outlet j; take them out when below 0."""
        left = self.counts.get((i, j), 0) + many
        if left:
            self.counts[i, j] = left
        else:
            self.counts.pop((i, j), None)
        if j != HELD:
            self.free[j] -= many * self.mass[i]
            (self.inside[j].add if left else self.inside[j].discard)(i)

    def move(self, i: int, j: int, to: int, many: int = 1) -> None:
        self.put(i, j, -many)
        self.put(i, to, many)


def plan(instance: Instance, relaxed: Relaxed, within: Pricer | None = None) -> WholePlan:
    """A plan of whole packs near the flow's value."""
    ask = within or pricer(instance)
    gain = gains(instance, relaxed)
    choices = choices_of(ask, relaxed, uneven(instance, relaxed))
    choices = top(choices, choices.value - relaxed.prices[choices.column], CHOICES)
    bench = rounded(instance, relaxed, choices, ask)
    mend(bench, relaxed.prices, gain)
    pairs = pairs_of(bench)
    packs = np.array(
        [
            bench.counts.get(pair, 0)
            for pair in zip(pairs.row.tolist(), pairs.column.tolist(), strict=True)
        ],
        dtype=np.int64,
    )
    if len(packs) <= small.MOST_PAIRS and len(packs) and lossy(relaxed, instance, pairs, packs):
        packs = small.plan(instance, pairs, packs)
    sent = packs > 0
    return WholePlan(pairs.row[sent], pairs.column[sent], packs[sent])


def pairs_of(bench: Bench) -> Pairs:
    """All pairs that were thought of."""
    rows = np.array(sorted((i, j, v) for (i, j), v in bench.value.items()), dtype=np.int64)
    row, column, value = rows.reshape(-1, 3).T.copy()
    return Pairs(row, column, value)


def lossy(relaxed: Relaxed, instance: Instance, pairs: Pairs, packs: Ints) -> bool:
    """Whether the plan is worth less than the flow."""
    kg = packs * instance.classes.mass_kg[pairs.row]
    held = int(instance.classes.supply_kg.sum() - kg.sum())
    return int((kg * pairs.value).sum()) + held * instance.hold < relaxed.value


def gains(instance: Instance, relaxed: Relaxed) -> list[int]:
    gain = np.full(len(instance.classes.packs), instance.hold, dtype=np.int64)
    arcs = relaxed.arcs
    np.maximum.at(gain, arcs.row, arcs.value - relaxed.prices[arcs.column])
    result: list[int] = gain.tolist()
    return result


def uneven(instance: Instance, relaxed: Relaxed) -> Ints:
    """Classes of which the flow cuts a pack."""
    cut = relaxed.kg % instance.classes.mass_kg[relaxed.arcs.row] > 0
    return np.unique(relaxed.arcs.row[cut])


def choices_of(ask: Pricer, relaxed: Relaxed, short: Ints) -> Pairs:
    """The arcs of the flow, and more for classes that have to be rounded."""
    more = ask.good(relaxed.prices, short, MORE_CHOICES)
    both = joined([relaxed.arcs, more])
    new = np.ones(len(both.row), dtype=np.bool_)
    new[1:] = (np.diff(both.row) != 0) | (np.diff(both.column) != 0)
    return Pairs(both.row[new], both.column[new], both.value[new])


def rounded(instance: Instance, relaxed: Relaxed, choices: Pairs, ask: Pricer) -> Bench:
    """Whole packs along the flow; then those that were cut, the heaviest first, to the best
    outlet with room for one."""
    mass: list[int] = instance.classes.mass_kg.tolist()
    bench = Bench(mass, instance.hold, instance.free_kg.tolist(), defaultdict(list), {})
    reduced = choices.value - relaxed.prices[choices.column]
    order = np.lexsort((choices.column, -reduced, choices.row))
    for i, j, v in zip(*(a[order].tolist() for a in pieces(choices)), strict=True):
        bench.choices[i].append((j, v))
        bench.value[i, j] = v
    left: list[int] = instance.classes.packs.tolist()
    sent = relaxed.kg > 0
    arcs = zip(
        relaxed.arcs.row[sent].tolist(),
        relaxed.arcs.column[sent].tolist(),
        relaxed.kg[sent].tolist(),
        relaxed.arcs.value[sent].tolist(),
        strict=True,
    )
    for i, j, kg, v in arcs:
        bench.value[i, j] = v
        if kg >= mass[i]:
            bench.put(i, j, kg // mass[i])
            left[i] -= kg // mass[i]
    for i in sorted((i for i, n in enumerate(left) if n), key=lambda i: (-mass[i], i)):
        for _ in range(left[i]):
            to = first_with_room(bench, i)
            if to == HELD:
                to = anywhere(bench, ask, i, relaxed.prices)
            bench.put(i, to, 1)
    return bench


def pieces(pairs: Pairs) -> tuple[Ints, Ints, Ints]:
    return pairs.row, pairs.column, pairs.value


def first_with_room(bench: Bench, i: int) -> int:
    for j, value in bench.choices[i]:
        if bench.free[j] >= bench.mass[i] and value > bench.hold:
            return j
    return HELD


def anywhere(bench: Bench, ask: Pricer, i: int, prices: Ints) -> int:
    """The best outlet of all that has room for a pack, when none of its choices has."""
    outlets = np.flatnonzero(np.array(bench.free) >= bench.mass[i])
    value = ask.values(np.full(len(outlets), i), outlets)
    better = value > bench.hold
    if not better.any():
        return HELD
    outlets, value = outlets[better], value[better]
    place = int(np.argmax(value - prices[outlets]))
    to = int(outlets[place])
    bench.value[i, to] = int(value[place])
    bench.choices[i].append((to, int(value[place])))
    return to


def mend(bench: Bench, prices: Ints, gain: list[int]) -> None:
    """Move packs that lose most first, until none gets better or enough was tried."""
    price: list[int] = prices.tolist()
    for _ in range(PASSES):
        changed = climb(bench)
        for i, j in losers(bench, price, gain):
            while bench.counts.get((i, j), 0) and step(bench, i, j):
                changed = True
        if not changed:
            break


def climb(bench: Bench) -> bool:
    """Packs go where they are worth more and room is left; whether any did."""
    changed = False
    for i, j in sorted(bench.counts):
        now, mass = bench.worth(i, j), bench.mass[i]
        better = [(-v, to) for to, v in bench.choices[i] if v > now and bench.free[to] >= mass]
        for _, to in sorted(better):
            many = min(bench.counts.get((i, j), 0), bench.free[to] // mass)
            if many:
                bench.move(i, j, to, many)
                changed = True
    return changed


def losers(bench: Bench, price: list[int], gain: list[int]) -> list[tuple[int, int]]:
    """Places of packs below their best, by what a pack loses."""
    lost = []
    for i, j in bench.counts:
        net = bench.hold if j == HELD else bench.value[i, j] - price[j]
        if net < gain[i]:
            lost.append(((net - gain[i]) * bench.mass[i], i, j))
    return [(i, j) for _, i, j in sorted(lost)]


def step(bench: Bench, i: int, j: int) -> bool:
    """The best single change that a pack of class i at outlet j allows; whether there is one."""
    best: tuple[int, int, int, int] = (0, HELD, HELD, HELD)
    now, mass = bench.worth(i, j), bench.mass[i]
    tried = 0
    for to, value in bench.choices[i]:
        if to == j:
            continue
        if bench.free[to] >= mass:
            if (value - now) * mass > best[0]:
                best = ((value - now) * mass, to, HELD, HELD)
        elif tried < EJECTIONS_INTO:
            tried += 1
            for gained, other, away in ejections(bench, i, j, to):
                if gained + (value - now) * mass > best[0]:
                    best = (gained + (value - now) * mass, to, other, away)
    gained, to, other, away = best
    if gained <= 0:
        return False
    bench.put(i, j, -1)
    if other != HELD:
        bench.move(other, to, away)
    bench.put(i, to, 1)
    return True


def ejections(bench: Bench, i: int, j: int, to: int) -> Iterator[tuple[int, int, int]]:
    """What it brings to send one pack of a class from `to` away so that one of i fits, the class
    and where it goes: the outlet that i leaves counts as having that much more room."""
    needed = bench.mass[i] - bench.free[to]
    for k in sorted(bench.inside[to]):
        mass = bench.mass[k]
        if mass < needed or k == i:
            continue
        now = bench.value[k, to]
        away, most = HELD, bench.hold
        for other, value in bench.choices[k]:
            if value > most and other != to:
                room = bench.free[other] + (bench.mass[i] if other == j else 0)
                if room >= mass:
                    away, most = other, value
        yield (most - now) * mass, k, away
