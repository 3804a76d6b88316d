"""The best outlets of a class at given prices of space, over all pairs, exactly.

On a map few pairs need to be computed in full. Outlets are taken from the highest offer − price
down, and no further than where even free carriage would not make one good enough. Of the others
the straight chord through the earth, which needs no trigonometry and is never longer than the
road, tells most that they are too far; what remains is computed as `model` says.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from leasing.regions.model import EARTH_RADIUS_KM
from leasing.routing.model import (
    FORBIDDEN,
    PRICE_OF_NO_ROOM,
    Flags,
    Floats,
    Instance,
    Ints,
    Network,
    Places,
    Table,
)

Floats32: TypeAlias = NDArray[np.float32]
"""Half the memory, for what is estimated."""

CELL = 100_000
"""Side of a cell of the grid, 0.00001 degrees."""
TRIED = 3
"""So many times the arcs that a class begins with are tried."""
ROWS = 64
"""Classes looked at together."""
MANY = 2
"""Of so many times the arcs wanted, the most promising are computed in full."""
TABLE_BLOCK = 1 << 22
"""Pairs of a table looked at in one go."""
NONE = np.int64(-(2**62))
"""Below the value of every pair."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of class and outlet with their values, by class and outlet."""

    row: Ints
    column: Ints
    value: Ints


class Pricer(Protocol):
    """Answers about one instance. Prices of space are whole 0.0001 CNY/kg, one for each outlet."""

    def values(self, rows: Ints, columns: Ints) -> Ints:
        """The value of each pair (rows[k], columns[k])."""
        ...

    def good(self, prices: Ints, rows: Ints, keep: int) -> Pairs:
        """For each row `keep` permitted outlets of high value − price; not always the highest."""
        ...

    def better(self, prices: Ints, rows: Ints, keep: int, above: Ints) -> Pairs:
        """For each row permitted outlets with a value − price above the row's: `keep` at most, and
        none only when there is none."""
        ...

    def alike(self, rows: Ints, cell: int) -> Ints:
        """For each row one that asks the same and lies in the same cell of so many 0.00001
        degrees; itself where nothing is known of places."""
        ...


def pricer(instance: Instance) -> Pricer:
    return TablePricer(instance) if isinstance(instance, Table) else NetworkPricer(instance)


def top(pairs: Pairs, reduced: Ints, keep: int) -> Pairs:
    """The best `keep` pairs of each row, ties by outlet."""
    order = np.lexsort((pairs.column, -reduced, pairs.row))
    row = pairs.row[order]
    first = np.searchsorted(row, row, "left")
    kept = order[np.arange(len(row)) - first < keep]
    return Pairs(pairs.row[kept], pairs.column[kept], pairs.value[kept])


def joined(found: list[Pairs]) -> Pairs:
    if not found:
        nothing = np.zeros(0, dtype=np.int64)
        return Pairs(nothing, nothing, nothing)
    row = np.concatenate([one.row for one in found])
    column = np.concatenate([one.column for one in found])
    value = np.concatenate([one.value for one in found])
    order = np.lexsort((column, row))
    return Pairs(row[order], column[order], value[order])


class TablePricer:
    def __init__(self, table: Table) -> None:
        self.table = table

    def values(self, rows: Ints, columns: Ints) -> Ints:
        return self.table.value[rows, columns].astype(np.int64)

    def good(self, prices: Ints, rows: Ints, keep: int) -> Pairs:
        return self.better(prices, rows, keep, np.full(len(rows), NONE))

    def better(self, prices: Ints, rows: Ints, keep: int, above: Ints) -> Pairs:
        step = max(1, TABLE_BLOCK // max(1, len(prices)))
        found = []
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            value = self.table.value[some].astype(np.int64)
            reduced = np.where(value > FORBIDDEN, value - prices, NONE)
            if reduced.shape[1] > keep:
                # Of equal ones the first: outlets make what is ranked distinct.
                ranked = np.maximum(reduced, -(2**40)) * (1 << 21) - np.arange(len(prices))
                least = np.partition(ranked, -keep, axis=1)[:, -keep]
                reduced = np.where(ranked >= least[:, None], reduced, NONE)
            line, column = np.nonzero(reduced > above[first : first + step, None])
            found.append(Pairs(some[line], column, value[line, column]))
        return joined(found)

    def alike(self, rows: Ints, cell: int) -> Ints:
        return rows


def vectors(places: Places) -> Floats:
    """Points on the unit sphere, one row each."""
    longitude = np.radians(places.longitude / 1e5)
    latitude = np.radians(places.latitude / 1e5)
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=-1)


