"""Alarms that rest on estimates and on months: capacity, resistance, self-discharge in standby."""

from typing import Protocol

from leasing.alarms.model import Change, Limits
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


class Slope(Protocol):
    """Millivolts for each cell and day (negative is sinking), with the 90 % interval."""

    @property
    def mv_per_day(self) -> float: ...
    @property
    def upper(self) -> float: ...


def standby(at_s: float, slope: Slope, fleet_median: float, limits: Limits) -> Change | None:
    """Whether a pack certainly loses more than twice what its fleet does."""
    limit = limits.standby_factor * fleet_median
    if slope.upper < limit:
        severity = AlarmSeverity.WARN
        kind = AlarmKind.STANDBY_SELF_DISCHARGE
        return Change(at_s, kind, severity, None, slope.mv_per_day, limit)
    return None
