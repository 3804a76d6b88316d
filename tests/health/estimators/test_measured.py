"""The estimators on the measurements beside the checkout, units left out whole.

The folder is not part of the repository; HEALTH_DATA names it where it lies elsewhere. Bounds are
the goals of the data sets' own report or what simple methods reached; the whole table, with pulses
fitted anew for every fold, is `make health-report`.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from jobs import health_fit, health_report
from leasing.health.estimators import (
    charge,
    discharge,
    early_life,
    fade,
    pulse,
    shipped,
    standby,
)
from leasing.health.estimators.model import names

HERE = Path(__file__).parents[3].parent / "shared" / "data" / "health"
DATA = Path(os.environ.get("HEALTH_DATA", HERE))

pytestmark = pytest.mark.skipif(
    not (DATA / "TASKS.md").is_file(), reason="measured units not found beside the checkout"
)


@pytest.fixture(scope="module", autouse=True)
def _parquet() -> None:
    pytest.importorskip("pyarrow.parquet", reason="pyarrow reads the measurements")


def test_cycles_left_are_told_better_than_by_simple_lines() -> None:
    seen, foreign = health_report.fades(DATA)
    assert seen.answered == 40
    assert seen.mape <= 25
    assert seen.rmse <= 170
    assert 0.85 <= seen.coverage <= 0.95
    assert foreign.coverage >= 0.85


def test_early_life_is_told_better_than_by_the_variance() -> None:
    (row,) = health_report.lives(DATA)
    assert row.answered == 41
    assert row.rmse <= 108
    assert 0.85 <= row.coverage <= 0.95


def test_a_commissioned_cell_is_told_within_its_goal() -> None:
    rows = list(health_report.discharges(DATA))
    commissioned = [row for row in rows if "commissioned" in row.title]
    assert all(row.rmse <= 0.030 and row.mape <= 1.5 for row in commissioned)
    assert all(row.coverage >= 0.85 for row in rows)
    assert all(row.abstained == 0 for row in rows)


def test_a_cell_in_a_condition_never_seen_gets_no_narrow_wrong_interval() -> None:
    for row in health_report.charges(DATA):
        assert row.coverage >= 0.88, row
        if "same cell" in row.title:
            assert row.rmse <= 2.5


def test_pulses_of_the_hardest_type_are_told_on_cells_left_out() -> None:
    """With the kernel that ships, cells in ten folds; the report seeks the kernel anew as well."""
    table = health_fit.pulses(DATA)
    mine = health_fit.only(table, np.asarray(table["rated_ah"]) == 35)
    values, soh, units = pulse.measured(mine), np.asarray(mine["soh"]), names(mine, "unit")
    kernel = pulse.load(shipped.parameters(f"{pulse.TASK}_35")).kernel

    def predict(out: np.ndarray) -> tuple[np.ndarray, ...]:
        one = pulse.fit_type(values[~out], soh[~out], units[~out], kernel)
        return pulse.apply(one, values[out])[:1]

    (found,) = pulse.conformal.left_out(units, 10, predict)
    assert 100 * np.mean(np.abs(found - soh) / soh) <= 2.8


def test_what_ships_is_what_the_measurements_give() -> None:
    fresh = {
        fade.TASK: fade.dump(fade.fit(health_fit.fades(DATA))),
        discharge.TASK: discharge.dump(discharge.fit(*health_fit.discharges(DATA))),
    }
    for name, parameters in fresh.items():
        assert parameters == shipped.parameters(name)
    lives = early_life.fit(*health_fit.curves(DATA))
    kept = early_life.load(shipped.parameters(early_life.TASK))
    assert lives.weights == pytest.approx(kept.weights, rel=1e-6, abs=1e-9)
    charges = charge.fit(*health_fit.full_charges(DATA), health_fit.RATED_AH)
    stored = charge.load(shipped.parameters(charge.TASK))
    assert charges.new_ah == pytest.approx(stored.new_ah, abs=1e-3)
    assert charges.references[0].curves_v == pytest.approx(stored.references[0].curves_v, abs=1e-4)


def test_a_resting_bank_sinks_as_its_monitor_draws() -> None:
    """13 mA from 500 Ah: a millivolt a day over four cells, as its owner found."""
    table = health_fit.health_tables.read(DATA / "lfp_bank_standby" / "hourly_voltage.csv")
    low, high = (np.asarray(table[name], dtype=np.float64) for name in ("v_min", "v_max"))
    found = standby.drift(np.arange(len(low)) / 24, (low + high) / 2)
    assert found is not None
    assert -1.4 <= found.lower <= found.mv_per_day <= found.upper <= -0.7
