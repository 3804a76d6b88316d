"""Capacity of a small cell from the middle of a discharge: what an outage shows of a battery.

As a cell ages less charge passes between two voltages under the same load. How much less per
ampere- hour of capacity is much alike for cells of one type; where each begins is not. A measured
capacity of the first cycles (commissioning) removes that, which is worth more than any model:
then only the change is read off the charge between 3.88 and 3.52 V.

What it cannot do: compare discharges at different currents or temperatures, and say much of a
type from two cells of it; the intervals say so.
"""

from typing import NamedTuple

import numpy as np

from leasing.health.estimators import conformal
from leasing.health.estimators.charge import charge_of, robust_line
from leasing.health.estimators.model import (
    Array,
    Parameters,
    Prediction,
    Table,
    column,
    names,
    require,
    rows_of,
)

TASK = "nasa_pcoe_18650"
COLUMNS = ("unit", "kind", "cycle", "t_s", "voltage_v", "current_a")
SEEN_V = (3.5, 3.9)
"""No reading outside is looked at."""
WINDOW_V = (3.52, 3.88)
LOAD_A = 1.0
"""Readings at less are rest: after the load is gone the voltage comes back into the window, and
when it does tells when the discharge ended. That is no partial discharge."""
MIN_POINTS = 20
COMMISSIONING = (1, 2, 3)
FLOOR = 0.01
"""No half interval below this share of the capacity: tests repeat no better."""

Capacities = dict[tuple[str, int], float]


class Model(NamedTuple):
    """Capacity = slope·ΔQ + start, and as shares r of what they were when new: base + gain·r. A
    cell's window widens over its first cycles while its capacity does not: base + gain is below 1.
    Halves of 90 % intervals: in Ah; of the gain; of the share."""

    slope: float
    start_ah: float
    range_ah: tuple[float, float]
    half_ah: float
    base: float
    gain: float
    gain_half: float
    share_half: float


def window_charge(t_s: Array, voltage_v: Array, current_a: Array) -> float | None:
    """Ah discharged between 3.88 and 3.52 V under load, or None if it was not all seen.

    >>> t = np.arange(0.0, 3700.0, 10.0)
    >>> round(window_charge(t, 3.9 - 0.4 * t / 3600, np.full(len(t), -2.0)), 3)
    1.8
    """
    low, high = SEEN_V
    seen = (voltage_v <= high) & (voltage_v >= low) & (current_a < -LOAD_A)
    if seen.sum() < MIN_POINTS:
        return None
    volts, moved = voltage_v[seen], -charge_of(t_s[seen], current_a[seen])
    passed = [_crossing(volts, moved, level) for level in (WINDOW_V[1], WINDOW_V[0])]
    if passed[0] is None or passed[1] is None:
        return None
    return passed[1] - passed[0]


def _crossing(volts: Array, moved: Array, level: float) -> float | None:
    under = np.flatnonzero(volts < level)
    if not len(under) or under[0] == 0:
        return None
    k = int(under[0])
    share = (volts[k - 1] - level) / (volts[k - 1] - volts[k])
    return float(moved[k - 1] + share * (moved[k] - moved[k - 1]))


def windows(table: Table) -> dict[str, dict[int, float | None]]:
    """The charge of every discharge's window, by unit and cycle."""
    require(table, COLUMNS, TASK)
    discharges = names(table, "kind") == "discharge"
    cycles = np.asarray(table["cycle"])
    t_s, volts, amperes = (column(table, n) for n in ("t_s", "voltage_v", "current_a"))
    found: dict[str, dict[int, float | None]] = {}
    for unit, rows in rows_of(names(table, "unit")).items():
        mine = rows[discharges[rows]]
        found[unit] = {}
        for cycle in np.unique(cycles[mine]):
            at = mine[cycles[mine] == cycle]
            at = at[np.argsort(t_s[at], kind="stable")]
            found[unit][int(cycle)] = window_charge(t_s[at], volts[at], amperes[at])
    return found


class Unit(NamedTuple):
    moved_ah: Array
    capacity_ah: Array
    share_moved: Array
    share_left: Array


