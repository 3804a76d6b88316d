"""Small problems of routing, made up."""

from itertools import product

import numpy as np

from leasing.routing.model import FORBIDDEN, Ints, Network, Packs, Places, Table


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int64)


def table(
    supply: list[int],
    free: list[int],
    value: list[list[int | None]],
    hold: int = 0,
    mass: list[int] | None = None,
) -> Table:
    """`supply` counts packs; None is not permitted."""
    held = [[FORBIDDEN if v is None else v for v in row] for row in value]
    masses = ints(*(mass or [1] * len(supply)))
    shape = (len(supply), len(free))
    return Table(
        Packs(masses, ints(*supply)),
        ints(*free),
        np.array(held, dtype=np.int32).reshape(shape),
        hold,
    )


def best_of_all(one: Table) -> int:
    """The value of the best plan of whole packs, by trying all; for a mass of 1, of kilograms."""
    packs = [i for i, n in enumerate(one.classes.packs.tolist()) for _ in range(n)]
    outlets = range(-1, len(one.free_kg))
    best = -(10**18)
    for where in product(outlets, repeat=len(packs)):
        room = one.free_kg.tolist()
        total = 0
        for i, j in zip(packs, where, strict=True):
            mass = int(one.classes.mass_kg[i])
            value = one.hold if j < 0 else int(one.value[i, j])
            if j >= 0:
                room[j] -= mass
            if value == FORBIDDEN or (j >= 0 and room[j] < 0):
                break
            total += mass * value
        else:
            best = max(best, total)
    return best


def small_network(seed: int, classes: int = 20, outlets: int = 30) -> Network:
    """Classes and outlets in a square of 4 degrees, with little room."""
    random = np.random.default_rng(seed)

    def some(low: int, high: int, *size: int) -> Ints:
        return random.integers(low, high, size=size)

    offer = some(20_000, 60_000, 2, 2, outlets)
    offer[0, :, ::3] = FORBIDDEN
    return Network(
        classes=Packs(some(20, 60, classes), some(1, 6, classes)),
        at=Places(some(11_000_000, 11_400_000, classes), some(3_000_000, 3_400_000, classes)),
        chemistry=some(0, 2, classes),
        hazard=some(0, 2, classes),
        dispositions=some(1, 4, classes),
        outlets=Places(some(11_000_000, 11_400_000, outlets), some(3_000_000, 3_400_000, outlets)),
        free_kg=some(0, 250, outlets),
        closed=np.where(some(0, 10, outlets) == 0, 2, 0),
        takes_chemistries=some(1, 4, outlets),
        takes_hazards=np.where(some(0, 3, outlets) == 0, 3, 1),
        single_load_kg=np.where(some(0, 4, outlets) == 0, 40, 1000),
        offer=offer,
        freight=ints(14_000, 55_000),
        packing=ints(1_200, 6_500),
        circuity_percent=130,
        hold=-15_000,
    )
