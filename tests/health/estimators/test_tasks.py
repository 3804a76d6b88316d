"""The five tasks on tables made here, with what ships in the package."""

from dataclasses import dataclass

import numpy as np
import pytest

from leasing.health.estimators import charge, discharge, early_life, fade, pulse, shipped
from leasing.health.estimators.model import MissingColumn, Prediction, Table
from leasing.health.estimators.tasks import PULSE_TYPES, TASKS


@pytest.mark.parametrize("task", TASKS)
def test_a_table_without_its_columns_is_refused_by_name(task: str) -> None:
    with pytest.raises(MissingColumn, match=f"{task} needs the columns .*; the file has nonsense"):
        TASKS[task]({"nonsense": np.arange(3)}, None)


@pytest.mark.parametrize(
    "name",
    [charge.TASK, discharge.TASK, fade.TASK, early_life.TASK]
    + [f"{pulse.TASK}_{rated}" for rated in PULSE_TYPES],
)
def test_what_ships_is_small_and_survives_being_written(name: str) -> None:
    parameters = shipped.parameters(name)
    assert len(shipped.encode(parameters)) <= 200_000
    module = next(
        m for m in (charge, discharge, fade, early_life, pulse) if name.startswith(m.TASK)
    )
    assert module.dump(module.load(parameters)) == parameters


# Pulses


def pulse_table(rated: int) -> tuple[Table, pulse.Model]:
    model = pulse.load(shipped.parameters(f"{pulse.TASK}_{rated}"))
    rows = model.rows[:20]
    table: Table = {
        "unit": np.array([f"cell{k // 5}" for k in range(20)]),
        "rated_ah": np.full(20, rated),
        **{name: rows[:, k] for k, name in enumerate(pulse.VOLTS + pulse.PHI)},
    }
    return table, model


def test_every_pulse_is_judged_by_itself_and_numbered_within_its_cell() -> None:
    table, model = pulse_table(35)
    whole = pulse.predict(table, {35: model})
    alone = pulse.predict({name: values[7:8] for name, values in table.items()}, {35: model})
    assert [p.index for p in whole] == list(range(5)) * 4
    assert alone[0].pred == pytest.approx(whole[7].pred)
    assert all(0.5 < p.lower < p.pred < p.upper < 1.1 for p in whole)


def test_an_unknown_type_and_a_pulse_unlike_all_others_have_no_answer() -> None:
    table, model = pulse_table(35)
    assert pulse.predict(table | {"rated_ah": np.full(20, 50)}, {35: model}) == []
    broken = table | {name: table[name].astype(float).copy() for name in pulse.VOLTS}
    for name in pulse.VOLTS[1:]:
        broken[name][3] = 0.0
    broken["u1"][4] = np.nan
    answered = {(p.unit, p.index) for p in pulse.predict(broken, {35: model})}
    assert len(answered) == 18
    assert answered.isdisjoint({("cell0", 3), ("cell0", 4)})


def test_a_cell_further_worn_than_any_seen_is_not_taken_for_an_average_one() -> None:
    """Twelve cells with resistance from 1 to 2.1, whose health falls with it; then one of 2.4."""
    random = np.random.default_rng(5)
    worn = np.repeat(np.linspace(1.0, 2.1, 12), 10)
    units = np.repeat([f"c{k:02}" for k in range(12)], 10)

    def measured(resistances: np.ndarray) -> np.ndarray:
        rest = random.uniform(3.2, 3.3, size=(len(resistances), 1))
        drops = np.repeat(pulse.RATES, 8)[None, :] * np.tile([1, 1.5, 0.2, 0.1] * 2, 5)[None, :]
        signs = np.tile([1, 1, 1, 1, -1, -1, -1, -1], 5)[None, :]
        volts = rest + 0.02 * signs * drops * resistances[:, None]
        phi = np.tile(0.01 * pulse.RATES, (len(resistances), 1)) * resistances[:, None]
        return np.concatenate([rest, volts, phi], axis=1)

    model = pulse.fit_type(measured(worn), 1.1 - 0.2 * worn, units)
    value, _, _ = pulse.apply(model, measured(np.full(5, 2.4)))
    assert value == pytest.approx(np.full(5, 0.62), abs=0.02)


