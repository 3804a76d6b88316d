"""All rules that look at readings: a function of rows and of what was carried from the rows before.

The same rows give the same alarms in whatever portions they come: one by one as they are taken in,
or a file at once.
"""

import math

import msgspec
import numpy as np

from leasing.alarms import days, quality, runaway
from leasing.alarms.days import Days, Trend, medians
from leasing.alarms.levels import IDLE, Dwell, Level, Run, Standing, judge, lengths
from leasing.alarms.model import Bools, Change, Floats, Limits, Readings
from leasing.alarms.quality import Hour, Stuck
from leasing.alarms.runaway import Signs
from schemas.alarms import AlarmKind, AlarmSeverity

RUNAWAY_ENDS_S = 3600
DATA_ENDS_S = 600
DIFFERS_S = 60
BACK = 2.0
CLOCK_BACK_S = 1
"""A row sent twice is no fault of the clock."""
PROBE_LOW_C, PROBE_HIGH_C = -40, 200
MOST_SPREAD_C = 40
"""Between the probes of one pack: beyond, one of them is broken."""

INFO, WARN, CRITICAL = AlarmSeverity.INFO, AlarmSeverity.WARN, AlarmSeverity.CRITICAL


class State(msgspec.Struct, frozen=True, array_like=True):
    """What is carried of a pack from one portion of rows to the next."""

    last_s: float = -math.inf
    """The latest row that was judged."""
    sent_s: float = -math.inf
    """The last row's instant as sent, also when it was passed over."""
    steps_back: int = 0
    """How often the clock went back since the latest row."""
    rest: Run = Run()
    levels: dict[AlarmKind, Standing] = {}
    signs: Signs = Signs()
    days: Days = Days()
    trend: Trend = Trend()
    stuck: Stuck = Stuck()
    hour: Hour = Hour()


START = State()


class Watched(msgspec.Struct, frozen=True):
    """One alarm by limits: its levels, the values held against them, how long they must hold."""

    kind: AlarmKind
    levels: list[Level]
    values: Floats
    dwell: Dwell
    cells: Floats | None = None


def check(rows: Readings, state: State, limits: Limits) -> tuple[list[Change], State]:
    """What begins, grows or ends in these rows, in order of time, and the state to go on with.

    A row that is not later than all before it is passed over: late readings belong to the
    estimates, an alarm about the past helps nobody.
    """
    rows, went_back, state = in_order(rows, state)
    if not len(rows):
        return [], state
    rows, jumped = quality.cleaned(rows, limits)
    resting = np.abs(rows.current_a) < limits.rest_current_a
    rested_s, _, rest = lengths(rows.at_s, resting, state.rest)
    judged = [
        *voltages(rows, limits),
        spread(rows, rested_s, limits),
        *temperatures(rows, limits),
        insulation(rows, limits),
        *data(rows, jumped, clock(rows, went_back, resting, state, limits), limits),
    ]
    found, signs = runaway.events(rows, state.signs, limits)
    judged.append(event(rows, found))
    changes: list[Change] = []
    standing = dict(state.levels)
    for one in judged:
        told, now = judge(
            one.kind,
            one.levels,
            rows.at_s,
            one.values,
            one.cells,
            standing.get(one.kind, IDLE),
            one.dwell,
        )
        changes += told
        if now is not IDLE:
            standing[one.kind] = now
    by_day, of_days = days.follow(rows, resting, state.days, limits)
    by_window, trend = days.insulation(rows, state.trend, limits)
    still, stuck = quality.stuck(rows, state.stuck, limits)
    by_hour, hour = quality.state_of_charge(rows, state.hour, limits)
    changes += by_day + by_window + still + by_hour
    changes.sort(key=lambda change: (change.at_s, change.kind, change.cell or 0))
    last_s = float(rows.at_s[-1])
    return changes, State(
        last_s, state.sent_s, state.steps_back, rest, standing, signs, of_days, trend, stuck, hour
    )


