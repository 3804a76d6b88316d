"""The best outlets of a class at given prices of space, over all pairs, exactly.

On a map most outlets need not be looked at one pack at a time. Classes that ask the same question
and lie in one cell of a grid form a block. Of an outlet's value for the cell's middle, a class's
differs by no more than the freight over the cell's radius; so whatever is further than that below
the best can be left out for the whole block. What remains is computed in full.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

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

CELL = 25_000
"""Side of a cell of the grid, 0.00001 degrees: at most 20 km from its middle."""
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

    def best(self, prices: Ints, rows: Ints, keep: int, above: Ints | None = None) -> Pairs:
        """For each row the `keep` permitted outlets of highest value − price, of equal ones the
        first; with `above`, only those for which value − price is above the row's."""
        ...


def pricer(instance: Instance) -> Pricer:
    return TablePricer(instance) if isinstance(instance, Table) else NetworkPricer(instance)


def top(reduced: Ints, columns: Ints, keep: int, above: Ints) -> tuple[Ints, Ints]:
    """Positions (row, column) of the best of each row of a block, ties by outlet."""
    width = reduced.shape[1]
    ranked = reduced * (1 << 21) - columns
    if width > keep:
        part = np.argpartition(ranked, width - keep, axis=1)[:, width - keep :]
    else:
        part = np.broadcast_to(np.arange(width), reduced.shape)
    taken = np.take_along_axis(reduced, part, axis=1)
    line, place = np.nonzero((taken > above[:, None]) & (taken > NONE >> 22))
    return line, part[line, place]


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

    def best(self, prices: Ints, rows: Ints, keep: int, above: Ints | None = None) -> Pairs:
        floor = np.full(len(rows), NONE) if above is None else above
        step = max(1, TABLE_BLOCK // max(1, len(prices)))
        columns = np.arange(len(prices))
        found = []
        for first in range(0, len(rows), step):
            some = rows[first : first + step]
            value = self.table.value[some].astype(np.int64)
            reduced = np.where(value > FORBIDDEN, value - prices, NONE >> 22)
            line, column = top(reduced, columns, keep, floor[first : first + step])
            found.append(Pairs(some[line], column, value[line, column]))
        return joined(found)


def vectors(places: Places) -> Floats:
    """Points on the unit sphere, one row each."""
    longitude = np.radians(places.longitude / 1e5)
    latitude = np.radians(places.latitude / 1e5)
    flat = np.cos(latitude)
    return np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=-1
    )


def arc_km(chord: Floats) -> Floats:
    """Great circle of a chord of the unit sphere."""
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / 2, 1.0))


class NetworkPricer:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.outlets = vectors(network.outlets)
        self.points = vectors(network.at)
        self.groups, self.group = groups(network)
        self.offers = np.stack([offers(network, g) for g in self.groups])
        self.cells = cells(network.at)
        # Freight of 100 m of a straight line, millionths of 0.0001 CNY/kg.
        self.rate = network.freight * network.circuity_percent

    def values(self, rows: Ints, columns: Ints) -> Ints:
        chord = np.linalg.norm(self.points[rows] - self.outlets[columns], axis=-1)
        offer = self.offers[self.group[rows], columns]
        value = offer - self.carriage(self.rate[self.network.hazard[rows]], chord)
        return np.where(offer > FORBIDDEN, value, FORBIDDEN)

    def carriage(self, rate: Ints | int, chord: Floats) -> Ints:
        hundreds = np.rint(10 * arc_km(chord)).astype(np.int64)
        carried: Ints = (rate * hundreds + 500_000) // 1_000_000
        return carried

    def best(self, prices: Ints, rows: Ints, keep: int, above: Ints | None = None) -> Pairs:
        floor = np.full(len(rows), NONE) if above is None else above
        base = np.where(
            (self.offers > FORBIDDEN) & (prices < PRICE_OF_NO_ROOM),
            (self.offers - prices).astype(np.float64),
            -np.inf,
        )
        found = []
        for some, middle, radius in self.blocks(rows):
            straight = arc_km(np.sqrt(((self.outlets - middle) ** 2).sum(axis=1)))
            for members in by_key(self.group[rows[some]]):
                inside = some[members]
                group = int(self.group[rows[inside[0]]])
                per_km = self.rate[self.groups[group][1]] / 1e5
                score = base[group] - per_km * straight
                # Twice half a unit of rounding, and 50 m of it.
                slack = per_km * (radius + 0.1) + 2
                least = floor[inside].min() - slack
                if above is None:
                    if keep < len(score):
                        kth = np.partition(score, len(score) - keep)[len(score) - keep]
                        least = max(least, kth - 2 * slack)
                    least = max(least, -1e18)
                near = np.flatnonzero(score > least)
                if len(near):
                    found.append(
                        self.exact(prices, rows[inside], floor[inside], near, group, keep)
                    )
        return joined(found)

    def exact(
        self, prices: Ints, rows: Ints, floor: Ints, near: Ints, group: int, keep: int
    ) -> Pairs:
        apart = self.points[rows][:, None, :] - self.outlets[near][None, :, :]
        chord = np.sqrt((apart**2).sum(axis=2))
        rate = int(self.rate[self.groups[group][1]])
        value = self.offers[group][near] - self.carriage(rate, chord)
        line, place = top(value - prices[near], near, keep, floor)
        return Pairs(rows[line], near[place], value[line, place])

    def blocks(self, rows: Ints) -> Iterator[tuple[Ints, Floats, float]]:
        """Positions in `rows` of one cell, a point amid them and how far they are from it, km."""
        for some in by_key(self.cells[rows]):
            points = self.points[rows[some]]
            middle = points.mean(axis=0)
            middle /= np.linalg.norm(middle)
            radius = arc_km(np.linalg.norm(points - middle, axis=1).max())
            yield some, middle, float(radius)


def by_key(keys: Ints) -> list[Ints]:
    """Positions of equal keys, in the order of the keys."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    return np.split(order, cuts) if len(keys) else []


def cells(places: Places) -> Ints:
    east = np.floor_divide(places.longitude, CELL)
    north = np.floor_divide(places.latitude, CELL)
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