# Charges of a large cell


@dataclass
class Cell:
    """Charges of an LFP-like cell whose window shrinks with its capacity."""

    name: str
    amperes: float
    degrees: float
    offset_v: float = 0.0

    def charges(self, capacities: np.ndarray) -> Table:
        parts: dict[str, list[np.ndarray]] = {}
        for cycle, capacity in enumerate(capacities):
            # A charge ends when it is full, not when half a minute is.
            seconds = 3600 * capacity / self.amperes
            t_s = seconds - 30.0 * np.arange(int(seconds / 30), -1, -1)
            moved = self.amperes * t_s / 3600
            volts = (
                3.2
                + 0.1 * np.tanh(moved / 10)
                + 0.001 * moved
                + 0.01 * np.tanh((moved - 0.6 * capacity) / 3)
                + 0.25 * np.exp((moved - capacity) / 1.5)
                + self.offset_v
            )
            columns = {
                "unit": np.full(len(t_s), self.name),
                "cycle": np.full(len(t_s), cycle),
                "t_s": t_s,
                "voltage_v": volts,
                "current_a": np.full(len(t_s), self.amperes),
                "temperature_c": np.full(len(t_s), self.degrees),
            }
            for name, values in columns.items():
                parts.setdefault(name, []).append(values)
        return {name: np.concatenate(values) for name, values in parts.items()}


CAPACITIES = 102 - 0.3 * np.arange(100)


def known_type() -> charge.Model:
    table = Cell("ref", 50, 56).charges(CAPACITIES)
    truth = {("ref", k): float(v) for k, v in enumerate(CAPACITIES)}
    return charge.fit(table, truth, 102.0)


def pieces(table: Table, protocol: str) -> Table:
    volts = table["voltage_v"]
    keep = (volts >= 3.34) & (volts <= 3.42) if protocol == "window" else volts > 3.35
    found = {name: values[keep] for name, values in table.items()}
    return found | {"protocol": np.full(int(keep.sum()), protocol)}


@pytest.mark.parametrize("protocol", ["window", "topup"])
def test_a_cell_charged_like_the_reference_is_followed_within_its_interval(protocol: str) -> None:
    true = 101 - 0.25 * np.arange(100)
    found = charge.predict(
        pieces(Cell("new", 50, 55, 0.0005).charges(true), protocol), known_type()
    )
    assert len(found) == 100
    assert all(p.lower <= true[p.index] <= p.upper for p in found)
    assert max(abs(p.pred - true[p.index]) for p in found) < 3.0
    assert {p.protocol for p in found} == {protocol}


def test_another_current_or_temperature_widens_the_interval_or_leaves_no_answer() -> None:
    model, true = known_type(), 101 - 0.25 * np.arange(100)
    seen = charge.predict(pieces(Cell("a", 50, 55).charges(true), "window"), model)
    for strange in (Cell("b", 100, 55), Cell("c", 50, 30)):
        window = charge.predict(pieces(strange.charges(true), "window"), model)
        widths = [p.upper - p.lower for p in window[-20:]]
        assert np.mean(widths) > 1.6 * np.mean([p.upper - p.lower for p in seen[-20:]])
        # A piece up to full is not even compared; a unit with nothing else has no answer.
        assert charge.predict(pieces(strange.charges(true), "topup"), model) == []


def test_only_earlier_cycles_of_a_cell_are_used() -> None:
    model, true = known_type(), 101 - 0.25 * np.arange(60)
    table = pieces(Cell("new", 50, 55).charges(true), "window")
    whole = charge.predict(table, model)
    early = np.asarray(table["cycle"]) <= 30
    some = charge.predict({name: values[early] for name, values in table.items()}, model)
    assert some == whole[: len(some)]
    assert len(some) == 31


