"""Returned packs of a whole country and the outlets for them, generated.

The outlets are those of `outlets.generator`: nothing in them is real but the points of the
prefectures. Offers, freight, packing, room and the packs themselves are assumptions of a size that
makes a hard problem, and say nothing about any market: 70 % of sites are towers with light packs,
30 % depots with heavy ones; 35 % of the sites lie in twelve prefectures, as after a typhoon; offers
scatter by 8 % and by province. The same arguments give the same problem on every machine.
"""

from dataclasses import dataclass, replace
from datetime import date
from math import cos, exp, log, pi, radians, sin, sqrt
from random import Random

import numpy as np

from leasing.outlets import generator as outlets
from leasing.regions.model import Prefecture
from leasing.routing.model import FORBIDDEN, Against, Ints, Network, Packs, Places

NOTE = "generated: no outlet, pack or price in it is real"
AS_OF = date(2026, 11, 23)
SEED = 20261123

CHEMISTRIES = ("B", "E", "C", "A")
"""Letters of GB/T 34014: iron phosphate, ternary, manganate, nickel metal hydride."""
HAZARDS = ("intact", "damaged", "critical")
DISPOSITIONS = ("redeploy", "repair", "recycle")
REDEPLOY, REPAIR, RECYCLE = 1, 2, 4

RECYCLING_OFFERS = (31_200, 140_000, 42_000, 61_000)
"""Middle offers for recycling by chemistry, 0.0001 CNY/kg."""
REDEPLOYMENT_OFFERS = (46_000, 151_000, 0, 0)
REPAIR_OFFERS = (35_000, 143_000, 0, 0)
SPREAD = 0.08
FREIGHT = (14_000, 26_000, 55_000)
"""By hazard, 0.0000001 CNY/(kg·km) of road."""
PACKING = (1_200, 6_500, 21_000)
"""By hazard, 0.0001 CNY/kg."""
CIRCUITY_PERCENT = 130
HOLD = -15_000
FREE_SHARE = {"collecting": (0.3, 0.9), "concentrated": (0.02, 0.24)}
"""Of the limit, in all some 34,000 t."""
SINGLE_LOAD_KG = {"collecting": 600, "concentrated": 5_000}

TOWER_KG = (38, 42, 46, 50, 58)
DEPOT_KG = (240, 290, 330, 390, 450)
WAVE = 12
WAVE_SHARE = 0.35


@dataclass(frozen=True)
class Generated:
    network: Network
    outlet_codes: tuple[str, ...]
    note: str = NOTE


def national(packs: int, seed: int = SEED, fill: float | None = None) -> Generated:
    """So many packs before all 10,235 outlets; `fill` scales the room of the open outlets so that
    the packs take this share of it."""
    random = Random(seed)
    network, codes = outlet_side(random)
    network = pack_side(random, network, packs)
    if fill is not None:
        is_open = network.closed == 0
        share = int(network.classes.supply_kg.sum()) / fill / int(network.free_kg[is_open].sum())
        network = replace(network, free_kg=np.floor(network.free_kg * share).astype(np.int64))
    return Generated(network, codes)


def outlet_side(random: Random) -> tuple[Network, tuple[str, ...]]:
    """All outlets, and no packs yet."""
    country = outlets.generate(AS_OF)
    provinces: dict[str, float] = {}
    offer = np.full((len(DISPOSITIONS), len(CHEMISTRIES), len(country.outlets)), FORBIDDEN)
    for j, one in enumerate(country.outlets):
        term = provinces.setdefault(one.adcode[:2], 0.05 * gauss(random))
        redeploys = one.kind == "concentrated" and random.random() < 0.3
        for c in range(len(CHEMISTRIES)):
            factor = exp(term + SPREAD * gauss(random))
            offer[2, c, j] = round(RECYCLING_OFFERS[c] * factor)
            if redeploys and REDEPLOYMENT_OFFERS[c]:
                offer[0, c, j] = round(REDEPLOYMENT_OFFERS[c] * factor)
                offer[1, c, j] = round(REPAIR_OFFERS[c] * factor)
    lapsed = [
        any(
            paper.kind != "listing" and paper.valid_to is not None and paper.valid_to <= AS_OF
            for paper in firm.qualifications
        )
        for firm in country.recyclers
    ]
    closed = [Against.QUAL_EXPIRED if lapsed[one.recycler] else 0 for one in country.outlets]
    nothing = np.zeros(0, dtype=np.int64)
    network = Network(
        classes=Packs(nothing, nothing),
        at=Places(nothing, nothing),
        chemistry=nothing,
        hazard=nothing,
        dispositions=nothing,
        outlets=places([(one.longitude, one.latitude) for one in country.outlets]),
        free_kg=whole(
            [
                round(one.store_limit_kg * between(random, FREE_SHARE[one.kind]))
                for one in country.outlets
            ]
        ),
        closed=whole(closed),
        takes_chemistries=whole([bits(CHEMISTRIES, one.chemistries) for one in country.outlets]),
        takes_hazards=whole([bits(HAZARDS, one.hazard_classes) for one in country.outlets]),
        single_load_kg=whole([SINGLE_LOAD_KG[one.kind] for one in country.outlets]),
        offer=offer,
        freight=whole(list(FREIGHT)),
        packing=whole(list(PACKING)),
        circuity_percent=CIRCUITY_PERCENT,
        hold=HOLD,
    )
    return network, tuple(one.code for one in country.outlets)


