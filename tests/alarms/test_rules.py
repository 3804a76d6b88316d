"""Alarms from readings: what they find, what they leave alone, and that portions do not matter."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.alarms import rules
from leasing.alarms.model import Limits, Readings, defaults, readings
from leasing.alarms.rules import START, State
from schemas.alarms import AlarmKind
from tests.alarms import cars
from tests.alarms.cars import DAY, LIMITS, changed, in_portions, joined, severe, told, with_cells

LFP = defaults("B", cells_in_series=16, rated_capacity_mah=100_000, rated_voltage_mv=51_200)


def rows_of(cells: list[list[float]], step_s: float = 10, **columns: object) -> Readings:
    return readings(np.arange(len(cells)) * step_s, cells_mv=cells, **columns)


def faulty() -> Readings:
    """A car with everything: a cell apart, a cell that drifts, odd rows, a clock that goes back,
    and a runaway at the end."""

    def change(cells: np.ndarray) -> None:
        cells[:, 3] -= 30
        cells[:, 7] -= np.maximum(0, np.arange(len(cells)) / 288 - 8) * 15
        cells[700:703, 5] = np.nan
        cells[900] *= 10
        cells[1200:1210, 9] = 4500

    rows = with_cells(cars.car(days=13), change)
    celsius = rows.temperature_c.copy()
    celsius[1500:1520] = 58
    at = rows.at_s.copy()
    at[1000:1003] -= 5000
    insulation = np.where(rows.at_s > 12.5 * DAY, 400.0, 1000.0)
    rows = changed(rows, temperature_c=celsius, at_s=at, insulation_kohm=insulation)
    return joined(rows, runaway_rows(rows, 30))


def runaway_rows(after: Readings, step_s: float) -> Readings:
    last = after.rows(np.array([-1] * 5))
    cells, celsius = last.cells_mv.copy(), last.temperature_c.copy()
    cells[1:, 10] = 1600
    cells[3:, 11:14] = math.nan
    celsius[2:] += 45
    at = after.at_s[-1] + step_s * np.arange(1, 6)
    return changed(last, at_s=at, cells_mv=cells, temperature_c=celsius)


FAULTY = faulty()
WHOLE = told(FAULTY)


def test_the_car_with_everything_raises_all_of_it() -> None:
    assert {change.kind for change in WHOLE} >= {
        AlarmKind.STATIC_IMBALANCE,
        AlarmKind.DRIFT,
        AlarmKind.THERMAL_RUNAWAY,
        AlarmKind.CELL_OVER_VOLTAGE,
        AlarmKind.OVER_TEMPERATURE,
        AlarmKind.DATA_UNIT_JUMP,
        AlarmKind.DATA_CLOCK,
        AlarmKind.CELL_SPREAD,
    }


@settings(deadline=None, max_examples=12)
@given(st.lists(st.integers(0, 4000), max_size=40))
def test_rows_give_the_same_alarms_in_whatever_portions_they_come(cuts: list[int]) -> None:
    assert in_portions(FAULTY, cuts) == WHOLE


def test_one_row_at_a_time_gives_the_alarms_of_the_whole() -> None:
    rows = FAULTY.rows(slice(3300, None))
    assert in_portions(rows, list(range(len(rows)))) == told(rows)


values = st.one_of(st.just(math.nan), st.floats(2000, 4700).map(round), st.just(43_000.0))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(-5, 400),
            st.lists(values, min_size=4, max_size=4),
            st.sampled_from([math.nan, -45.0, 10.0, 20.0, 58.0, 90.0, 130.0]),
            st.sampled_from([math.nan, 0.0, 30.0, -30.0]),
            st.sampled_from([math.nan, 50.0, 52.0, 60.0]),
        ),
        min_size=1,
        max_size=60,
    ),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_portions_do_not_matter_for_any_rows_whatever(
    drawn: list[tuple[int, list[float], float, float, float]], cuts: list[int]
) -> None:
    steps, cells, celsius, current, soc = zip(*drawn, strict=True)
    rows = readings(
        np.cumsum(steps),
        cells_mv=cells,
        temperature_c=celsius,
        current_a=current,
        soc_percent=soc,
        voltage_v=np.nansum(cells, axis=1) / 1000,
    )
    assert in_portions(rows, cuts, LFP) == told(rows, LFP)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([52.0, 50.0, 20.0, math.nan]), min_size=1, max_size=30))
def test_a_pack_without_cell_voltages_is_watched_by_its_own(volts: list[float]) -> None:
    rows = readings(np.arange(len(volts)) * 10, voltage_v=volts, current_a=[30.0] * len(volts))
    changes = told(rows, LFP)
    assert in_portions(rows, list(range(len(volts))), LFP) == changes
    held = any(volts[i : i + 2] == [20.0, 20.0] for i in range(len(volts)))
    under = [change for change in changes if change.kind is AlarmKind.CELL_UNDER_VOLTAGE]
    assert not held or under


def test_the_state_survives_being_stored() -> None:
    import msgspec

    _, state = rules.check(FAULTY.rows(slice(0, 3000)), START, LIMITS)
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    rest = FAULTY.rows(slice(3000, None))
    assert rules.check(rest, stored, LIMITS)[0] == rules.check(rest, state, LIMITS)[0]


# Cells


def test_a_healthy_car_raises_nothing() -> None:
    assert severe(told(cars.car(days=20))) == []


@pytest.mark.parametrize(("cells", "step_s"), [(96, 60), (88, 30), (87, 10), (16, 900)])
def test_the_weak_cell_is_found_in_a_week_whatever_the_cells_and_the_interval(
    cells: int, step_s: float
) -> None:
    rows = cars.car(days=7.1, step_s=step_s, cells=cells)

    def weaken(found: np.ndarray) -> None:
        found[:, 2] -= 25

    (change,) = [
        one
        for one in told(with_cells(rows, weaken), cars.car_limits(cells))
        if one.severity == "warn"
    ]
    assert (change.kind, change.cell) == (AlarmKind.STATIC_IMBALANCE, 3)
    assert change.at_s == 7 * DAY


def test_a_cell_that_drifts_is_found_within_two_days_and_no_other() -> None:
    def weaken(cells: np.ndarray) -> None:
        cells[:, 7] -= np.maximum(0, np.arange(len(cells)) / 288 - 10) * 20

    (change,) = [
        one for one in told(with_cells(cars.car(days=14), weaken)) if one.severity == "warn"
    ]
    assert (change.kind, change.cell) == (AlarmKind.DRIFT, 8)
    # It is 12 mV away after 10.6 days.
    assert 11 * DAY < change.at_s < 12.6 * DAY


def test_a_row_at_the_end_of_a_load_is_not_rest_yet() -> None:
    """The first row without current still shows the cells as they were under load."""

    def sag(cells: np.ndarray) -> None:
        cells[after_load, 2] -= 60

    rows = cars.car(days=9, step_s=900)
    loaded = np.arange(len(rows)) % 2 == 0
    after_load = ~loaded
    rows = changed(rows, current_a=np.where(loaded, -40.0, 0.0))
    assert severe(told(with_cells(rows, sag))) == []


def test_most_of_a_pack_that_moves_leaves_the_rest_where_it_is() -> None:
    """What all cells but a few do is the pack's; the reference cell must not be taken for moved."""

    def shift(cells: np.ndarray) -> None:
        cells[10 * 288 :] -= 15
        cells[10 * 288 :, 5] -= 40

    drifting = {cell for kind, _, cell in severe(told(with_cells(cars.car(days=16), shift)))}
    assert drifting == {6}


