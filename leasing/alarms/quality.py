"""Whether readings can be true: without this every other alarm is noise."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.alarms.days import medians
from leasing.alarms.model import Bools, Change, Floats, Limits, Readings
from schemas.alarms import AlarmKind, AlarmSeverity

Places = NDArray[np.int_]
CELL_LOW_MV, CELL_HIGH_MV = 500, 4600
"""No cell that works is outside."""
JUMP_FACTOR = 5
"""Units differ by ten at least; no cell changes by five and lives."""


def cleaned(rows: Readings, limits: Limits) -> tuple[Readings, Bools]:
    """The rows with impossible voltages taken out, and in which rows a unit had jumped (millivolts
    for volts, tenths for units)."""
    cells = rows.cells_mv
    possible = (cells >= CELL_LOW_MV) & (cells <= CELL_HIGH_MV)
    with np.errstate(invalid="ignore"):
        other_unit = (cells > CELL_HIGH_MV * 2) | (
            (cells > 0) & (cells < CELL_LOW_MV / JUMP_FACTOR)
        )
    jumped = np.asarray(other_unit.any(axis=1))
    cells = cells if possible.all() else np.where(possible, cells, np.nan)
    expected = expected_v(cells, limits)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = rows.voltage_v / expected
        odd = (ratio > JUMP_FACTOR) | ((ratio < 1 / JUMP_FACTOR) & (rows.voltage_v > 0))
    clean = msgspec.structs.replace(
        rows, cells_mv=cells, voltage_v=np.where(odd, np.nan, rows.voltage_v)
    )
    return clean, jumped | odd


def expected_v(cells: Floats, limits: Limits) -> Floats:
    """What a pack's voltage should be by its cells: those that are missing are taken for the
    median. Without cells, by a cell's middle."""
    count = cells.shape[1]
    if not count:
        return np.full(len(cells), 3.3 * (limits.cells_in_series or math.nan))
    present = np.sum(~np.isnan(cells), axis=1)
    total = np.nansum(cells, axis=1)
    if (few := present < count).any():
        total[few] += (count - present[few]) * medians(cells[few], axis=1)
    return np.asarray(np.where(present * 2 >= count, total, np.nan) / 1000)


def contradiction_percent(rows: Readings, limits: Limits) -> Floats:
    """By how much the pack's voltage differs from its cells' sum; NaN where either is missing."""
    if not rows.cells_mv.shape[1]:
        return np.full(len(rows), np.nan)
    expected = expected_v(rows.cells_mv, limits)
    return np.asarray(100 * np.abs(rows.voltage_v / expected - 1))


# A value that stands still


LOOK_S = 1800


class Stuck(msgspec.Struct, frozen=True, array_like=True):
    """Since when each cell shows the same value, and how far the others went in the meantime."""

    slot: int = -1
    values: tuple[float, ...] = ()
    since_s: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    told: tuple[int, ...] = ()


def stuck(rows: Readings, carried: Stuck, limits: Limits) -> tuple[list[Change], Stuck]:
    """Cells that show one value for hours while the pack's median moves. One row in half an
    hour is looked at."""
    if not rows.cells_mv.shape[1]:
        return [], carried
    slots = np.floor(rows.at_s / LOOK_S).astype(int)
    picked = np.flatnonzero(np.diff(slots, prepend=carried.slot) > 0)
    changes: list[Change] = []
    if len(picked) and (moved := moving(rows, picked, carried, limits)) is not None:
        return [], msgspec.structs.replace(moved, slot=int(slots[picked[-1]]))
    for row in picked.tolist():
        at_s, cells = float(rows.at_s[row]), rows.cells_mv[row]
        found, carried = look(at_s, cells, carried, limits)
        carried = msgspec.structs.replace(carried, slot=int(slots[row]))
        changes += found
    return changes, carried


def moving(rows: Readings, picked: Places, carried: Stuck, limits: Limits) -> Stuck | None:
    """What is carried on when every cell is there and none stands still for long, which is nearly
    always; all rows at once. None for others: they are looked at one by one."""
    cells, at_s = rows.cells_mv[picked], rows.at_s[picked]
    if carried.told or len(carried.values) != cells.shape[1] or np.isnan(cells).any():
        return None
    same = cells == np.vstack([carried.values, cells[:-1]])
    row = np.arange(len(cells))[:, None]
    start = np.maximum.accumulate(np.where(same, -1, row), axis=0)
    since = np.where(start < 0, carried.since_s, at_s[start])
    if np.any(at_s[:, None] - since > limits.stuck_s):
        return None
    middle = medians(cells, axis=1)
    low = np.minimum.accumulate(middle[::-1])[::-1]
    high = np.maximum.accumulate(middle[::-1])[::-1]
    last = start[-1]
    begun = last < 0
    return Stuck(
        values=tuple(cells[-1].tolist()),
        since_s=tuple(since[-1].tolist()),
        low=tuple(np.where(begun, np.minimum(carried.low, low[0]), low[last]).tolist()),
        high=tuple(np.where(begun, np.maximum(carried.high, high[0]), high[last]).tolist()),
    )