def chords(points: Floats32, outlets: Floats32) -> Floats32:
    """Lengths of all chords from points to outlets, a little too short and never too long: the
    square of one is off by less than 0.000001, for which it is lowered by so much."""
    found: Floats32 = points @ outlets.T
    found *= -2
    found += np.float32(2 - 1e-6)
    np.maximum(found, 0, out=found)
    return np.sqrt(found, out=found)


def arc_km(chord: Floats) -> Floats:
    """Great circle of a chord of the unit sphere."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))


class NetworkPricer:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.outlets = vectors(network.outlets)
        self.points = vectors(network.at)
        self.outlets32 = self.outlets.astype(np.float32)
        self.points32 = self.points.astype(np.float32)
        self.groups, self.group = groups(network)
        # Also of no packs at all: a night on which everything is held has a plan.
        rows = [offers(network, g) for g in self.groups]
        self.offers = np.array(rows, dtype=np.int64).reshape(len(rows), len(network.free_kg))
        self.cells = cells(network.at, CELL)
        # Freight of a kilogram over 100 m of a straight line, millionths of 0.0001 CNY.
        self.rate = network.freight * network.circuity_percent
        self.per_km = [float(self.rate[hazard]) / 1e5 for _, hazard, _, _ in self.groups]

    def values(self, rows: Ints, columns: Ints) -> Ints:
        chord = np.sqrt(((self.points[rows] - self.outlets[columns]) ** 2).sum(axis=-1))
        hundreds = np.rint(10 * arc_km(chord)).astype(np.int64)
        freight = (self.rate[self.network.hazard[rows]] * hundreds + 500_000) // 1_000_000
        offer = self.offers[self.group[rows], columns]
        return np.where(offer > FORBIDDEN, offer - freight, FORBIDDEN)

    def alike(self, rows: Ints, cell: int) -> Ints:
        keys = np.stack([cells(self.network.at, cell)[rows], self.group[rows]], axis=1)
        _, first, one = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        found: Ints = rows[first][one.reshape(-1)]
        return found

    def base(self, group: int, prices: Ints) -> tuple[Ints, Floats]:
        """The outlets permitted to a group, and offer − price of each."""
        there = np.flatnonzero((self.offers[group] > FORBIDDEN) & (prices < PRICE_OF_NO_ROOM))
        return there, (self.offers[group][there] - prices[there]).astype(np.float64)

    def good(self, prices: Ints, rows: Ints, keep: int) -> Pairs:
        """The best for the class among those that are best for the middle of its cell."""
        found = []
        for members in by_key(self.group[rows]):
            group = int(self.group[rows[members[0]]])
            there, base = self.base(group, prices)
            tried = min(TRIED * keep, len(there))
            if not tried:
                continue
            inside = [rows[members[some]] for some in by_key(self.cells[rows[members]])]
            for first in range(0, len(inside), ROWS):
                some = inside[first : first + ROWS]
                middle = np.stack([self.points[each].mean(axis=0) for each in some])
                score = base - self.per_km[group] * EARTH_RADIUS_KM * chords(
                    middle.astype(np.float32), self.outlets32[there]
                )
                near = there[np.argpartition(score, -tried, axis=1)[:, -tried:]]
                row = np.repeat(np.concatenate(some), tried)
                column = np.repeat(near, [len(each) for each in some], axis=0).ravel()
                pairs = Pairs(row, column, self.values(row, column))
                found.append(top(pairs, pairs.value - prices[column], keep))
        return joined(found)

    def better(self, prices: Ints, rows: Ints, keep: int, above: Ints) -> Pairs:
        found = []
        for members in by_key(self.group[rows]):
            group = int(self.group[rows[members[0]]])
            there, base = self.base(group, prices)
            order = np.argsort(-base, kind="stable")
            there, base = there[order], base[order]
            # Classes that look equally far down stand together.
            alike = members[np.argsort(above[members], kind="stable")]
            for first in range(0, len(alike), ROWS):
                some = alike[first : first + ROWS]
                floors = above[some]
                upper = self.at_most(group, there, base, rows[some], floors)
                found.append(self.exact(prices, there, upper, rows[some], floors, keep))
        return joined(found)

    def at_most(self, group: int, there: Ints, base: Floats, rows: Ints, above: Ints) -> Floats32:
        """What value − price − above is at most, of classes × the best outlets: the others have
        none above 0."""
        # Rounding may add half of 0.0001 CNY/kg, and the freight of 50 m. Sums of 32 bits are off
        # by less than 2 while values are below 1,000 CNY/kg.
        per_km = self.per_km[group]
        floors = above - (3 + 0.06 * per_km)
        wide = int(np.searchsorted(-base, -floors.min()))
        most = chords(self.points32[rows], self.outlets32[there[:wide]])
        most *= np.float32(-per_km * EARTH_RADIUS_KM)
        most += base[:wide].astype(np.float32)
        most -= floors[:, None].astype(np.float32)
        return most

    def exact(
        self, prices: Ints, there: Ints, upper: Floats32, rows: Ints, above: Ints, keep: int
    ) -> Pairs:
        """All pairs above, of a class with many those that promise most."""
        hopeful = upper > 0
        many = hopeful.sum(axis=1) > MANY * keep
        if many.any():
            least = np.partition(upper[many], -MANY * keep, axis=1)[:, -MANY * keep]
            hopeful[many] &= upper[many] >= least[:, None]
        line, place = np.nonzero(hopeful)
        row, column = rows[line], there[place]
        value = self.values(row, column)
        over = value - prices[column] > above[line]
        pairs = Pairs(row[over], column[over], value[over])
        pairs = top(pairs, pairs.value - prices[pairs.column], keep)
        short = np.flatnonzero(many & ~np.isin(rows, pairs.row))
        if len(short):
            # What promised most kept nothing: look at all there is.
            rest = self.exact(prices, there, upper[short], rows[short], above[short], len(there))
            pairs = joined([pairs, rest])
        return pairs


def by_key(keys: Ints) -> list[Ints]:
    """Positions of equal keys, in the order of the keys."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return np.split(order, cuts) if len(keys) else []