def in_order(rows: Readings, state: State) -> tuple[Readings, Bools, State]:
    """The rows that are later than all before, before which of them the clock had gone back, and
    the state with the rows that were passed over noted."""
    if not len(rows):
        return rows, np.empty(0, bool), state
    latest = np.maximum.accumulate(np.concatenate([[state.last_s], rows.at_s[:-1]]))
    kept = rows.at_s > latest
    sent_before = np.concatenate([[state.sent_s], rows.at_s[:-1]])
    steps_back = np.cumsum(rows.at_s < sent_before - CLOCK_BACK_S) + state.steps_back
    of_kept = steps_back[kept]
    went_back = np.diff(of_kept, prepend=0) > 0
    left = int(steps_back[-1]) - (int(of_kept[-1]) if len(of_kept) else 0)
    sent_s = float(rows.at_s[-1])
    state = msgspec.structs.replace(state, sent_s=sent_s, steps_back=left)
    return rows.rows(kept), went_back, state


def voltages(rows: Readings, limits: Limits) -> list[Watched]:
    """The highest and the lowest cell; of a pack without cell voltages, the mean cell."""
    cells = rows.cells_mv
    high_cell: Floats | None
    low_cell: Floats | None
    if cells.shape[1]:
        high, high_cell = extreme(cells, -math.inf)
        low, low_cell = extreme(cells, math.inf)
    else:
        mean = rows.voltage_v * 1000 / (limits.cells_in_series or math.nan)
        high, high_cell = mean, None
        low, low_cell = mean, None
    dwell = Dwell(limits.cell_voltage_delay_s, limits.cell_voltage_delay_s)
    back = limits.cell_voltage_hysteresis_mv
    over = levels(True, back, warn=limits.cell_over_warn_mv, critical=limits.cell_over_critical_mv)
    under = levels(
        False, back, warn=limits.cell_under_warn_mv, critical=limits.cell_under_critical_mv
    )
    return [
        Watched(AlarmKind.CELL_OVER_VOLTAGE, over, high, dwell, high_cell),
        Watched(AlarmKind.CELL_UNDER_VOLTAGE, under, low, dwell, low_cell),
    ]


def levels(
    is_above: bool,
    hysteresis: float,
    *,
    info: float | None = None,
    warn: float | None = None,
    critical: float | None = None,
) -> list[Level]:
    given = ((INFO, info), (WARN, warn), (CRITICAL, critical))
    return [
        Level(severity, limit, is_above, hysteresis)
        for severity, limit in given
        if limit is not None
    ]


def extreme(cells: Floats, filler: float) -> tuple[Floats, Floats]:
    """The highest (filler -inf) or lowest (inf) cell of each row, and which it is, from 1."""
    filled = np.where(np.isnan(cells), filler, cells)
    which = filled.argmax(axis=1) if filler < 0 else filled.argmin(axis=1)
    values = filled[np.arange(len(cells)), which]
    return np.where(np.isinf(values), np.nan, values), which + 1.0


def spread(rows: Readings, rested_s: Floats, limits: Limits) -> Watched:
    """Between the highest and the lowest cell of a pack that has rested for a while, where the
    voltage tells something about the charge."""
    values = np.full(len(rows), np.nan)
    judged = rested_s >= limits.spread_rest_s
    above, below = limits.spread_judged_above_mv, limits.spread_judged_below_mv
    cells = rows.cells_mv
    if cells.shape[1] and judged.any():
        high, _ = extreme(cells, -math.inf)
        low, _ = extreme(cells, math.inf)
        if above is not None and below is not None:
            middle = medians(cells[judged], axis=1)
            judged = judged.copy()
            judged[judged] = (middle > above) | (middle < below)
        values = np.where(judged, high - low, np.nan)
    found = levels(
        True,
        limits.spread_hysteresis_mv,
        info=limits.spread_info_mv,
        warn=limits.spread_warn_mv,
        critical=limits.spread_critical_mv,
    )
    dwell = Dwell(limits.cell_voltage_delay_s, limits.cell_voltage_delay_s)
    return Watched(AlarmKind.CELL_SPREAD, found, values, dwell)


