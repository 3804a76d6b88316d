"""Thermal runaway as an event: signs in neighbouring rows, and which of them together are enough.

GB 38031-2025 C.5.3.7 knows it by a voltage drop of more than 25 % or the maker's highest
temperature, together with 1 °C/s for more than 3 s. Rows slower than that cannot show 1 °C/s; for
them a rise of 20 °C within one interval of at most a minute, together with a voltage that falls
apart or cells that vanish. A sensor that jumps and cells that are not sent are met every
week in the field, and neither alone is an alarm.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.alarms.model import Bools, Floats, Limits, Readings

FAST_ROW_S = 3
FIRST = np.zeros(1, np.int_)
MEDIAN_FALL = 0.1
"""When all cells fall together it is the scale that changed, or the load."""


class Signs(msgspec.Struct, frozen=True, array_like=True):
    """What was seen last, and when. The last known values are kept, with their instants: a value
    that is missing in a row is compared with the one before."""

    heat_s: float = -math.inf
    collapse_s: float = -math.inf
    drop_s: float = -math.inf
    """Like collapse, but beyond what a load ever does: a cell that lost a quarter by itself."""
    rate_since_s: float = math.nan
    hot_s: float = -math.inf
    vanish_s: float = -math.inf
    cells: tuple[float, ...] = ()
    cells_s: tuple[float, ...] = ()
    temperature_c: float = math.nan
    temperature_s: float = math.nan
    voltage_v: float = math.nan
    voltage_s: float = math.nan


def events(rows: Readings, signs: Signs, limits: Limits) -> tuple[list[int], Signs]:
    """The rows in which a runaway shows, and the signs carried on."""
    found: list[int] = []
    done = 0
    for row in np.flatnonzero(suspects(rows, [signs], limits)).tolist():
        if row > done:
            signs = after_quiet(rows, row - 1, signs)
        signs = step(rows, row, signs, limits)
        if is_runaway(float(rows.at_s[row]), signs, limits):
            found.append(row)
        done = row + 1
    if done < len(rows):
        signs = after_quiet(rows, len(rows) - 1, signs)
    return found, signs


def is_runaway(at_s: float, signs: Signs, limits: Limits) -> bool:
    since = at_s - limits.runaway_interval_s
    falls = signs.collapse_s >= since or signs.drop_s >= since
    vanishes = signs.vanish_s >= since
    slow = signs.heat_s >= since and (falls or vanishes)
    rate_holds = at_s - signs.rate_since_s > limits.runaway_rate_held_s
    fast = rate_holds and (signs.drop_s >= since or signs.hot_s >= at_s)
    return slow or fast or (signs.drop_s >= since and vanishes)


def step(rows: Readings, row: int, signs: Signs, limits: Limits) -> Signs:
    at = float(rows.at_s[row])
    seen = heat(at, float(rows.temperature_c[row]), signs, limits)
    if rows.cells_mv.shape[1]:
        seen |= cells(at, rows.cells_mv[row], signs, limits)
    else:
        seen |= pack(at, float(rows.voltage_v[row]), signs, limits)
    return msgspec.structs.replace(signs, **seen)


Seen = dict[str, float | tuple[float, ...]]


def heat(at: float, celsius: float, signs: Signs, limits: Limits) -> Seen:
    if math.isnan(celsius):
        return {}
    seen: Seen = {"temperature_c": celsius, "temperature_s": at}
    passed = at - signs.temperature_s
    rise = celsius - signs.temperature_c
    if passed <= limits.runaway_interval_s and rise >= limits.runaway_rise_c:
        seen["heat_s"] = at
    if passed <= FAST_ROW_S and rise >= limits.runaway_rate_c_per_s * passed:
        if math.isnan(signs.rate_since_s):
            seen["rate_since_s"] = signs.temperature_s
    else:
        seen["rate_since_s"] = math.nan
    if celsius >= limits.runaway_temperature_c:
        seen["hot_s"] = at
    return seen


def cells(at: float, now: Floats, signs: Signs, limits: Limits) -> Seen:
    """A cell that falls while the others stand, and cells that were there a moment ago."""
    known = ~np.isnan(now)
    if len(signs.cells) != len(now):
        return {"cells": tuple(now.tolist()), "cells_s": tuple(np.where(known, at, -np.inf))}
    before, before_s = np.array(signs.cells), np.array(signs.cells_s)
    lately = at - before_s <= limits.runaway_interval_s
    seen: Seen = {
        "cells": tuple(np.where(known, now, before).tolist()),
        "cells_s": tuple(np.where(known, at, before_s).tolist()),
    }
    # Cells that are back after they were gone count as gone until then.
    if np.count_nonzero(lately & ~known) >= limits.runaway_vanished_cells:
        seen["vanish_s"] = at
    both = known & lately
    if np.count_nonzero(both) > 1:
        share = 1 - now[both] / before[both]
        stands = float(np.median(share)) < MEDIAN_FALL
        jump = float(np.ptp(now[both]) - np.ptp(before[both]))
        if stands and share.max() > limits.runaway_drop_percent / 100:
            seen["drop_s"] = at
        if stands and jump > limits.runaway_spread_jump_mv:
            seen["collapse_s"] = at
    return seen


def pack(at: float, volts: float, signs: Signs, limits: Limits) -> Seen:
    """Without cells all that can be seen is the pack losing a quarter of one cell's voltage, which
    a load does as well: it counts together with heat only."""
    if math.isnan(volts):
        return {}
    seen: Seen = {"voltage_v": volts, "voltage_s": at}
    share = limits.runaway_drop_percent / 100 / (limits.cells_in_series or 1)
    lately = at - signs.voltage_s <= limits.runaway_interval_s
    if lately and signs.voltage_v - volts > share * signs.voltage_v:
        seen["collapse_s"] = at
    return seen


JUMP_SEEN_MV = 50
"""Far below any jump that counts."""


def suspects(
    rows: Readings, signs: Sequence[Signs], limits: Limits, firsts: NDArray[np.int_] = FIRST
) -> Bools:
    """The rows in which, or in the change into which, a sign could be. Most rows hold every value
    and none of them moves much; those need no second look. `firsts` are the first rows of packs,
    each with its `signs`."""

    def step(column: Floats, carried: list[float]) -> tuple[Floats, Floats]:
        before = np.empty(len(column))
        before[1:] = column[:-1]
        before[firsts] = carried
        return column - before, before

    rise, _ = step(rows.temperature_c, [one.temperature_c for one in signs])
    passed, _ = step(rows.at_s, [one.temperature_s for one in signs])
    gentle = rise < limits.runaway_rate_c_per_s * passed
    limit = np.where(passed > FAST_ROW_S, limits.runaway_rise_c, -math.inf)
    calm = (gentle | (rise < limit)) & (rise < limits.runaway_rise_c)
    # Heat alone is no sign: the rate that belongs to it is looked at anyway.
    share = limits.runaway_drop_percent / 100
    width = rows.cells_mv.shape[1]
    if not width:
        moved, volts = step(rows.voltage_v, [one.voltage_v for one in signs])
        steady = -moved <= share / (limits.cells_in_series or 1) * volts
        return np.asarray(~(calm & steady))
    unknown = (math.nan,) * width
    carried = np.array([one.cells if len(one.cells) == width else unknown for one in signs])
    high, low = rows.cells_mv.max(axis=1), rows.cells_mv.min(axis=1)  # NaN where a cell is missing
    _, before = step(high, carried.max(axis=1).tolist())
    jump, _ = step(high - low, np.ptp(carried, axis=1).tolist())
    # No cell can have lost a quarter when the lowest is above three quarters of what was highest.
    return np.asarray(~(calm & (jump <= JUMP_SEEN_MV) & (low >= (1 - share) * before)))


def after_quiet(rows: Readings, row: int, signs: Signs) -> Signs:
    """The signs after rows without any, of which this is the last."""
    at = float(rows.at_s[row])
    seen: Seen = {
        "temperature_c": float(rows.temperature_c[row]),
        "temperature_s": at,
        "rate_since_s": math.nan,
    }
    if rows.cells_mv.shape[1]:
        seen["cells"] = tuple(rows.cells_mv[row].tolist())
        seen["cells_s"] = (at,) * rows.cells_mv.shape[1]
    else:
        seen |= {"voltage_v": float(rows.voltage_v[row]), "voltage_s": at}
    return msgspec.structs.replace(signs, **seen)