def cells(places: Places, side: int) -> Ints:
    east = np.floor_divide(places.longitude, side)
    north = np.floor_divide(places.latitude, side)
    return east * (1 << 20) + north


def groups(network: Network) -> tuple[list[tuple[int, int, int, int]], Ints]:
    """Classes that ask the same: chemistry, hazard, dispositions, and a mass that the same single
    loads allow. The groups, and the group of each class."""
    limits = np.unique(network.single_load_kg)
    load = np.searchsorted(limits, network.classes.mass_kg)
    keys = np.stack([network.chemistry, network.hazard, network.dispositions, load], axis=1)
    each, group = np.unique(keys, axis=0, return_inverse=True)
    heaviest = np.append(limits, 1 << 40)
    named = [(int(c), int(h), int(d), int(heaviest[m])) for c, h, d, m in each]
    return named, group.reshape(-1).astype(np.int64)


def offers(network: Network, group: tuple[int, int, int, int]) -> Ints:
    """What each outlet gives a group before freight, FORBIDDEN where it may not."""
    chemistry, hazard, dispositions, load = group
    allowed = [d for d in range(network.offer.shape[0]) if dispositions >> d & 1]
    if not allowed:
        return np.full(len(network.free_kg), FORBIDDEN, dtype=np.int64)
    offer: Ints = network.offer[allowed, chemistry].max(axis=0)
    permitted: Flags = (
        (network.closed == 0)
        & (network.takes_chemistries >> chemistry & 1 == 1)
        & (network.takes_hazards >> hazard & 1 == 1)
        & (network.single_load_kg >= load)
        & (offer > FORBIDDEN)
    )
    return np.where(permitted, offer - network.packing[hazard], FORBIDDEN)
