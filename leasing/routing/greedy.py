"""What is done without a plan: pack after pack, to the nearest outlet with room or to the best.

For comparison, and to fall back on when a plan takes too long.
"""

from collections.abc import Callable

import numpy as np

from leasing.routing.model import FORBIDDEN, Instance, Ints, Network
from leasing.routing.pricing import arc_km, pricer, vectors
from leasing.routing.whole import WholePlan


def best_value_first(instance: Instance) -> WholePlan:
    """In the order of the classes, each pack to the outlet of highest value that has room for it;
    held when that is worth more."""
    ask = pricer(instance)
    outlets = np.arange(len(instance.free_kg))

    def ranked(i: int) -> Ints:
        value = ask.values(np.full(len(outlets), i), outlets)
        there = np.flatnonzero((value > FORBIDDEN) & (value > instance.hold))
        return there[np.argsort(-value[there], kind="stable")]

    return one_by_one(instance, ranked)


def nearest_with_room(network: Network) -> WholePlan:
    """The same with the nearest outlet that may take the pack, whatever it pays."""
    ask = pricer(network)
    outlets = np.arange(len(network.free_kg))
    at, to = vectors(network.at), vectors(network.outlets)

    def ranked(i: int) -> Ints:
        value = ask.values(np.full(len(outlets), i), outlets)
        there = np.flatnonzero(value > FORBIDDEN)
        far = arc_km(np.sqrt(((to[there] - at[i]) ** 2).sum(axis=1)))
        return there[np.argsort(far, kind="stable")]

    return one_by_one(network, ranked)


def one_by_one(instance: Instance, ranked: Callable[[int], Ints]) -> WholePlan:
    room: list[int] = instance.free_kg.tolist()
    found: list[tuple[int, int, int]] = []
    masses, counts = instance.classes.mass_kg.tolist(), instance.classes.packs.tolist()
    for i, (mass, packs) in enumerate(zip(masses, counts, strict=True)):
        left = packs
        for j in ranked(i).tolist() if left else []:
            many = min(left, room[j] // mass)
            if many:
                found.append((i, j, many))
                room[j] -= many * mass
                left -= many
            if not left:
                break
    rows = np.array(sorted(found), dtype=np.int64).reshape(-1, 3)
    return WholePlan(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].copy())