def pack_side(random: Random, network: Network, packs: int) -> Network:
    """Packs at sites, equal ones of a site as one class."""
    units = outlets.covered_units()
    wave = [units[int(random.random() * len(units))] for _ in range(WAVE)]
    ladder = np.cumsum([outlets.weight(unit) for unit in units])
    rows: list[tuple[int, ...]] = []
    left = packs
    while left > 0:
        if random.random() < WAVE_SHARE:
            unit = wave[int(random.random() * WAVE)]
        else:
            unit = units[int(np.searchsorted(ladder, random.random() * ladder[-1], "right"))]
        longitude, latitude = scattered(random, unit)
        tower = random.random() < 0.7
        masses = TOWER_KG if tower else DEPOT_KG
        mass = masses[int(random.random() * len(masses))]
        chemistry = pick(random, (0.88, 0.04, 0.05, 0.03) if tower else (0.55, 0.41, 0.03, 0.01))
        allowed = RECYCLE | (REDEPLOY | REPAIR if random.random() < 0.25 else 0)
        many = min(left, 1 + int(random.random() * 6))
        hazards = [pick(random, (0.945, 0.049, 0.006)) for _ in range(many)]
        for hazard in sorted(set(hazards)):
            may = allowed if hazard == 0 else RECYCLE
            count = hazards.count(hazard)
            rows.append((longitude, latitude, chemistry, hazard, may, mass, count))
        left -= many
    columns = np.array(sorted(rows), dtype=np.int64).reshape(-1, 7).T.copy()
    return replace(
        network,
        classes=Packs(columns[5], columns[6]),
        at=Places(columns[0], columns[1]),
        chemistry=columns[2],
        hazard=columns[3],
        dispositions=columns[4],
    )


def scattered(random: Random, unit: Prefecture) -> tuple[int, int]:
    """A point within 60 km of the prefecture's, nearer ones likelier, 0.00001 degrees."""
    reach, angle = 60 / outlets.KM_PER_DEGREE * random.random(), 2 * pi * random.random()
    east = reach * cos(angle) / cos(radians(unit.latitude))
    return round(1e5 * (unit.longitude + east)), round(1e5 * (unit.latitude + reach * sin(angle)))


def between(random: Random, ends: tuple[float, float]) -> float:
    return ends[0] + (ends[1] - ends[0]) * random.random()


def gauss(random: Random) -> float:
    """Box and Muller's; `Random.gauss` may change from one Python to the next."""
    return sqrt(-2 * log(1 - random.random())) * cos(2 * pi * random.random())


def pick(random: Random, shares: tuple[float, ...]) -> int:
    roll = random.random()
    for place, share in enumerate(shares):
        roll -= share
        if roll < 0:
            return place
    return len(shares) - 1


def bits(known: tuple[str, ...], taken: tuple[str, ...]) -> int:
    return sum(1 << place for place, name in enumerate(known) if name in taken)


def whole(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def places(points: list[tuple[float, float]]) -> Places:
    return Places(
        whole([round(1e5 * longitude) for longitude, _ in points]),
        whole([round(1e5 * latitude) for _, latitude in points]),
    )
