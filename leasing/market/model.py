"""What is to be matched, as arrays: bins of packs that are alike, and needs of sites.

A string wants packs of one model and chemistry, of close state of health and age. So packs are
counted in bins, (place, model, year of make, day they are free, 2.5 points of state of health), and
a need is served from a *window*: two neighbouring bins of one *chain*, which differ in the state of
health alone. A need takes k packs of a window,

    usable = energy · (lower edge of the window − fade until the end of the term) · cold share
    k = ceil(need / usable)            at most the slots, and at most the packs of the window
    state of health at the end of the term at least 50 %
    value = (rent − k · (freight + residual value given up)) · weight / 100, rounded down

or is not served. All numbers are whole: watt-hours, thousandths, fen.
"""

from dataclasses import dataclass, fields
from hashlib import sha256
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from leasing.kit.errors import Invalid

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

STEP = 25
"""Width of a bin of state of health, thousandths."""
LEAST_SOH = 500
"""State of health below which no pack may fall within a term, thousandths: industry practice puts
the end of second life between 40 and 60 % (domain notes 2.7); the middle is taken."""
COLD_BANDS = (0, -10, -20)
"""Lowest temperatures, °C, from which on a band of `Models.cold_share` holds; colder is the last
band, in which only packs with a heater work."""
IMPOSSIBLE = -(2**62)
"""The value of a pair that may not be."""
MOST_FEN = 2**40
"""Rents and prices are below this, so that sums stay in 64 bits."""


class BadMarket(Invalid):
    code = "market_instance"
    title = "This is not a matching problem"


@dataclass(frozen=True)
class Models:
    """Models of packs. `fade` is lost a year, thousandths; `cold_share[model, band]` is the share
    of its energy that a pack gives in a band of temperature, thousandths, 0 for none."""

    voltage_mv: Ints
    energy_wh: Ints
    mass_kg: Ints
    fade: Ints
    cold_share: Ints


@dataclass(frozen=True)
class Bins:
    """Packs that are alike, in order of chain and then grade. `grade` times STEP is the lower edge
    of the state of health; `free_day` counts from the day of the plan; `residual` is what a pack is
    worth in its next use otherwise, fen. `place` and `model` are numbers."""

    place: Ints
    model: Ints
    made: Ints
    free_day: Ints
    grade: Ints
    packs: Ints
    residual: Ints


@dataclass(frozen=True)
class Needs:
    """What sites need: a voltage, usable energy at the end of the term, at most so many packs.
    `rent` is what is paid over the whole term, fen; `heat_percent` multiplies the fade; `weight`
    is the priority in per cent of value; `start_day` is the last day on which packs may come."""

    longitude: Ints
    latitude: Ints
    voltage_mv: Ints
    energy_wh: Ints
    band: Ints
    slots: Ints
    months: Ints
    heat_percent: Ints
    start_day: Ints
    rent: Ints
    weight: Ints


@dataclass(frozen=True)
class Market:
    """Points in 0.00001 degrees; `freight` in 0.0001 fen/(kg·km) of road, which is
    `circuity_percent` of the great circle."""

    longitude: Ints
    latitude: Ints
    models: Models
    bins: Bins
    needs: Needs
    freight: int
    circuity_percent: int
    voltage_tolerance_percent: int

    def __post_init__(self) -> None:
        check(self)

    @property
    def chain(self) -> Ints:
        """Which chain each bin is of, counted from 0."""
        b = self.bins
        key = np.stack([b.place, b.model, b.made, b.free_day])
        new = (key[:, 1:] != key[:, :-1]).any(axis=0)
        return np.concatenate([np.zeros(min(1, key.shape[1]), dtype=np.int64), np.cumsum(new)])

    @property
    def upper(self) -> Ints:
        """The bin above, of each bin's window; the bin itself where there is none."""
        n = len(self.bins.packs)
        if n == 0:
            return np.zeros(0, dtype=np.int64)
        chain, grade = self.chain, self.bins.grade
        here = np.arange(n)
        above = np.minimum(here + 1, n - 1)
        is_next = (chain[above] == chain) & (grade[above] == grade + 1)
        return np.where(is_next, above, here)


@dataclass(frozen=True)
class Plan:
    """Need `need[i]` gets `packs[i]` packs of the window that begins with bin `window[i]`."""

    need: Ints
    window: Ints
    packs: Ints


def none() -> Plan:
    nothing = np.zeros(0, dtype=np.int64)
    return Plan(nothing, nothing, nothing)


def check(one: Market) -> None:
    for part in (one.models, one.bins, one.needs):
        if len({len(getattr(part, field.name)) for field in fields(part)}) > 1:
            raise BadMarket("all arrays of models, of bins and of needs are of one length each")
    bins, needs, models = one.bins, one.needs, one.models
    if models.cold_share.shape != (len(models.fade), len(COLD_BANDS) + 1):
        raise BadMarket("cold_share has a row for each model and a column for each band")
    inside(bins.model, len(models.fade), "model")
    inside(bins.place, len(one.longitude), "place")
    inside(needs.band, len(COLD_BANDS) + 1, "band")
    for name, values, least in (
        ("packs", bins.packs, 0),
        ("residual", bins.residual, 0),
        ("grade", bins.grade, 0),
        ("energy_wh", needs.energy_wh, 1),
        ("energy_wh of models", models.energy_wh, 1),
        ("slots", needs.slots, 1),
        ("months", needs.months, 1),
        ("rent", needs.rent, 0),
        ("weight", needs.weight, 0),
        ("fade", models.fade, 0),
    ):
        if len(values) and (values.min() < least or values.max() >= MOST_FEN):
            raise BadMarket(f"{name} is {least} at least")
    keys = np.stack([bins.place, bins.model, bins.made, bins.free_day, bins.grade])
    order = np.lexsort(keys[::-1])
    if (order != np.arange(len(order))).any() or (np.diff(keys, axis=1) == 0).all(axis=0).any():
        raise BadMarket("bins come in order of place, model, make, day and grade, each once")


def inside(values: Ints, known: int, name: str) -> None:
    if len(values) and (values.min() < 0 or values.max() >= known):
        raise BadMarket(f"a {name} is named that is not there")


def digest(one: Market) -> str:
    """SHA-256 of all that makes a problem, the same on every machine."""
    total = sha256()
    for part in (one, one.models, one.bins, one.needs):
        for field in fields(part):
            held = getattr(part, field.name)
            if isinstance(held, int | np.ndarray):
                array = np.ascontiguousarray(np.asarray(held, dtype="<i8"))
                total.update(f"{field.name}{array.shape}".encode())
                total.update(array.tobytes())
    return total.hexdigest()


def plan_id(of: str, plan: Plan) -> str:
    """Equal plans of equal problems have one id: the first 16 digits of a SHA-256."""
    total = sha256(of.encode())
    for array in (plan.need, plan.window, plan.packs):
        total.update(np.ascontiguousarray(array, dtype="<i8").tobytes())
    return total.hexdigest()[:16]
