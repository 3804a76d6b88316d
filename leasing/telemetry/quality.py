"""Readings that are not to be believed: stretches are noted, and their values left out of what is
evaluated.

All of it was seen in field data: a "cell" of 43.7 V, values that stand still for days, a state of
charge that falls while current flows in (../shared/health.md section 4, data quality).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leasing.telemetry.columns import HOUR_US, NO_CELL, Flags, Readings, bounds
from leasing.telemetry.rules import without

UNIT_JUMP, STUCK, SOC_CONTRADICTS = "unit_jump", "stuck", "soc_contradicts_current"

MOST_CELL_V, LEAST_CELL_V = 6.0, 0.05
"""No cell shows more; and one that shows less, but not zero, is in another unit (V for mV)."""
STUCK_US = 6 * HOUR_US
STUCK_MOVED_C = 0.10
"""As much of the rated capacity must have gone in or out that a value should have moved."""
CONTRADICTS_MOVED_C, CONTRADICTS_POINTS = 0.03, 5.0


@dataclass(frozen=True, slots=True)
class Pack:
    """What must be known of a pack to judge its readings."""

    cells_in_series: int
    rated_ah: float


@dataclass(frozen=True, slots=True)
class Flag:
    """A stretch of a pack's readings, both ends included, microseconds since 1970."""

    pack: int
    kind: str
    quantity: str
    from_us: int
    to_us: int
    readings: int


def judge(readings: Readings, packs: Sequence[Pack]) -> tuple[Readings, list[Flag]]:
    """Ordered readings without what is not to be believed, and what that was."""
    jumped = _unit_jumps(readings, packs)
    flags = [
        flag
        for name, wrong in jumped.items()
        for flag in _stretches(readings, UNIT_JUMP, name, wrong)
    ]
    good = without(readings, {k: v for k, v in jumped.items() if k in readings.scalars})
    if readings.cells_mv is not None and "cells_mv" in jumped:
        cells = readings.cells_mv.copy()
        cells[_cells_out(cells)] = NO_CELL
        good = Readings(good.pack, good.at, good.scalars, cells, good.temperatures_c)
    later: dict[str, Flags] = {}
    moved = _moved_c(good, packs)
    for name in ("voltage_v", "soc_percent"):
        if name in good.scalars:
            later[name] = _stuck(good, good.scalars[name], moved)
            flags += _stretches(good, STUCK, name, later[name])
    if "soc_percent" in good.scalars:
        wrong = _contradicting(good, moved)
        flags += _stretches(good, SOC_CONTRADICTS, "soc_percent", wrong)
        later["soc_percent"] = later["soc_percent"] | wrong
    return without(good, {k: v for k, v in later.items() if v.any()}), flags


def _unit_jumps(readings: Readings, packs: Sequence[Pack]) -> dict[str, Flags]:
    found = {}
    if "voltage_v" in readings.scalars:
        cells = np.array([pack.cells_in_series for pack in packs], np.float32)[readings.pack]
        cell_v = readings.scalars["voltage_v"] / cells
        found["voltage_v"] = (cell_v > MOST_CELL_V) | ((cell_v > 0) & (cell_v < LEAST_CELL_V))
    if readings.cells_mv is not None:
        found["cells_mv"] = np.asarray(_cells_out(readings.cells_mv).any(axis=1))
    return {name: wrong for name, wrong in found.items() if wrong.any()}


def _cells_out(cells: NDArray[np.int16]) -> Flags:
    found: Flags = (cells > 1000 * MOST_CELL_V) | ((cells > 0) & (cells < 1000 * LEAST_CELL_V))
    return found


def _moved_c(readings: Readings, packs: Sequence[Pack]) -> NDArray[np.float64]:
    """The charge that has flowed up to each reading, as a multiple of the rated capacity, positive
    for in; it starts anywhere."""
    amperes = np.nan_to_num(readings.scalar("current_a").astype(np.float64))
    hours = np.diff(readings.at, prepend=readings.at[:1]) / HOUR_US
    hours[1:][readings.pack[1:] != readings.pack[:-1]] = 0.0
    # Over an hour of silence nobody knows what flowed.
    charge = np.where(hours <= 1, amperes * hours, 0.0)
    rated = np.array([pack.rated_ah for pack in packs])[readings.pack]
    return np.cumsum(charge / rated)


def _stuck(readings: Readings, column: NDArray[np.float32], moved: NDArray[np.float64]) -> Flags:
    """Where a value stands still for six hours and longer while charge goes in or out. A battery
    that is full or empty shows that for as long as it is."""
    found = np.zeros(len(readings), np.bool_)
    same = np.zeros(len(readings), np.bool_)
    same[1:] = (readings.pack[1:] == readings.pack[:-1]) & (column[1:] == column[:-1])
    firsts = np.flatnonzero(~same)
    lasts = np.append(firsts[1:], len(readings)) - 1
    long = (readings.at[lasts] - readings.at[firsts] > STUCK_US) & np.isfinite(column[firsts])
    for first, last in zip(firsts[long].tolist(), lasts[long].tolist(), strict=True):
        swing = np.ptp(moved[first : last + 1])
        if swing > STUCK_MOVED_C:
            found[first : last + 1] = True
    return found


def _contradicting(readings: Readings, moved: NDArray[np.float64]) -> Flags:
    """The hours in which the state of charge went the other way than the charge."""
    found = np.zeros(len(readings), np.bool_)
    groups = np.array(bounds(readings.pack, readings.at // HOUR_US), np.int64).reshape(-1, 2)
    first, last = groups[:, 0], groups[:, 1] - 1
    soc = readings.scalars["soc_percent"].astype(np.float64)
    points, charge = soc[last] - soc[first], moved[last] - moved[first]
    up = (charge > CONTRADICTS_MOVED_C) & (points < -CONTRADICTS_POINTS)
    down = (charge < -CONTRADICTS_MOVED_C) & (points > CONTRADICTS_POINTS)
    for group in np.flatnonzero(up | down).tolist():
        found[first[group] : last[group] + 1] = True
    return found


def _stretches(readings: Readings, kind: str, quantity: str, wrong: Flags) -> Iterator[Flag]:
    if not wrong.any():
        return
    for first, last in bounds(readings.pack, wrong):
        if wrong[first]:
            yield Flag(
                pack=int(readings.pack[first]),
                kind=kind,
                quantity=quantity,
                from_us=int(readings.at[first]),
                to_us=int(readings.at[last - 1]),
                readings=last - first,
            )
