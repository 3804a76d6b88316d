"""Cells by the day: which one stands apart from the first week on, and which one moves away.

A cell is compared with the median of its pack while the pack rests. A day's value is the median
over the day, so that one odd row changes nothing.
"""

import math
import warnings

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.alarms.model import Bools, Change, Floats, Limits, Readings
from schemas.alarms import AlarmKind, AlarmSeverity

DAY_S = 86_400
SLOT_S = 300
"""One resting row in five minutes is kept: at most 288 rows a day, whatever the interval."""
MIN_ROWS = 3
"""A day with less is no day."""
GLANCE_ROWS = 12
"""An hour of rest is enough to let a day that is not over be the last of those that are needed."""
MAD_TO_SIGMA = 1.4826
MIN_PRESENT = 0.5
"""A cell that is missing in more of the baseline's days is not judged."""

Row = tuple[float, ...]
Counts = NDArray[np.int_]


class Days(msgspec.Struct, frozen=True, array_like=True):
    """What is carried from day to day: deviations from the pack's median, in mV."""

    day: int | None = None
    slot: int = -1
    rested: bool = False
    kept: tuple[Row, ...] = ()
    """Of the day that is not over, by row."""
    first_day: int | None = None
    week: tuple[Row, ...] = ()
    """Of the baseline's days, by day, until it is made."""
    baseline: Row = ()
    latest: tuple[Row, ...] = ()
    """Of the last days."""
    beyond: tuple[tuple[int, ...], ...] = ()
    """Which cells had drifted on each of the last days, and which counted twice."""
    apart: tuple[int, ...] = ()
    """Cells with an open static imbalance, from 1."""
    drifting: tuple[int, ...] = ()


def follow(
    rows: Readings, resting: Bools, carried: Days, limits: Limits
) -> tuple[list[Change], Days]:
    """Go through rows, and judge each day at the first row of a later one. `resting`: the current
    is small in the row."""
    cells = rows.cells_mv.shape[1]
    if cells < MIN_ROWS:
        return [], carried
    if carried.kept and len(carried.kept[0]) != cells:
        carried = Days()
    rested = resting & np.concatenate([[carried.rested], resting[:-1]])
    slots = np.floor(rows.at_s / SLOT_S).astype(int)
    candidates = np.flatnonzero(rested)
    first = np.diff(slots[candidates], prepend=carried.slot) > 0
    picked = candidates[first]
    days = slots // (DAY_S // SLOT_S)
    now = msgspec.structs.replace(carried, rested=bool(resting[-1]))
    if now.day is None:
        now = msgspec.structs.replace(now, day=int(days[0]), first_day=int(days[0]))
    changes: list[Change] = []
    with np.errstate(all="ignore"):
        for day in np.unique(days):
            of_day = picked[days[picked] == day]
            if now.day is not None and day > now.day:
                at_s = float(rows.at_s[int(np.argmax(days >= day))])
                found, now = close(now, at_s, limits)
                now = msgspec.structs.replace(now, day=int(day), kept=())
                changes += found
            if len(of_day):
                kept = rows.cells_mv[of_day]
                kept = kept - medians(kept, axis=1)[:, None]
                before = len(now.kept)
                now = msgspec.structs.replace(
                    now,
                    kept=now.kept + tuple(map(tuple, kept.tolist())),
                    slot=int(slots[of_day[-1]]),
                )
                if before < GLANCE_ROWS <= len(now.kept) and now.baseline:
                    at_s = float(rows.at_s[of_day[GLANCE_ROWS - before - 1]])
                    found, now = glance(now, at_s, limits)
                    changes += found
    return changes, now


def medians(values: Floats, axis: int) -> Floats:
    """Medians that pass over what is missing; NaN where nothing is there."""
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=axis))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all of a row may be missing
        return np.asarray(np.nanmedian(values, axis=axis))


def close(days: Days, at_s: float, limits: Limits) -> tuple[list[Change], Days]:
    """Judge the day that is over."""
    if len(days.kept) < MIN_ROWS or days.day is None or days.first_day is None:
        return [], days
    today = medians(np.array(days.kept), axis=0)
    if days.baseline:
        return drift(days, today, at_s, limits)
    week = (*days.week, tuple(today.tolist()))
    enough = days.day - days.first_day + 1 >= limits.baseline_days
    days = msgspec.structs.replace(days, week=week)
    if not enough or len(week) < min(MIN_ROWS, limits.baseline_days):
        return [], days
    return begin(days, np.array(week), at_s, limits)