def test_half_a_pack_that_moves_together_is_no_drift() -> None:
    """A change of temperature or state of charge moves the cells of one side."""

    def shift(cells: np.ndarray) -> None:
        cells[10 * 288 :, ::2] -= 20

    assert severe(told(with_cells(cars.car(days=16), shift))) == []


def test_a_pattern_that_is_stretched_is_no_drift() -> None:
    """Differences in charge show more where the curve is steep."""
    rows = cars.car(days=16)
    middle = np.median(rows.cells_mv, axis=1)[:, None]
    cells = rows.cells_mv.copy()
    cells[:, 2] -= 20
    late = np.arange(len(cells)) >= 10 * 288
    cells[late] = np.round(middle[late] + 2.5 * (cells[late] - middle[late]))
    found = severe(told(changed(rows, cells_mv=cells)))
    assert found == [("static_imbalance", "warn", 3)]


def test_a_drift_is_over_after_five_days_without() -> None:
    def weaken(cells: np.ndarray) -> None:
        cells[9 * 288 : 13 * 288, 7] -= 40

    changes = told(with_cells(cars.car(days=20), weaken))
    drift = [change for change in changes if change.kind is AlarmKind.DRIFT]
    assert [change.severity for change in drift] == ["warn", None]
    assert drift[1].at_s == 18 * DAY


def test_a_pack_that_was_balanced_is_no_longer_apart() -> None:
    def weaken(cells: np.ndarray) -> None:
        cells[: 10 * 288, 2] -= 25

    changes = told(with_cells(cars.car(days=20), weaken))
    apart = [change for change in changes if change.kind is AlarmKind.STATIC_IMBALANCE]
    assert [(change.severity, change.cell) for change in apart] == [("warn", 3), (None, 3)]


