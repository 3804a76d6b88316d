"""What is watched, what is found, and the limits that decide."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.alarms import AlarmKind, AlarmSeverity, AlarmState

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEXT_STATES: dict[AlarmState, set[AlarmState]] = {
    # One that grows after it was acknowledged is raised again.
    AlarmState.RAISED: {AlarmState.ACKNOWLEDGED, AlarmState.CLOSED},
    AlarmState.ACKNOWLEDGED: {AlarmState.RAISED, AlarmState.CLOSED},
    AlarmState.CLOSED: set(),
}

REPEAT_AFTER = {
    AlarmSeverity.CRITICAL: timedelta(minutes=15),
    AlarmSeverity.WARN: timedelta(days=1),
    AlarmSeverity.INFO: timedelta(days=7),
}


class NoSuchAlarm(NotFound):
    code = "alarm_not_found"
    title = "There is no such alarm"


class AlarmInState(Conflict):
    code = "alarm_state"
    title = "The alarm is in another state"


class AlarmOpenAlready(Conflict):
    code = "alarm_open_already"
    title = "The same alarm of this pack and cell is open"


class NoSuchQuarantine(NotFound):
    code = "quarantine_not_found"
    title = "There is no such quarantine"


class PackQuarantined(Conflict):
    code = "pack_quarantined"
    title = "The pack is in quarantine: it is not moved or handed over until it was inspected"


class NoSuchHold(NotFound):
    code = "safety_hold_not_found"
    title = "There is no such safety hold"


class PackHeld(Conflict):
    code = "pack_held"
    title = "The pack is held: it has cells of a batch of which one pack is in quarantine"


class Released(Conflict):
    code = "released_already"
    title = "It was released already"


class BadLimits(Invalid):
    code = "bad_limits"
    title = "These are no limits of the alarm rules"


class LimitsVersionTaken(Conflict):
    code = "limits_version_taken"
    title = "Other limits of the model were entered at the same moment"


CONSTRAINTS = {
    "alarm_one_open": AlarmOpenAlready,
    "alarm_limits_version_once": LimitsVersionTaken,
    "pack_quarantined": PackQuarantined,
    "pack_held": PackHeld,
}


class DeviceAlarm(Protocol):
    """An alarm that the battery's own management raises or ends, whatever it came by."""

    @property
    def code(self) -> str: ...
    @property
    def begins(self) -> bool: ...
    @property
    def level(self) -> int | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def serial(self) -> str | None: ...


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The parameters of every rule. The defaults hold for LFP; `docs/alarms.md` gives the source
    of each. A limit of null switches that level off."""

    cells_in_series: int | None = None
    rest_current_a: float = 5.0
    """Below this a pack rests: 0.05 C of 100 Ah."""

    cell_over_warn_mv: float | None = 3600
    cell_over_critical_mv: float | None = 3650
    cell_under_warn_mv: float | None = 2900
    cell_under_critical_mv: float | None = 2500
    cell_voltage_hysteresis_mv: float = 20
    cell_voltage_delay_s: float = 3

    spread_info_mv: float | None = 30
    spread_warn_mv: float | None = 50
    spread_critical_mv: float | None = 100
    spread_hysteresis_mv: float = 10
    spread_judged_above_mv: float | None = 3400
    """LFP shows a difference in charge at the ends of its curve only. Null: judged anywhere."""
    spread_judged_below_mv: float | None = 3100
    spread_rest_s: float = 600

    charge_cold_c: float = 0
    charge_hot_c: float = 45
    stop_hot_c: float = 55
    temperature_spread_warn_c: float = 5
    temperature_spread_critical_c: float = 10
    temperature_hysteresis_c: float = 2
    temperature_delay_s: float = 60
    temperature_spread_delay_s: float = 300

    runaway_temperature_c: float = 60
    """The maker's highest permitted temperature."""
    runaway_rate_c_per_s: float = 1.0
    runaway_rate_held_s: float = 3
    runaway_rise_c: float = 20
    runaway_interval_s: float = 60
    runaway_drop_percent: float = 25
    runaway_spread_jump_mv: float = 200
    runaway_vanished_cells: int = 2

    insulation_warn_ohm_per_v: float | None = None
    insulation_critical_ohm_per_v: float | None = None
    """Null for packs of safety extra-low voltage, to which it does not apply."""
    insulation_delay_s: float = 60
    insulation_trend_days: int = 4
    insulation_trend_percent: float = 70
    insulation_baseline_windows: int = 3

    baseline_days: int = 7
    imbalance_z: float = 4
    imbalance_clear_z: float = 3
    noise_floor_mv: float = 2
    drift_mv: float = 12
    drift_z: float = 4
    drift_days: int = 3
    drift_of_days: int = 5

    stuck_s: float = 6 * 3600
    stuck_others_move_mv: float = 50
    clock_gap_s: float = 3600
    contradiction_percent: float = 5
    contradiction_soc_points: float = 3

    resistance_warn_percent: float = 20
    resistance_end_percent: float = 100
    capacity_drop_points: float = 10
    standby_days: int = 30
    standby_skip_days: int = 30
    standby_factor: float = 2