def z_scores(deviations: Floats, limits: Limits) -> Floats:
    """Deviations by the pack's own scatter (MAD), which outliers do not widen; the floor keeps
    a pack of equal cells from being judged by the resolution of its instrument."""
    centred = deviations - np.nanmedian(deviations)
    scatter = MAD_TO_SIGMA * np.nanmedian(np.abs(centred)) + limits.noise_floor_mv
    return np.asarray(centred / scatter)


def begin(days: Days, week: Floats, at_s: float, limits: Limits) -> tuple[list[Change], Days]:
    """The first week: its medians are what later days are held against, and cells that stand apart
    in it do so from the beginning."""
    baseline = medians(week, axis=0)
    baseline[np.isnan(week).mean(axis=0) > MIN_PRESENT] = math.nan
    z = z_scores(baseline, limits)
    apart = np.flatnonzero(np.abs(z) > limits.imbalance_z)
    changes = [
        found(AlarmKind.STATIC_IMBALANCE, at_s, cell, float(z[cell]), limits.imbalance_z)
        for cell in apart.tolist()
    ]
    days = msgspec.structs.replace(
        days,
        week=(),
        baseline=tuple(baseline.tolist()),
        latest=tuple(map(tuple, week.tolist())),
        apart=tuple((apart + 1).tolist()),
    )
    return changes, days


def found(kind: AlarmKind, at_s: float, cell: int, value: float, limit: float) -> Change:
    return Change(at_s, kind, AlarmSeverity.WARN, cell + 1, value, limit)


def pattern(moved: Floats, baseline: Floats) -> Floats:
    """What the whole pack did: a shift, and its pattern stretched or pressed. Every deviation grows
    where the voltage curve is steep and shrinks where it is flat, all by one factor, which is the
    weighted median of the cells' own; a few cells that drift do not move it."""
    centred = baseline - np.nanmedian(baseline)
    moved = moved - np.nanmedian(moved)
    usable = ~np.isnan(moved) & ~np.isnan(centred) & (centred != 0)
    if not usable.any():
        return moved
    ratio, weight = moved[usable] / centred[usable], np.abs(centred[usable])
    order = np.argsort(ratio)
    reached = np.cumsum(weight[order])
    factor = ratio[order][int(np.searchsorted(reached, reached[-1] / 2))]
    return np.asarray(moved - factor * centred)


def beyond_limits(days: Days, today: Floats, limits: Limits) -> tuple[Floats, Counts]:
    """How far each cell has moved from its baseline by itself, and whether that is too far: a day
    beyond the limits counts once, beyond twice the limits twice."""
    baseline = np.array(days.baseline)
    moved = pattern(today - baseline, baseline)
    z = z_scores(moved, limits)
    far, rare = np.abs(moved) / limits.drift_mv, np.abs(z) / limits.drift_z
    once, twice = (far > 1) & (rare > 1), (far > 2) & (rare > 2)
    return moved, once.astype(int) + twice


def is_drifting(days: Days, cells: int) -> Bools:
    marked = np.zeros(cells, bool)
    marked[[cell - 1 for cell in days.drifting]] = True
    return marked


def numbers(marked: Bools) -> tuple[int, ...]:
    return tuple((np.flatnonzero(marked) + 1).tolist())


def glance(days: Days, at_s: float, limits: Limits) -> tuple[list[Change], Days]:
    """Judge the day that goes on, by its first hour of rest, as one of the days that are needed."""
    today = medians(np.array(days.kept[:GLANCE_ROWS]), axis=0)
    moved, beyond = beyond_limits(days, today, limits)
    before = days.beyond[-(limits.drift_of_days - 1) :]
    counted = np.sum(np.array([*before, beyond]), axis=0)
    drifting = is_drifting(days, len(today))
    begins = (beyond > 0) & (counted >= limits.drift_days) & ~drifting
    changes = [
        found(AlarmKind.DRIFT, at_s, cell, float(moved[cell]), limits.drift_mv)
        for cell in np.flatnonzero(begins).tolist()
    ]
    return changes, msgspec.structs.replace(days, drifting=numbers(drifting | begins))


