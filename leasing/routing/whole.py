"""Whole packs out of a best flow: rounded along it, then mended (`mending`).

What a pack loses against its class's best at the prices of the flow, and dear room that stays
empty, add up to the distance from the bound.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from leasing.routing import small
from leasing.routing.columns import Relaxed
from leasing.routing.mending import HELD, Bench, mend
from leasing.routing.model import Instance, Ints, digest, instance_digest
from leasing.routing.pricing import Pairs, Pricer, joined, pricer, top

MORE_CHOICES = 16
"""Outlets that a class may be rounded to beside those of its arcs."""
CHOICES = 20
"""Outlets of a class that are thought of at all, the best by value − price."""


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


def plan(instance: Instance, relaxed: Relaxed, within: Pricer | None = None) -> WholePlan:
    """A plan of whole packs near the flow's value."""
    ask = within or pricer(instance)
    choices = choices_of(ask, relaxed, uneven(instance, relaxed))
    choices = top(choices, choices.value - relaxed.prices[choices.column], CHOICES)
    bench = rounded(instance, relaxed, choices, ask)
    mend(bench, choices, relaxed.prices)
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
    room = np.array(bench.free, dtype=np.int64)
    for i in sorted((i for i, n in enumerate(left) if n), key=lambda i: (-mass[i], i)):
        for _ in range(left[i]):
            to = first_with_room(bench, i)
            if to == HELD:
                to = anywhere(bench, ask, i, relaxed.prices, room)
            bench.put(i, to, 1)
            if to != HELD:
                room[to] = bench.free[to]
    return bench


def pieces(pairs: Pairs) -> tuple[Ints, Ints, Ints]:
    return pairs.row, pairs.column, pairs.value


def first_with_room(bench: Bench, i: int) -> int:
    for j, value in bench.choices[i]:
        if bench.free[j] >= bench.mass[i] and value > bench.hold:
            return j
    return HELD


def anywhere(bench: Bench, ask: Pricer, i: int, prices: Ints, room: Ints) -> int:
    """The best outlet of all that has room for a pack, when none of its choices has."""
    outlets = np.flatnonzero(room >= bench.mass[i])
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
