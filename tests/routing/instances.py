"""Small problems of routing, made up."""

from dataclasses import replace
from itertools import product

import numpy as np

from leasing.routing import stages
from leasing.routing.model import FORBIDDEN, Ints, Network, Packs, Places, Stage, Table


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


def with_firms(network: Network, seed: int, firms: int = 4, share: float = 0.6) -> Network:
    """The network with one or two firms behind most outlets. All firms together treat about this
    share of the packs; some have a limit for each chemistry, some one for all, the last has none.
    """
    random = np.random.default_rng(1_000 + seed)
    ways = sorted(
        (outlet, int(firm))
        for outlet in range(len(network.free_kg))
        if outlet % 7
        for firm in random.choice(firms, random.integers(1, 3), replace=False)
    )
    outlet, firm = np.array(ways, dtype=np.int64).T.copy()
    price = random.integers(20_000, 60_000, (2, 2, firms))
    price[0, :, ::3] = FORBIDDEN
    each = share * int(network.classes.supply_kg.sum()) / firms
    limits = [
        (one, chemistries, round(each * random.uniform(0.2, 1.2)))
        for one in range(firms - 1)
        for chemistries in ((1, 2) if one % 2 else (3,))
    ]
    limit_firm, limit_chemistries, limit_kg = np.array(limits, dtype=np.int64).T.copy()
    somewhere = random.integers(0, 400_000, (2, firms))
    stage = Stage(
        firms=Places(11_000_000 + somewhere[0], 3_000_000 + somewhere[1]),
        price=price,
        outlet=outlet,
        firm=firm,
        leg=random.integers(0, 2, len(outlet)),
        freight=14_000,
        packing=500,
        limit_firm=limit_firm,
        limit_chemistries=limit_chemistries,
        limit_kg=limit_kg,
    )
    return stages.folded(replace(network, stage=stage))