def temperatures(rows: Readings, limits: Limits) -> list[Watched]:
    """By how far it is too cold or too hot to charge; too hot for anything; probes that differ."""
    hot = probed(rows.temperature_c)
    lowest = probed(rows.temperature_min_c)
    cold = np.where(np.isnan(lowest), hot, lowest)
    beyond = np.maximum(hot - limits.charge_hot_c, limits.charge_cold_c - cold)
    charging = rows.current_a > limits.rest_current_a
    back = limits.temperature_hysteresis_c
    # A charge that is over has ended the alarm, however warm it is.
    while_charging = np.where(charging | np.isnan(beyond), beyond, np.minimum(beyond, -back))
    differ = hot - cold
    differ = np.where(differ > MOST_SPREAD_C, np.nan, differ)
    apart = levels(
        True,
        back,
        warn=limits.temperature_spread_warn_c,
        critical=limits.temperature_spread_critical_c,
    )
    dwell = Dwell(limits.temperature_delay_s, limits.temperature_delay_s)
    slower = Dwell(limits.temperature_spread_delay_s, limits.temperature_spread_delay_s)
    stop = levels(True, back, critical=limits.stop_hot_c)
    outside = levels(True, back, warn=0.0)
    return [
        Watched(AlarmKind.CHARGE_TEMPERATURE, outside, while_charging, dwell),
        Watched(AlarmKind.OVER_TEMPERATURE, stop, hot, dwell),
        Watched(AlarmKind.TEMPERATURE_SPREAD, apart, differ, slower),
    ]


def probed(celsius: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        possible = (celsius >= PROBE_LOW_C) & (celsius <= PROBE_HIGH_C)
    return np.where(possible, celsius, np.nan)


def insulation(rows: Readings, limits: Limits) -> Watched:
    """Ohms for each volt of the pack."""
    volts = np.where(rows.voltage_v > 0, rows.voltage_v, np.nan)
    values = rows.insulation_kohm * 1000 / volts
    found = levels(
        False,
        0.0,
        warn=limits.insulation_warn_ohm_per_v,
        critical=limits.insulation_critical_ohm_per_v,
    )
    dwell = Dwell(limits.insulation_delay_s, limits.insulation_delay_s)
    return Watched(AlarmKind.INSULATION, found, values, dwell)


def data(rows: Readings, jumped: Bools, clock: Floats, limits: Limits) -> list[Watched]:
    differs = quality.contradiction_percent(rows, limits)
    once = Dwell(0, DATA_ENDS_S, rows=1)
    unit = levels(True, 0.0, info=0.5)
    gap = levels(True, 0.0, info=1.0)
    part = levels(True, 0.0, info=limits.contradiction_percent)
    return [
        Watched(AlarmKind.DATA_UNIT_JUMP, unit, jumped.astype(float), once),
        Watched(AlarmKind.DATA_CLOCK, gap, clock, once),
        Watched(AlarmKind.DATA_CONTRADICTION, part, differs, Dwell(DIFFERS_S, DATA_ENDS_S)),
    ]


def clock(rows: Readings, went_back: Bools, resting: Bools, state: State, limits: Limits) -> Floats:
    """How the clock jumped into each row, as a multiple of the permitted gap; a clock that went
    back is beyond it at once. A pack at rest may keep silent: that is for who watches silence."""
    passed = np.diff(rows.at_s, prepend=state.last_s)
    rested = np.concatenate([[state.rest.rows > 0], resting[:-1]])
    gap = np.where(rested | np.isinf(passed), 0.0, passed / limits.clock_gap_s)
    return np.where(went_back, np.maximum(gap, BACK), gap)


def event(rows: Readings, found: list[int]) -> Watched:
    """A runaway needs no second look, and is over when no sign was seen for an hour."""
    values = np.zeros(len(rows))
    values[found] = 1.0
    once = Dwell(0, RUNAWAY_ENDS_S, rows=1)
    level = levels(True, 0.0, critical=0.5)
    return Watched(AlarmKind.THERMAL_RUNAWAY, level, values, once)