def test_a_voltage_beyond_its_limit_counts_when_it_stays_and_grows_more_severe() -> None:
    calm = [3300.0] * 16
    high = [*calm[:5], 3620.0, *calm[6:]]
    higher = [*calm[:5], 3660.0, *calm[6:]]
    near = [*calm[:5], 3590.0, *calm[6:]]
    rows = rows_of([calm, high, calm, high, high, higher, higher, near, near, calm, calm])
    changes = [change for change in told(rows, LFP) if change.kind is AlarmKind.CELL_OVER_VOLTAGE]
    assert [(change.at_s, change.severity, change.cell) for change in changes] == [
        (40, "warn", 6),
        (60, "critical", 6),
        (100, None, 6),
    ]


def test_the_spread_of_lfp_counts_at_the_ends_of_its_curve_and_at_rest_only() -> None:
    plateau = [[3300.0] * 15 + [3180.0]] * 120
    full = [[3450.0] * 15 + [3330.0]] * 120

    def kinds(cells: list[list[float]], current_a: float) -> set[str]:
        rows = rows_of(cells, current_a=[current_a] * 120)
        return {change.kind for change in told(rows, LFP)}

    assert AlarmKind.CELL_SPREAD not in kinds(plateau, 0.0)
    assert AlarmKind.CELL_SPREAD in kinds(full, 0.0)
    assert AlarmKind.CELL_SPREAD not in kinds(full, 30.0)


# Temperature


def test_charging_in_the_cold_is_told_and_standing_in_it_is_not() -> None:
    cold = {"temperature_c": [-3.0] * 20, "temperature_min_c": [-5.0] * 20}
    cells = [[3300.0] * 16] * 20
    charging = told(rows_of(cells, current_a=[30.0] * 20, **cold), LFP)
    assert severe(charging) == [("charge_temperature", "warn", None)]
    assert severe(told(rows_of(cells, current_a=[0.0] * 20, **cold), LFP)) == []


def test_a_broken_probe_is_no_spread() -> None:
    rows = rows_of([[3300.0] * 16] * 60, temperature_c=[25.0] * 60, temperature_min_c=[-40.0] * 60)
    assert severe(told(rows, LFP)) == []


# Runaway

CALM = [4000.0] * 24


def fast(cells: list[list[float]], celsius: list[float], step_s: float) -> list[float]:
    """When a runaway is told."""
    rows = rows_of(cells, step_s, temperature_c=celsius)
    return [
        change.at_s
        for change in told(rows)
        if change.kind is AlarmKind.THERMAL_RUNAWAY and change.severity is not None
    ]


def test_fast_rows_show_a_runaway_by_its_rate() -> None:
    fallen = [[*CALM[:-1], 2900.0]] * 8
    heats = [20.0, 20, 21, 22, 23, 24, 25, 26, 27, 28]
    assert fast([CALM, CALM, *fallen], heats, 1) == [5.0]
    slower = [20.0, 20, 20.5, 21, 21.5, 22, 22.5, 23, 23.5, 24]
    assert fast([CALM, CALM, *fallen], slower, 1) == []
    assert fast([CALM] * 10, heats, 1) == []
    hot = [celsius + 50 for celsius in heats]
    assert fast([CALM] * 10, hot, 1) == [5.0]


def test_slow_rows_show_a_runaway_by_its_rise_in_the_same_row() -> None:
    apart = [*CALM[:-1], 3700.0]
    gone = [*CALM[:-2], math.nan, math.nan]
    for last in (apart, gone):
        assert fast([CALM, CALM, last], [20, 20, 45], 30) == [60.0]
        assert fast([CALM, CALM, last], [20, 20, 35], 30) == []
    assert fast([CALM, CALM, apart], [20, 20, 45], 90) == []


@pytest.mark.parametrize("step_s", [1, 3, 10, 30, 60])
def test_signs_in_neighbouring_rows_belong_together(step_s: float) -> None:
    rows = cars.car(days=0.5)
    changes = told(joined(rows, runaway_rows(rows, step_s)))
    (first, *_) = [one for one in changes if one.kind is AlarmKind.THERMAL_RUNAWAY]
    assert first.at_s == rows.at_s[-1] + 3 * step_s


def test_a_cell_that_falls_and_cells_that_are_gone_are_enough_without_heat() -> None:
    fallen = [*CALM[:-1], 2900.0]
    gone = [*CALM[:-3], math.nan, math.nan, 2900.0]
    for step_s, wanted in ((1, [2.0]), (30, [60.0]), (90, [])):
        assert fast([CALM, fallen, gone], [20, 20, 20], step_s) == wanted
    assert fast([CALM, fallen, fallen], [20, 20, 20], 1) == []


def test_all_cells_that_fall_together_are_a_load_or_another_scale() -> None:
    low = [2800.0] * 23 + [2600.0]
    assert fast([CALM, low], [20, 45], 30) == []