def drift(days: Days, today: Floats, at_s: float, limits: Limits) -> tuple[list[Change], Days]:
    moved, beyond = beyond_limits(days, today, limits)
    history = (*days.beyond, tuple(beyond.tolist()))[-limits.drift_of_days :]
    counted = np.sum(np.array(history), axis=0)
    drifting = is_drifting(days, len(today))
    begins = (counted >= limits.drift_days) & ~drifting
    ends = (counted == 0) & drifting & (len(history) == limits.drift_of_days)
    changes = [
        found(AlarmKind.DRIFT, at_s, cell, float(moved[cell]), limits.drift_mv)
        for cell in np.flatnonzero(begins).tolist()
    ]
    changes += [
        ended(AlarmKind.DRIFT, at_s, cell, float(moved[cell]), limits.drift_mv)
        for cell in np.flatnonzero(ends).tolist()
    ]
    latest = (*days.latest, tuple(today.tolist()))[-limits.baseline_days :]
    more, apart = rejoin(days.apart, np.array(latest), at_s, limits)
    still = (drifting | begins) & ~ends
    return changes + more, msgspec.structs.replace(
        days,
        beyond=history,
        drifting=numbers(still),
        latest=latest,
        apart=apart,
    )


def ended(kind: AlarmKind, at_s: float, cell: int, value: float, limit: float) -> Change:
    value = 0.0 if math.isnan(value) else value
    return Change(at_s, kind, None, cell + 1, value, limit)


def rejoin(
    apart: tuple[int, ...], latest: Floats, at_s: float, limits: Limits
) -> tuple[list[Change], tuple[int, ...]]:
    """Cells that stood apart and do so no more, by the last days: the pack was balanced."""
    if not apart:
        return [], apart
    z = z_scores(medians(latest, axis=0), limits)
    back = [cell for cell in apart if abs(z[cell - 1]) < limits.imbalance_clear_z]
    changes = [
        ended(AlarmKind.STATIC_IMBALANCE, at_s, cell - 1, float(z[cell - 1]), limits.imbalance_z)
        for cell in back
    ]
    return changes, tuple(cell for cell in apart if cell not in back)


# Insulation


class Trend(msgspec.Struct, frozen=True, array_like=True):
    """The insulation's low end by windows of some days."""

    window: int | None = None
    slot: int = -1
    kept: tuple[float, ...] = ()
    baselines: tuple[float, ...] = ()
    is_open: bool = False


def insulation(rows: Readings, carried: Trend, limits: Limits) -> tuple[list[Change], Trend]:
    """Inspect when the 5th percentile of a window falls below a share of the pack's own first
    windows. The scale does not matter, which in the field differs from car to car."""
    known = np.flatnonzero(~np.isnan(rows.insulation_kohm))
    slots = np.floor(rows.at_s[known] / SLOT_S).astype(int)
    picked = known[np.diff(slots, prepend=carried.slot) > 0]
    if not len(picked):
        return [], carried
    slots = np.floor(rows.at_s[picked] / SLOT_S).astype(int)
    windows = slots // (DAY_S // SLOT_S * limits.insulation_trend_days)
    now, changes = carried, []
    for window in np.unique(windows):
        mine = picked[windows == window]
        if now.window is not None and window > now.window:
            change, now = end_window(now, float(rows.at_s[mine[0]]), limits)
            changes += change
        values = rows.insulation_kohm[mine].tolist()
        now = msgspec.structs.replace(
            now,
            window=int(window),
            kept=(*now.kept, *values),
            slot=int(slots[windows == window][-1]),
        )
    return changes, now


def end_window(trend: Trend, at_s: float, limits: Limits) -> tuple[list[Change], Trend]:
    value = float(np.percentile(trend.kept, 5))
    trend = msgspec.structs.replace(trend, kept=())
    if len(trend.baselines) < limits.insulation_baseline_windows:
        return [], msgspec.structs.replace(trend, baselines=(*trend.baselines, value))
    limit = float(np.median(trend.baselines)) * limits.insulation_trend_percent / 100
    is_low = value < limit
    if is_low == trend.is_open:
        return [], trend
    severity = AlarmSeverity.INFO if is_low else None
    change = Change(at_s, AlarmKind.INSULATION_TREND, severity, None, value, limit)
    return [change], msgspec.structs.replace(trend, is_open=is_low)