def test_another_piece_of_the_same_charge_is_not_used() -> None:
    model, true = known_type(), 101 - 0.25 * np.arange(30)
    table = Cell("new", 50, 55).charges(true)
    window, topup = pieces(table, "window"), pieces(table, "topup")
    last = np.asarray(topup["cycle"]) == 29
    earlier = np.asarray(window["cycle"]) < 29

    def predicted(rows: np.ndarray) -> list[Prediction]:
        table = {n: np.concatenate([window[n][rows], topup[n][last]]) for n in window}
        return [p for p in charge.predict(table, model) if p.protocol == "topup"]

    assert predicted(earlier) == predicted(np.ones(len(earlier), dtype=bool))
    assert predicted(earlier) != predicted(earlier & (np.asarray(window["cycle"]) < 28))


def test_a_piece_that_begins_in_the_window_does_not_measure_it() -> None:
    volts = np.linspace(3.37, 3.42, 50)
    assert charge.window_charge(np.linspace(0, 20, 50), volts) is None
    volts = np.linspace(3.34, 3.42, 50)
    assert charge.window_charge(np.linspace(0, 20, 50), volts) == pytest.approx(20)


# Partial discharges


def discharges(unit: str, capacities: list[float], rest_after: bool = True) -> Table:
    parts: dict[str, list[np.ndarray]] = {}
    for cycle, capacity in enumerate(capacities, start=1):
        t_s = np.arange(0.0, 1800 * capacity, 10.0)
        volts = 4.1 - 1.3 * t_s / t_s[-1]
        amperes = np.full(len(t_s), -2.0)
        if rest_after:
            # The load is gone and the voltage comes back into the window.
            t_s = np.concatenate([t_s, t_s[-1] + np.arange(10.0, 400.0, 10.0)])
            volts = np.concatenate([volts, np.full(39, 3.6)])
            amperes = np.concatenate([amperes, np.zeros(39)])
        columns = {
            "unit": np.full(len(t_s), unit),
            "kind": np.full(len(t_s), "discharge"),
            "cycle": np.full(len(t_s), cycle),
            "t_s": t_s,
            "voltage_v": volts,
            "current_a": amperes,
        }
        for name, values in columns.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def test_commissioning_narrows_the_interval_and_its_cycles_are_not_predicted() -> None:
    model = discharge.load(shipped.parameters(discharge.TASK))
    capacities = [1.8 - 0.01 * k for k in range(30)]
    table = discharges("b", capacities)
    known = {("b", k + 1): value for k, value in enumerate(capacities)}
    plain = {p.index: p for p in discharge.predict(table, model)}
    tested = {p.index: p for p in discharge.predict(table, model, known)}
    assert set(plain) - set(tested) == {1, 2, 3}
    for cycle in (5, 20, 30):
        narrow, wide = tested[cycle], plain[cycle]
        assert narrow.upper - narrow.lower < (wide.upper - wide.lower) / 2
    assert tested[30].upper - tested[30].lower > tested[5].upper - tested[5].lower


def test_later_capacities_are_not_used_even_when_they_are_given() -> None:
    model = discharge.load(shipped.parameters(discharge.TASK))
    table = discharges("b", [1.8 - 0.01 * k for k in range(12)])
    honest = {("b", k): 1.8 for k in (1, 2, 3)}
    generous = honest | {("b", k): 9.9 for k in range(4, 13)}
    assert discharge.predict(table, model, honest) == discharge.predict(table, model, generous)


def test_the_voltage_coming_back_after_the_load_is_not_looked_at() -> None:
    model = discharge.load(shipped.parameters(discharge.TASK))
    with_rest = discharge.predict(discharges("b", [1.8, 1.7]), model)
    without = discharge.predict(discharges("b", [1.8, 1.7], rest_after=False), model)
    assert with_rest == without


def test_a_discharge_that_began_inside_the_window_has_no_answer() -> None:
    """At rest above 3.88 V, and below it with the first ampere."""
    t_s = np.arange(0.0, 3000.0, 10.0)
    volts = np.where(t_s < 100, 3.89, 3.8 - 0.4 * t_s / 3000)
    amperes = np.where(t_s < 100, 0.0, -2.0)
    assert discharge.window_charge(t_s, volts, amperes) is None
    rising = np.where(t_s < 100, 3.89, volts + 0.1)
    assert discharge.window_charge(t_s, rising, np.full(len(t_s), -2.0)) is not None


