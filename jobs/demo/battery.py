"""How the demo's packs age, and what they report. A stand-in for nature, not a forecast.

Assumptions, none of them measured: a second-life pack begins with 80 to 95 % of its rated
capacity and loses 2 to 4 points a year at a constant rate, used or not. In some packs a group
of cells fails one day, which costs 15 to 25 points at once. A shunt reads up to 1 % too much
or too little, always the same.

Once in a quarter a pack is emptied, rests, and is charged at about C/3: constant current, then
a taper at constant voltage. That is the charge from which `leasing.health.rules` reads a
capacity to within 4 %, from one reading every ten minutes.
"""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from math import cos, pi
from random import Random

from jobs.demo.model import Pack, Product
from leasing.batteries.codes import Chemistry
from leasing.kit.time import midnight
from schemas.telemetry import Reading

FIRST_SHARE = (0.80, 0.95)
FADE_PER_YEAR = (0.02, 0.04)
FAILURE_SHARE = (0.15, 0.25)
SENSOR_GAIN = (0.99, 1.01)

STEP = timedelta(minutes=10)
STEP_H = STEP / timedelta(hours=1)
HOURS_OF_CHARGE = 3
REST_STEPS = 4
# The taper ends at 0.045 C: above the dead band, below the current at which it counts as full.
TAPER = (0.6, 0.35, 0.2, 0.135)
TAPER_STEPS = sum((a + b) / 2 for a, b in pairwise((1.0, *TAPER)))

# Cell voltages along a charge, by share of the charge: straight lines between these points.
CURVES = {
    Chemistry.LFP: ((0.0, 2.95), (0.1, 3.25), (0.85, 3.38), (0.95, 3.60), (1.0, 3.60)),
    Chemistry.TERNARY: ((0.0, 2.95), (0.1, 3.50), (0.5, 3.75), (0.9, 4.20), (1.0, 4.20)),
}
EMPTY_REST_V = 2.90


def capacity_mah(pack: Pack, on: date) -> int:
    """What a pack really holds on a day."""
    years = (on - pack.bought_on).days / 365
    share = pack.first_share - pack.fade_per_year * years
    if pack.fails_on is not None and on >= pack.fails_on:
        share -= pack.failure_share
    return round(share * pack.product.rated_capacity_mah)


def quarterly_charge(pack: Pack, on: date, random: Random) -> list[Reading]:
    """Rest, a charge from empty to full in the early morning, rest."""
    product = pack.product
    capacity_ah = capacity_mah(pack, on) / 1000
    # As many whole steps as come nearest to C/3, at the current that makes them fit.
    steps = round(HOURS_OF_CHARGE * capacity_ah * 1000 / product.rated_capacity_mah / STEP_H)
    constant = max(1, steps - round(TAPER_STEPS))
    current_a = capacity_ah / ((constant + TAPER_STEPS) * STEP_H)
    currents = [current_a] * (constant + 1) + [current_a * part for part in TAPER]
    temperature_c = outdoors_c(on)
    at = midnight(on) + timedelta(hours=1)
    readings: list[Reading] = []
    charged_ah, before_a = 0.0, current_a

    def add(cell_v: float, amperes: float, share: float) -> None:
        readings.append(
            reading(pack, at + len(readings) * STEP, cell_v, amperes, share, temperature_c, random)
        )

    for _ in range(REST_STEPS):
        add(EMPTY_REST_V, 0.0, 0.0)
    for i, amperes in enumerate(currents):
        charged_ah += (before_a + amperes) / 2 * STEP_H if i else 0.0
        before_a = amperes
        share = min(1.0, charged_ah / capacity_ah)
        add(cell_voltage_v(product, share), amperes, share)
    for _ in range(2):
        add(CURVES[product.chemistry][-2][1] - 0.05, 0.0, 1.0)
    return readings


def reading(
    pack: Pack,
    at: datetime,
    cell_v: float,
    amperes: float,
    share: float,
    temperature_c: float,
    random: Random,
) -> Reading:
    return Reading(
        pack_id=pack.id,
        at=at.astimezone(UTC),
        voltage_v=round(pack.product.cells_in_series * (cell_v + random.uniform(0, 0.002)), 2),
        current_a=round(amperes * pack.sensor_gain, 2),
        soc_percent=round(100 * share, 1),
        temperature_c=round(temperature_c + random.uniform(-0.5, 0.5), 1),
    )


def cell_voltage_v(product: Product, share: float) -> float:
    curve = CURVES[product.chemistry]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if share <= x1:
            return y0 + (y1 - y0) * (share - x0) / (x1 - x0)
    return curve[-1][1]


def outdoors_c(on: date) -> float:
    """A heated cabinet in winter, a hot one in summer."""
    return 22 - 9 * cos(2 * pi * (on.timetuple().tm_yday - 20) / 365)
