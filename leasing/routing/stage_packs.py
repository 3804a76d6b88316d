"""Whole packs through two stages: rounded along the best flow, then mended.

As `whole` does it for outlets alone. Here a pack takes room of its outlet and of every limit of its
firm that it meets, so a pack that makes room for another may stand at another outlet of that firm.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nsmallest

import numpy as np

from leasing.routing.mending import HELD
from leasing.routing.model import FORBIDDEN, Ints, Network
from leasing.routing.stages import Lanes, Settled, stage_of
from leasing.routing.whole import CHOICES, MORE_CHOICES, WholePlan

EJECTIONS_INTO = 10
"""Lanes tried for one pack by sending another away."""
PASSES = 4
MOST_EJECTED = 12
"""Classes at a full firm of which a pack is sent elsewhere for another, the worst off first."""
SEARCHES = 3_000
"""So many packs are tried at full firms; each looks at all that goes there."""


@dataclass
class Bench:
    """Where packs are while they are moved about. Lanes are as in `Lanes`, with their price."""

    mass: list[int]
    hold: int
    price: list[int]
    outlet: list[int]
    met: list[list[int]]
    """The limits that a lane meets."""
    free: list[int]
    limit: list[int]
    choices: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """Lanes of a class, the best by value − price first."""
    value: dict[tuple[int, int], int] = field(default_factory=dict)
    counts: dict[tuple[int, int], int] = field(default_factory=dict)
    inside: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    under: dict[int, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    """Classes and lanes by the limits that they meet."""
    searches: int = SEARCHES

    def worth(self, i: int, k: int) -> int:
        return self.hold if k == HELD else self.value[i, k]

    def room(self, k: int) -> int:
        return min([self.free[self.outlet[k]], *(self.limit[one] for one in self.met[k])])

    def put(self, i: int, k: int, many: int) -> None:
        """Add packs of class i to lane k; take them out when below 0."""
        left = self.counts.get((i, k), 0) + many
        if left:
            self.counts[i, k] = left
        else:
            self.counts.pop((i, k), None)
        if k == HELD:
            return
        self.free[self.outlet[k]] -= many * self.mass[i]
        (self.inside[k].add if left else self.inside[k].discard)(i)
        for one in self.met[k]:
            self.limit[one] -= many * self.mass[i]
            (self.under[one].add if left else self.under[one].discard)((i, k))

    def best_with_room(self, i: int, but: int = HELD) -> int:
        """The lane of highest value that has room for a pack; held when that is worth more."""
        found, most = HELD, self.hold
        for k in self.choices[i]:
            if k != but and self.value[i, k] > most and self.room(k) >= self.mass[i]:
                found, most = k, self.value[i, k]
        return found


def plan(network: Network, found: Settled) -> WholePlan:
    """A plan of whole packs near the flow's value. Columns are lanes."""
    bench = rounded(network, found)
    mend(bench, gains(network, found))
    sent = sorted((i, k, n) for (i, k), n in bench.counts.items() if k != HELD)
    rows = np.array(sent, dtype=np.int64).reshape(-1, 3)
    return WholePlan(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())


def empty(network: Network, roads: Lanes, price: Ints) -> Bench:
    every = np.arange(len(roads.outlet) + 1)
    first = np.searchsorted(roads.lane, every).tolist()
    limits = roads.limit.tolist()
    return Bench(
        network.classes.mass_kg.tolist(),
        network.hold,
        price.tolist(),
        roads.outlet.tolist(),
        [limits[first[k] : first[k + 1]] for k in range(len(roads.outlet))],
        network.free_kg.tolist(),
        stage_of(network).limit_kg.tolist(),
    )


def rounded(network: Network, found: Settled) -> Bench:
    """Whole packs along the flow; then those that were cut, the heaviest first, to the best lane
    with room for one."""
    price = found.relaxed.prices
    bench = empty(network, found.lanes, price)
    arcs, kg = found.relaxed.arcs, found.relaxed.kg
    choose(bench, arcs.row, arcs.column, arcs.value)
    left: list[int] = network.classes.packs.tolist()
    for i, k, sent in zip(arcs.row.tolist(), arcs.column.tolist(), kg.tolist(), strict=True):
        whole = sent // bench.mass[i]
        if whole:
            bench.put(i, k, whole)
            left[i] -= whole
    short = np.array([i for i, n in enumerate(left) if n], dtype=np.int64)
    more = found.ask.good(price, short, MORE_CHOICES)
    choose(bench, more.row, more.column, more.value)
    for i, lanes in bench.choices.items():
        lanes.sort(key=lambda k: (bench.price[k] - bench.value[i, k], k))
    for i in sorted(short.tolist(), key=lambda i: (-bench.mass[i], i)):
        for _ in range(left[i]):
            bench.put(i, first_with_room(bench, found, i), 1)
    return bench


def choose(bench: Bench, row: Ints, column: Ints, value: Ints) -> None:
    for i, k, v in zip(row.tolist(), column.tolist(), value.tolist(), strict=True):
        if (i, k) not in bench.value:
            bench.value[i, k] = v
            bench.choices[i].append(k)