TERNARY = {
    "cell_over_warn_mv": 4400,
    "cell_over_critical_mv": 4450,
    "cell_under_warn_mv": 3000,
    "cell_under_critical_mv": 2500,
    "spread_info_mv": 50,
    "spread_warn_mv": 100,
    "spread_critical_mv": None,
    "spread_judged_above_mv": None,
    "spread_judged_below_mv": None,
}
"""Ternary cells are made for 4.2 V and for 4.35 V; when the maker's voltage is not known the higher
holds. A spread that never changes is no danger in them: a real car lived with 100 mV."""

OTHER: dict[str, Any] = {
    "cell_over_warn_mv": None,
    "cell_over_critical_mv": None,
    "cell_under_warn_mv": None,
    "cell_under_critical_mv": None,
    "spread_critical_mv": None,
    "spread_judged_above_mv": None,
    "spread_judged_below_mv": None,
}
"""A chemistry whose voltages we do not know is judged by none."""

EXTRA_LOW_V = 60
"""Safety extra-low voltage ends here, for direct current."""


def defaults(
    chemistry: str,
    *,
    cells_in_series: int | None = None,
    rated_capacity_mah: int | None = None,
    rated_voltage_mv: int | None = None,
    full_cell_mv: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Limits:
    """The limits of a pack, from what is known of it (chemistry by its letter of GB/T 34014) and
    what was set for its model."""
    found: dict[str, Any] = {"B": {}, "E": TERNARY}.get(chemistry, OTHER).copy()
    found["cells_in_series"] = cells_in_series
    if chemistry == "E" and full_cell_mv is not None:
        found["cell_over_warn_mv"] = full_cell_mv + 50
        found["cell_over_critical_mv"] = full_cell_mv + 100
    if rated_capacity_mah is not None:
        found["rest_current_a"] = max(0.05 * rated_capacity_mah / 1000, 1.0)
    if rated_voltage_mv is not None and rated_voltage_mv > EXTRA_LOW_V * 1000:
        found["insulation_warn_ohm_per_v"] = 500
        found["insulation_critical_ohm_per_v"] = 100
    return msgspec.convert({**found, **(changes or {})}, Limits)


class Readings(msgspec.Struct, frozen=True):
    """Rows of one pack in order of time, as columns; a missing value is NaN. Seconds since 1970,
    current positive while charging, `cells_mv` a matrix of rows by cells (no column: unknown)."""

    at_s: Floats
    voltage_v: Floats
    current_a: Floats
    soc_percent: Floats
    temperature_c: Floats
    temperature_min_c: Floats
    insulation_kohm: Floats
    cells_mv: Floats

    def __len__(self) -> int:
        return len(self.at_s)

    def rows(self, which: Any) -> "Readings":
        """Some of the rows: by a slice, a mask or positions."""
        return Readings(*(column[which] for column in msgspec.structs.astuple(self)))


def readings(
    at_s: Any,
    *,
    voltage_v: Any = None,
    current_a: Any = None,
    soc_percent: Any = None,
    temperature_c: Any = None,
    temperature_min_c: Any = None,
    insulation_kohm: Any = None,
    cells_mv: Any = None,
) -> Readings:
    """Columns from whatever is there: what is not given is missing in every row."""
    at = np.asarray(at_s, float)

    def column(values: Any) -> Floats:
        return np.full(len(at), math.nan) if values is None else np.asarray(values, float)

    return Readings(
        at,
        column(voltage_v),
        column(current_a),
        column(soc_percent),
        column(temperature_c),
        column(temperature_min_c),
        column(insulation_kohm),
        np.empty((len(at), 0)) if cells_mv is None else np.asarray(cells_mv, float),
    )


class Batch(msgspec.Struct, frozen=True):
    """Rows of several packs, one pack after the other: each pack once, with the half-open range of
    its rows."""

    packs: list[UUID]
    ranges: list[tuple[int, int]]
    rows: Readings


class Change(msgspec.Struct, frozen=True):
    """An alarm begins, grows more severe, or (severity null) is over. `cell` counts from 1.
    `value` and `limit` are in the unit of the rule, the evidence in one number."""

    at_s: float
    kind: AlarmKind
    severity: AlarmSeverity | None
    cell: int | None
    value: float
    limit: float