def look(at_s: float, cells: Floats, carried: Stuck, limits: Limits) -> tuple[list[Change], Stuck]:
    if np.isnan(cells).sum() * 2 > len(cells):
        return [], carried
    middle = float(np.nanmedian(cells))
    if len(carried.values) != len(cells):
        full = (middle,) * len(cells)
        return [], Stuck(0, tuple(cells.tolist()), (at_s,) * len(cells), full, full)
    same = np.isnan(cells) | (cells == np.array(carried.values))
    since = np.where(same, carried.since_s, at_s)
    low = np.where(same, np.minimum(carried.low, middle), middle)
    high = np.where(same, np.maximum(carried.high, middle), middle)
    stands = (at_s - since > limits.stuck_s) & (high - low > limits.stuck_others_move_mv)
    told = np.zeros(len(cells), bool)
    told[[cell - 1 for cell in carried.told]] = True
    changes = [
        Change(
            at_s,
            AlarmKind.DATA_STUCK,
            AlarmSeverity.INFO if stands[cell] else None,
            cell + 1,
            float(at_s - since[cell]),
            limits.stuck_s,
        )
        for cell in np.flatnonzero((stands & ~told) | (told & ~same)).tolist()
    ]
    return changes, Stuck(
        0,
        tuple(np.where(np.isnan(cells), carried.values, cells).tolist()),
        tuple(since.tolist()),
        tuple(low.tolist()),
        tuple(high.tolist()),
        tuple((np.flatnonzero((told & same) | stands) + 1).tolist()),
    )


# A state of charge that goes the other way


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """The charge that flowed in an hour, and the state of charge it began and ended with."""

    hour: int | None = None
    soc_first: float = math.nan
    soc_last: float = math.nan
    ah: float = 0.0
    at_s: float = math.nan
    current_a: float = math.nan
    is_open: bool = False


HOUR_S = 3600
LONGEST_INTERVAL_S = 900
LEAST_AH = 0.5


def state_of_charge(rows: Readings, hour: Hour, limits: Limits) -> tuple[list[Change], Hour]:
    """Whether the shown state of charge rises while the pack is discharged, or the other way."""
    known = ~np.isnan(rows.soc_percent) & ~np.isnan(rows.current_a)
    at, soc, current = rows.at_s[known], rows.soc_percent[known], rows.current_a[known]
    changes: list[Change] = []
    hours = np.floor(at / HOUR_S).astype(int)
    for number in np.unique(hours):
        mine = hours == number
        if number != hour.hour:
            change, is_open = end_hour(hour, float(at[mine][0]), limits)
            changes += change
            first = float(soc[mine][0])
            hour = Hour(int(number), soc_first=first, soc_last=first, is_open=is_open)
        times = np.concatenate([[hour.at_s], at[mine]])
        amperes = np.concatenate([[hour.current_a], current[mine]])
        passed = np.diff(times)
        flowed = (amperes[1:] + amperes[:-1]) / 2 * passed / 3600
        flowed = np.where(passed <= LONGEST_INTERVAL_S, flowed, 0.0)
        # One after the other, so that portions add up to the same number as the whole.
        ah = float(np.cumsum(np.concatenate([[hour.ah], flowed]))[-1])
        hour = msgspec.structs.replace(
            hour,
            ah=ah,
            soc_last=float(soc[mine][-1]),
            at_s=float(times[-1]),
            current_a=float(amperes[-1]),
        )
    return changes, hour


def end_hour(hour: Hour, at_s: float, limits: Limits) -> tuple[list[Change], bool]:
    points = hour.soc_last - hour.soc_first
    if not abs(points) >= limits.contradiction_soc_points or abs(hour.ah) < LEAST_AH:
        return [], hour.is_open
    contradicts = points * hour.ah < 0
    if contradicts == hour.is_open:
        return [], hour.is_open
    severity = AlarmSeverity.INFO if contradicts else None
    limit = limits.contradiction_soc_points
    return [Change(at_s, AlarmKind.DATA_SOC, severity, None, points, limit)], contradicts