def test_a_discharge_cut_short_has_no_answer() -> None:
    model = discharge.load(shipped.parameters(discharge.TASK))
    table = discharges("b", [1.8], rest_after=False)
    seen = np.asarray(table["voltage_v"]) > 3.6
    assert discharge.predict({n: v[seen] for n, v in table.items()}, model) == []


# Cycles left


def fading(unit: str, slope: float, cycles: int) -> Table:
    soh = 100 - slope * np.arange(cycles)
    return {"unit": np.full(cycles, unit), "cycle": np.arange(cycles), "soh_pct": soh}


def test_a_straight_fade_of_an_unknown_family_is_continued() -> None:
    model = fade.load(shipped.parameters(fade.TASK))
    found = {p.index: p for p in fade.predict(fading("X/1", 0.02, 1200), model)}
    assert set(found) == {95, 90, 87, 85}
    assert found[90].pred == pytest.approx(500, rel=0.03)
    assert found[90].protocol == "from_90pct"
    known = {p.index: p for p in fade.predict(fading("ESSL1/x", 0.02, 1200), model)}
    assert known[90].upper / known[90].pred < found[90].upper / found[90].pred


def test_an_unknown_family_past_its_knee_is_told_by_what_it_does_now() -> None:
    model = fade.load(shipped.parameters(fade.TASK))
    cycles = np.arange(800)
    soh = np.where(cycles < 400, 100 - 0.01 * cycles, 96 - 0.05 * (cycles - 400))
    table: Table = {"unit": np.full(800, "X/1"), "cycle": cycles, "soh_pct": soh}
    found = {p.index: p.pred for p in fade.predict(table, model)}
    assert found[85] == pytest.approx(100, rel=0.05)


def test_what_comes_after_the_cut_changes_nothing() -> None:
    model = fade.load(shipped.parameters(fade.TASK))
    table = fading("ESSL1/x", 0.02, 1200)
    later = np.asarray(table["soh_pct"]).copy()
    later[700:] = 20.0
    before = [p for p in fade.predict(table, model) if p.index in (95, 90, 87)]
    assert [p for p in fade.predict(table | {"soh_pct": later}, model) if p.index > 86] == before
    assert fade.predict(fading("ESSL1/x", 0.02, 200), model) == []


def test_outliers_and_noise_leave_the_estimate_standing() -> None:
    model = fade.load(shipped.parameters(fade.TASK))
    random = np.random.default_rng(6)
    table = fading("ESSL1/x", 0.02, 1200)
    noisy = np.asarray(table["soh_pct"]) + random.normal(scale=0.5, size=1200)
    noisy[::50] -= 12
    clean = {p.index: p.pred for p in fade.predict(table, model)}
    for p in fade.predict(table | {"soh_pct": noisy}, model):
        assert p.pred == pytest.approx(clean[p.index], rel=0.25)


# Early life


def early(unit: str, size: float) -> Table:
    grid = np.arange(1000)
    sunk = size * np.exp(-(((grid - 400) / 120) ** 2))
    return {
        "unit": np.full(2000, unit),
        "cycle": np.repeat([10, 100], 1000),
        "v_index": np.tile(grid, 2),
        "discharge_capacity_ah": np.concatenate([np.linspace(0, 1.07, 1000)] * 2)
        - np.concatenate([np.zeros(1000), sunk]),
    }


def test_the_more_the_curve_sinks_the_shorter_the_life() -> None:
    model = early_life.load(shipped.parameters(early_life.TASK))
    lives = [early_life.predict(early("a", size), model)[0] for size in (0.01, 0.03, 0.08)]
    assert lives[0].pred > lives[1].pred > lives[2].pred > 100
    assert all(one.lower < one.pred < one.upper for one in lives)


def test_a_cell_without_a_whole_curve_has_no_answer() -> None:
    model = early_life.load(shipped.parameters(early_life.TASK))
    table = early("a", 0.03)
    assert early_life.predict({n: v[:-1] for n, v in table.items()}, model) == []
