"""A market of a size that makes a hard problem, generated.

Nothing in it is real but the points of the prefectures. Warehouses of some 5,500 packs hold eight
models, made in three years, most at 70 to 95 % of their rating; towers want 51.2 V, a few cabins
24 V, stores and vehicles 345.6 V; all want about twice what there is. Rents scatter by a quarter
and residual values by a tenth, and ratios between plans depend on that. The same arguments give the
same market on every machine.
"""

from dataclasses import replace
from math import cos, exp, log, pi, sqrt
from random import Random
from typing import TypeAlias

import numpy as np

from leasing.market.model import STEP, Bins, Ints, Market, Models, Needs
from leasing.outlets.generator import covered_units, weight
from leasing.regions.model import Prefecture

NOTE = "generated: no pack, site or rent in it is real"
SEED = 20261124

PACKS_A_WAREHOUSE = 5_500
"""So that a bin holds a dozen packs, whatever the size."""
MADE = (2018, 2019, 2020)
MADE_SHARES = (0.3, 0.4, 0.3)
EXPECTED_PERCENT = 10
RETURNED_LOT = 110
"""Packs that come back together."""
GRADES = (26, 40)
"""65.0 % to below 102.5 %."""
MODELS = Models(
    voltage_mv=np.array([51_200] * 5 + [25_600] + [345_600] * 2),
    energy_wh=np.array([2_560, 5_120, 5_120, 7_680, 10_240, 5_120, 17_280, 34_560]),
    mass_kg=np.array([26, 46, 50, 70, 92, 47, 160, 320]),
    fade=np.array([18, 20, 23, 20, 18, 22, 25, 25]),
    cold_share=np.array(
        [
            *([1000, 880, 750, 0], [1000, 880, 750, 0], [1000, 900, 800, 700]),
            *([1000, 880, 750, 0], [1000, 880, 750, 0], [1000, 880, 750, 0]),
            *([1000, 920, 850, 0], [1000, 920, 850, 0]),
        ]
    ),
)
MODEL_SHARES = (0.10, 0.30, 0.12, 0.16, 0.12, 0.06, 0.08, 0.06)
VOLTAGES = ((51_200, 0.82), (24_000, 0.06), (336_000, 0.12))
"""24 and 336 V are what is asked for; packs may lie 8 % off."""
TOLERANCE_PERCENT = 8
FREIGHT = 14
"""0.0014 CNY/(kg·km)."""
CIRCUITY_PERCENT = 130


def national(needs: int, packs: int, seed: int = SEED) -> Market:
    """So many needs before so many packs."""
    random = Random(seed)
    units = covered_units()
    ladder = np.cumsum([weight(unit) for unit in units])
    houses = sorted(
        {
            pick_unit(random, units, ladder).adcode
            for _ in range(max(1, round(packs / PACKS_A_WAREHOUSE)))
        }
    )
    places = [unit for unit in units if unit.adcode in houses]
    return Market(
        longitude=whole([round(1e5 * unit.longitude) for unit in places]),
        latitude=whole([round(1e5 * unit.latitude) for unit in places]),
        models=MODELS,
        bins=bins_of(random, len(places), packs),
        needs=needs_of(random, units, ladder, needs),
        freight=FREIGHT,
        circuity_percent=CIRCUITY_PERCENT,
        voltage_tolerance_percent=TOLERANCE_PERCENT,
    )


def bins_of(random: Random, places: int, packs: int) -> Bins:
    counted: dict[tuple[int, ...], int] = {}
    for lot in lots(random, places, packs):
        place, model, made, day, many, middle, spread = lot
        for _ in range(many):
            soh = middle + spread * gauss(random)
            grade = min(GRADES[1], max(GRADES[0], int(1000 * soh) // STEP))
            key = (place, model, MADE[made], day, grade)
            counted[key] = counted.get(key, 0) + 1
    keys = sorted(counted)
    columns = np.array(keys, dtype=np.int64).reshape(-1, 5).T.copy()
    residual = [
        round(MODELS.energy_wh[model] * STEP * grade / 1000 * 9.0 * exp(0.1 * gauss(random)))
        for _, model, _, _, grade in keys
    ]
    return Bins(
        place=columns[0],
        model=columns[1],
        made=columns[2],
        free_day=columns[3],
        grade=columns[4],
        packs=whole([counted[key] for key in keys]),
        residual=whole(residual),
    )


Lot: TypeAlias = tuple[int, int, int, int, int, float, float]


def lots(random: Random, places: int, packs: int) -> list[Lot]:
    """Place, model, make, day, packs, and their state of health: middle and spread. What is
    expected back comes in lots, as contracts end."""
    expected = packs * EXPECTED_PERCENT // 100
    found: list[Lot] = []
    while expected > 0:
        many = min(expected, RETURNED_LOT)
        expected -= many
        kind = (
            int(places * random.random()),
            pick(random, MODEL_SHARES),
            pick(random, MADE_SHARES),
        )
        found.append((*kind, 30 + 30 * int(2 * random.random()), many, 0.84, 0.03))
    for _ in range(packs * (100 - EXPECTED_PERCENT) // 100):
        kind = (
            int(places * random.random()),
            pick(random, MODEL_SHARES),
            pick(random, MADE_SHARES),
        )
        found.append((*kind, 0, 1, 0.88 - 0.03 * (2 - kind[2]), 0.045))
    return found


def needs_of(random: Random, units: tuple[Prefecture, ...], ladder: Ints, needs: int) -> Needs:
    rows = []
    for _ in range(needs):
        unit = pick_unit(random, units, ladder)
        voltage = VOLTAGES[pick(random, tuple(share for _, share in VOLTAGES))][0]
        load_w = {51_200: 4_200, 24_000: 1_800, 336_000: 16_000}[voltage] * exp(0.5 * gauss(random))
        hours = (3, 4, 6, 8, 10)[pick(random, (0.4, 0.2, 0.2, 0.1, 0.1))]
        energy = max(500, round(load_w * hours / 0.76))
        months = 12 * (2 + int(5 * random.random()))
        rate = 4_800 * exp(0.25 * gauss(random))
        north = unit.latitude
        cold = 0 if north < 28 else 1 if north < 34 else 2 if north < 43 else 3
        rows.append(
            (
                *(round(1e5 * unit.longitude), round(1e5 * north), voltage, energy, cold),
                *(4 + int(29 * random.random()), months, 120 if north < 26 else 100),
                *(30 * int(4 * random.random()), round(rate * energy / 1000 * months / 12), 100),
            )
        )
    columns = np.array(rows, dtype=np.int64).reshape(-1, 11).T.copy()
    return Needs(*columns)


def with_weights(market: Market, weights: Ints) -> Market:
    """The same market with other priorities."""
    return replace(market, needs=replace(market.needs, weight=weights))


def pick_unit(random: Random, units: tuple[Prefecture, ...], ladder: Ints) -> Prefecture:
    return units[int(np.searchsorted(ladder, random.random() * ladder[-1], "right"))]


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


def whole(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