def first_with_room(bench: Bench, found: Settled, i: int) -> int:
    """Of the class's choices the best by value − price; else the best of all lanes with room."""
    mass = bench.mass[i]
    for k in bench.choices[i]:
        if bench.value[i, k] > bench.hold and bench.room(k) >= mass:
            return k
    lanes = np.arange(len(bench.outlet))
    value = found.ask.values(np.full(len(lanes), i), lanes)
    hopeful = np.flatnonzero((value > FORBIDDEN) & (value > bench.hold))
    net = value[hopeful] - found.relaxed.prices[hopeful]
    for k in hopeful[np.argsort(-net, kind="stable")].tolist():
        if bench.room(k) >= mass:
            choose(bench, np.array([i]), np.array([k]), value[k : k + 1])
            return int(k)
    return HELD


def gains(network: Network, found: Settled) -> list[int]:
    gain = np.full(len(network.classes.packs), network.hold, dtype=np.int64)
    arcs = found.relaxed.arcs
    np.maximum.at(gain, arcs.row, arcs.value - found.relaxed.prices[arcs.column])
    result: list[int] = gain.tolist()
    return result


def mend(bench: Bench, gain: list[int]) -> None:
    """Move packs that lose most first, until none gets better or enough was tried."""
    for _ in range(PASSES):
        changed = climb(bench)
        for i, k in losers(bench, gain):
            while bench.counts.get((i, k), 0) and step(bench, gain, i, k):
                changed = True
        if not changed:
            break


def climb(bench: Bench) -> bool:
    """Packs go where they are worth more and room is left; whether any did."""
    changed = False
    for i, k in sorted(bench.counts):
        while bench.counts.get((i, k), 0):
            bench.put(i, k, -1)
            to = bench.best_with_room(i, k)
            better = bench.worth(i, to) > bench.worth(i, k)
            bench.put(i, to if better else k, 1)
            if not better:
                break
            changed = True
    return changed


def losers(bench: Bench, gain: list[int]) -> list[tuple[int, int]]:
    """Places of packs below their best, by what a pack loses. Held packs count, too, if they would
    be worth more elsewhere: dear room may be left empty though nobody loses."""
    lost = []
    for i, k in bench.counts:
        short = lack(bench, gain, i, k)
        if short > 0 or (k == HELD and bench.choices[i]):
            lost.append((-short * bench.mass[i], i, k))
    return [(i, k) for _, i, k in sorted(lost)]


def lack(bench: Bench, gain: list[int], i: int, k: int) -> int:
    """What a kilogram of class i in lane k loses against its best."""
    return gain[i] - (bench.hold if k == HELD else bench.value[i, k] - bench.price[k])


def step(bench: Bench, gain: list[int], i: int, k: int) -> bool:
    """Make the best single change that a pack of class i in lane k allows; whether there is one."""
    now, mass = bench.worth(i, k), bench.mass[i]
    best, change = 0, (HELD, HELD, HELD, HELD)
    bench.put(i, k, -1)
    tried = 0
    for to in bench.choices[i][:CHOICES]:
        gained = (bench.value[i, to] - now) * mass
        if to == k:
            continue
        if bench.room(to) >= mass:
            if gained > best:
                best, change = gained, (to, HELD, HELD, HELD)
        elif tried < EJECTIONS_INTO:
            tried += 1
            for other, place in blocking(bench, gain, to):
                net, away = ejected(bench, i, to, other, place)
                if gained + net > best:
                    best, change = gained + net, (to, other, place, away)
    if best <= 0:
        bench.put(i, k, 1)
        return False
    to, other, place, away = change
    if place != HELD:
        bench.put(other, place, -1)
        bench.put(other, away, 1)
    bench.put(i, to, 1)
    return True


def blocking(bench: Bench, gain: list[int], to: int) -> Iterator[tuple[int, int]]:
    """Packs that stand where room is wanted: in the lane, or under its fullest limit."""
    for other in sorted(bench.inside[to]):
        yield other, to
    if bench.met[to] and bench.searches:
        bench.searches -= 1
        full = min(bench.met[to], key=lambda one: (bench.limit[one], one))
        yield from nsmallest(
            MOST_EJECTED,
            (each for each in bench.under[full] if each[1] != to),
            key=lambda each: (-lack(bench, gain, *each), each),
        )


def ejected(bench: Bench, i: int, to: int, other: int, place: int) -> tuple[int, int]:
    """What it brings to send one pack of a class away so that one of i fits, and where to. Nothing
    is changed."""
    never = -(2**62), HELD
    bench.put(other, place, -1)
    if bench.room(to) < bench.mass[i]:
        bench.put(other, place, 1)
        return never
    bench.put(i, to, 1)
    away = bench.best_with_room(other, place)
    net = (bench.worth(other, away) - bench.worth(other, place)) * bench.mass[other]
    bench.put(i, to, -1)
    bench.put(other, place, 1)
    return net, away