def test_cells_that_were_gone_long_ago_are_not_gone_now() -> None:
    gone = [*CALM[:-2], math.nan, math.nan]
    rows = rows_of([CALM, gone, gone, gone], temperature_c=[20.0, 20, 20, 60])
    rows = changed(rows, at_s=np.array([0.0, 1000, 1010, 1020]))
    assert AlarmKind.THERMAL_RUNAWAY not in {change.kind for change in told(rows)}


def test_cells_that_are_not_sent_for_a_while_are_no_runaway() -> None:
    gone = [*CALM[:4], *[math.nan] * 20]
    assert fast([CALM, gone, gone, CALM, gone], [20] * 5, 1) == []


def test_a_probe_that_jumps_is_no_runaway() -> None:
    assert fast([CALM] * 5, [20, 70, 70, 20, 70], 10) == []


def test_all_cells_in_another_unit_are_told_as_that_and_nothing_else() -> None:
    rows = cars.car(days=1)
    cells = rows.cells_mv.copy()
    cells[100:103] *= 10
    changes = told(changed(rows, cells_mv=cells))
    assert [(one.kind, one.severity) for one in changes] == [
        (AlarmKind.DATA_UNIT_JUMP, "info"),
        (AlarmKind.DATA_UNIT_JUMP, None),
    ]


def test_a_pack_without_cells_shows_a_runaway_by_heat_and_its_own_voltage() -> None:
    rows = readings([0, 30, 60, 90], voltage_v=[52, 52, 50.8, 50.8], temperature_c=[25, 25, 60, 90])
    (change,) = [one for one in told(rows, LFP) if one.kind is AlarmKind.THERMAL_RUNAWAY]
    assert change.at_s == 60


# Insulation


def test_insulation_is_judged_by_the_volt_and_never_where_it_does_not_apply() -> None:
    rows = readings(
        np.arange(20) * 10, voltage_v=[350.0] * 20, insulation_kohm=[100.0] * 10 + [30.0] * 10
    )
    high = defaults("E", cells_in_series=96, rated_voltage_mv=350_000)
    assert [one.severity for one in told(rows, high)] == ["warn", "critical"]
    assert told(changed(rows, voltage_v=rows.voltage_v / 7), LFP) == []


def test_insulation_that_sinks_below_its_own_beginning_is_a_reason_to_inspect() -> None:
    at = np.arange(0, 40 * DAY, 1800)
    rows = readings(at, insulation_kohm=np.where(at > 25 * DAY, 600.0, 1000.0))
    (change,) = told(rows)
    assert (change.kind, change.severity) == (AlarmKind.INSULATION_TREND, "info")
    assert 25 * DAY < change.at_s <= 32 * DAY
    assert (change.value, change.limit) == (600, 700)


# Data


def test_a_cell_that_stands_still_while_others_move_is_told() -> None:
    rows = cars.car(days=1)
    cells = rows.cells_mv.copy()
    cells[50:, 6] = 3800
    stuck = [one for one in told(changed(rows, cells_mv=cells)) if one.kind is AlarmKind.DATA_STUCK]
    assert [(one.cell, one.severity) for one in stuck] == [(7, "info")]
    assert stuck[0].at_s > 8 * 3600


def test_a_state_of_charge_against_the_current_is_told() -> None:
    rows = cars.car(days=1)
    changes = told(changed(rows, soc_percent=140 - rows.soc_percent))
    assert [one.kind for one in changes if one.severity] == [AlarmKind.DATA_SOC]
    assert told(rows) == []


def test_a_clock_that_goes_back_is_told_once_and_its_rows_are_passed_over() -> None:
    rows = cars.car(days=1)
    at = rows.at_s.copy()
    at[100:110] -= 20_000
    changes = told(changed(rows, at_s=at))
    assert [(one.kind, one.at_s) for one in changes if one.severity] == [
        (AlarmKind.DATA_CLOCK, rows.at_s[110])
    ]
    # Also when the portion that went back is over before the clock is right again.
    assert in_portions(changed(rows, at_s=at), [100, 105, 110]) == changes


def test_a_pack_voltage_that_its_cells_deny_is_told() -> None:
    rows = cars.car(days=0.3)
    changes = told(changed(rows, voltage_v=rows.voltage_v * 1.1))
    assert [one.kind for one in changes] == [AlarmKind.DATA_CONTRADICTION]


def test_a_level_of_null_is_off() -> None:
    rows = rows_of([[3700.0] * 16] * 5)
    assert severe(told(rows, LFP)) == [
        ("cell_over_voltage", "warn", 1),
        ("cell_over_voltage", "critical", 1),
    ]
    off = Limits(cells_in_series=16, cell_over_warn_mv=None, cell_over_critical_mv=None)
    assert told(rows, off) == []
