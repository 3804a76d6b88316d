"""Alarms that rest on estimates and on months: capacity, resistance, self-discharge in standby."""

import math

import msgspec
import numpy as np

from leasing.alarms.days import DAY_S, MIN_ROWS
from leasing.alarms.model import Change, Floats, Limits
from schemas.alarms import AlarmKind, AlarmSeverity


def capacity(
    at_s: float,
    upper_mah: float,
    *,
    guarantee_mah: float | None,
    rated_mah: float,
    previous_mah: float | None,
    limits: Limits,
) -> Change | None:
    """Below the guarantee with the whole 90 % interval, or more points of the rated capacity below
    the last accepted value than a pack loses between two tests (IEEE 1188: 10). Null otherwise:
    an interval that lies on both sides says nothing."""
    if guarantee_mah is not None and upper_mah < guarantee_mah:
        return Change(
            at_s, AlarmKind.CAPACITY, AlarmSeverity.CRITICAL, None, upper_mah, guarantee_mah
        )
    if previous_mah is None:
        return None
    limit = previous_mah - limits.capacity_drop_points / 100 * rated_mah
    if upper_mah < limit:
        return Change(at_s, AlarmKind.CAPACITY, AlarmSeverity.WARN, None, upper_mah, limit)
    return None


def resistance(at_s: float, ohm: float, baseline_ohm: float, limits: Limits) -> Change | None:
    """Growth of the internal resistance, in per cent of the pack's own baseline, taken at equal
    temperature and state of charge (by the caller)."""
    growth = 100 * (ohm / baseline_ohm - 1)
    steps = (
        (AlarmSeverity.CRITICAL, limits.resistance_end_percent),
        (AlarmSeverity.WARN, limits.resistance_warn_percent),
    )
    for severity, limit in steps:
        if growth >= limit:
            return Change(at_s, AlarmKind.RESISTANCE, severity, None, growth, limit)
    return None


class Slope(msgspec.Struct, frozen=True):
    """Millivolts for each cell and day, with the 90 % interval."""

    value: float
    lower: float
    upper: float
    days: int


BLOCK_DAYS = 5
RESAMPLES = 400
SEED = 1
"""The same readings give the same interval."""


def standby_slope(
    at_s: Floats, cell_mv: Floats, charged_at_s: float, limits: Limits
) -> Slope | None:
    """How fast a pack that rests loses voltage: the median of the slopes between all pairs of days
    (Theil-Sen, Sen 1968), and the interval from resampling blocks of days (Künsch 1989), since
    neighbouring days share their temperature. The first month after a charge is relaxation and is
    left out. Null when less than `standby_days` are left."""
    usable = (at_s >= charged_at_s + limits.standby_skip_days * DAY_S) & ~np.isnan(cell_mv)
    days = np.floor(at_s[usable] / DAY_S).astype(int)
    values = cell_mv[usable]
    numbers = [day for day in np.unique(days) if np.count_nonzero(days == day) >= MIN_ROWS]
    if len(numbers) < 2 or numbers[-1] - numbers[0] + 1 < limits.standby_days:
        return None
    # The mean of a day is finer than the instrument; odd days are what the slope passes over.
    daily = np.array([np.mean(values[days == day]) for day in numbers])
    at = np.array(numbers, float)
    slope = theil_sen(at, daily)
    lower, upper = interval(at, daily, slope)
    return Slope(slope, lower, upper, int(at[-1] - at[0]) + 1)


def theil_sen(at: Floats, values: Floats) -> float:
    first, second = np.triu_indices(len(at), 1)
    apart = at[second] - at[first]
    useful = apart != 0
    return float(np.median((values[second] - values[first])[useful] / apart[useful]))


def interval(at: Floats, values: Floats, slope: float) -> tuple[float, float]:
    """The central 90 % of the slopes of series whose residuals are drawn anew in blocks."""
    draws = np.random.default_rng(SEED)
    residuals = values - slope * at
    residuals = residuals - np.median(residuals)
    count = len(at)
    block = min(BLOCK_DAYS, count)
    starts = draws.integers(0, count - block + 1, (RESAMPLES, math.ceil(count / block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    slopes = [theil_sen(at, slope * at + residuals[row]) for row in rows]
    lower, upper = np.percentile(slopes, [5, 95])
    return float(lower), float(upper)


def standby(at_s: float, slope: Slope, fleet_median: float, limits: Limits) -> Change | None:
    """Whether a pack certainly loses more than twice what its fleet does."""
    limit = limits.standby_factor * fleet_median
    if slope.upper < limit:
        severity = AlarmSeverity.WARN
        return Change(at_s, AlarmKind.STANDBY_SELF_DISCHARGE, severity, None, slope.value, limit)
    return None
