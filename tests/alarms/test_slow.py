"""Alarms that rest on estimates and on months."""

import csv
from datetime import datetime

import numpy as np
import pytest

from leasing.alarms import slow
from leasing.alarms.model import Change, Limits
from leasing.health.estimators.standby import Drift, drift
from tests.conftest import SHARED

LIMITS = Limits()
DAY = 86_400
BANK = SHARED / "data" / "health" / "lfp_bank_standby" / "hourly_voltage.csv"


def capacity(upper_mah: float, previous_mah: float | None = None) -> Change | None:
    return slow.capacity(
        0,
        upper_mah,
        guarantee_mah=80_000,
        rated_mah=100_000,
        previous_mah=previous_mah,
        limits=LIMITS,
    )


def test_capacity_is_below_its_guarantee_when_the_whole_interval_is() -> None:
    change = capacity(79_900)
    assert change is not None
    assert (change.severity, change.value, change.limit) == ("critical", 79_900, 80_000)
    assert capacity(80_000) is None


def test_capacity_that_fell_by_more_than_ten_points_is_told() -> None:
    change = capacity(84_900, previous_mah=95_000)
    assert change is not None
    assert (change.severity, change.limit) == ("warn", 85_000)
    assert capacity(85_000, previous_mah=95_000) is None


def test_resistance_is_judged_against_the_packs_own() -> None:
    told = [slow.resistance(0, 0.001 * grown, 0.001, LIMITS) for grown in (1.19, 1.21, 2.0)]
    assert [one and one.severity for one in told] == [None, "warn", "critical"]


def standing(days: int, slope_mv: float, seed: int = 1) -> Drift | None:
    draw = np.random.default_rng(seed)
    at = np.arange(0, days * DAY, 3600.0)
    weather = 0.5 * np.sin(at / DAY * 2 * np.pi / 6)
    values = 3320 + slope_mv * at / DAY + weather + draw.normal(0, 1, len(at))
    return drift(at / DAY, values / 1000)


def test_the_first_month_after_a_charge_says_nothing() -> None:
    assert standing(59, -0.25) is None
    assert standing(61, -0.25) is not None


@pytest.mark.parametrize("slope_mv", [-0.05, -0.25, -1.0])
def test_the_interval_of_a_slope_holds_it(slope_mv: float) -> None:
    held = 0
    for seed in range(10):
        found = standing(75, slope_mv, seed)
        assert found is not None
        assert abs(found.mv_per_day - slope_mv) < 0.03
        held += found.lower <= slope_mv <= found.upper
    assert held >= 7


def test_a_pack_is_told_when_it_certainly_loses_twice_what_its_fleet_does() -> None:
    found = standing(75, -0.25)
    assert found is not None
    change = slow.standby(0, found, -0.10, LIMITS)
    assert change is not None
    assert (change.severity, change.limit) == ("warn", -0.2)
    assert slow.standby(0, found, -0.125, LIMITS) is None
    assert slow.standby(0, found, -0.25, LIMITS) is None


@pytest.mark.skipif(not BANK.exists(), reason="needs ../shared/data/health")
def test_the_load_on_a_real_standby_bank_is_found() -> None:
    """A 13 mA load on 500 Ah; its owner and ours find -0.25 mV for each cell and day."""
    with BANK.open() as file:
        rows = list(csv.DictReader(file))
    at = np.array([datetime.fromisoformat(row["ts"] + "+00:00").timestamp() for row in rows])
    middle = np.array([(float(row["v_min"]) + float(row["v_max"])) / 2 for row in rows])
    found = drift((at - at[0]) / DAY, middle / 4)
    assert found is not None
    assert found.mv_per_day == pytest.approx(-0.25, abs=0.02)
    assert -0.29 < found.lower < found.upper < -0.21