def _units(table: Table, capacities: Capacities) -> list[Unit]:
    units = []
    for unit, seen in windows(table).items():
        known = [c for c in seen if seen[c] is not None and (unit, c) in capacities]
        moved = np.array([seen[c] for c in known], dtype=np.float64)
        held = np.array([capacities[unit, c] for c in known])
        early = np.isin(known, COMMISSIONING)
        later = ~early
        units.append(
            Unit(
                moved,
                held,
                moved[later] / moved[early].mean(),
                held[later] / held[early].mean(),
            )
        )
    return units


def _fit(units: list[Unit]) -> Model:
    moved = np.concatenate([u.moved_ah for u in units])
    slope, start = robust_line(moved, np.concatenate([u.capacity_ah for u in units]))
    share_moved = np.concatenate([u.share_moved for u in units])
    gain, base = robust_line(share_moved, np.concatenate([u.share_left for u in units]))
    extent = (float(moved.min()), float(moved.max()))
    return Model(slope, start, extent, 0.0, base, gain, 0.0, 0.0)


def fit_values(table: Table, capacities: Capacities) -> Model:
    """Fit without intervals: one unit is enough for that."""
    return _fit(_units(table, capacities))


def fit(table: Table, capacities: Capacities) -> Model:
    """Fit on all units; intervals from the errors of each while it was left out."""
    units = _units(table, capacities)
    errors, gains, scatter = [], [], []
    for k, unit in enumerate(units):
        one = _fit(units[:k] + units[k + 1 :])
        errors.append(one.slope * unit.moved_ah + one.start_ah - unit.capacity_ah)
        own = _fit([unit])
        gains.append(np.array([one.gain - own.gain]))
        scatter.append(np.abs(one.base + one.gain * unit.share_moved - unit.share_left))
    return _fit(units)._replace(
        half_ah=conformal.between_units(errors),
        gain_half=conformal.between_units(gains),
        share_half=float(np.quantile(np.concatenate(scatter), conformal.COVERAGE)),
    )


def predict(table: Table, model: Model, commissioned: Capacities | None = None) -> list[Prediction]:
    """Capacity in Ah of every discharge of which the window was seen.

    With `commissioned` (measured capacities) those of cycles 1 to 3 are used, of no others; these
    cycles themselves are not predicted. A unit without them is predicted as if none were given.
    """
    found = []
    for unit, seen in windows(table).items():
        given = {
            cycle: commissioned[unit, cycle]
            for cycle in COMMISSIONING
            if commissioned and (unit, cycle) in commissioned and seen.get(cycle) is not None
        }
        for cycle, moved in seen.items():
            if moved is None or cycle in given:
                continue
            if given:
                new = float(np.mean([seen[c] for c in given]))
                at = relative(moved / new, float(np.mean(list(given.values()))), model)
            else:
                at = absolute(moved, model)
            found.append(Prediction(unit, cycle, *at))
    return found


def absolute(moved_ah: float, model: Model) -> tuple[float, float, float]:
    """Capacity and interval from the window's charge alone, in Ah. Outside of what was seen the
    interval grows by what the line itself would add."""
    capacity = model.slope * moved_ah + model.start_ah
    low, high = model.range_ah
    beyond = max(low - moved_ah, moved_ah - high, 0.0)
    half = max(model.half_ah + abs(model.slope) * beyond, FLOOR * capacity)
    return capacity, capacity - half, capacity + half


def relative(share_moved: float, new_ah: float, model: Model) -> tuple[float, float, float]:
    """The same from what the window holds as a share of what it held when new.

    The gain is off by an unknown amount for each cell, so the interval grows with what was lost.
    """
    share = model.base + model.gain * share_moved
    half = np.hypot(model.gain_half * (share_moved - 1), max(model.share_half, FLOOR))
    capacity = new_ah * share
    return capacity, capacity - new_ah * float(half), capacity + new_ah * float(half)


def dump(model: Model) -> Parameters:
    return {
        name: [round(v, 6) for v in value] if isinstance(value, tuple) else round(value, 6)
        for name, value in model._asdict().items()
    }


def load(parameters: Parameters) -> Model:
    low, high = np.array(parameters["range_ah"], dtype=np.float64).tolist()
    rest = {k: float(str(v)) for k, v in parameters.items() if k != "range_ah"}
    return Model(range_ah=(low, high), **rest)
