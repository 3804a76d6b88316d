"""When a check discharge is due, how deep it goes, and what it says."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit.time import midnight
from leasing.maintenance import rules
from leasing.maintenance.model import DEFAULTS, BadResult, Dark, Rule, Standing
from schemas.maintenance import CheckDischargeResult

BEGAN = date(2020, 1, 1)


def standing(**changes: Any) -> Standing:
    facts: dict[str, Any] = {
        "site_class": "C",
        "rated_capacity_mah": 100_000,
        "first_on": BEGAN,
        "tested_on": BEGAN,
        "first_mah": 95_000,
        "latest_mah": 95_000,
        "tests_done": 0,
        **changes,
    }
    return Standing(pack_id=UUID(int=1), line_id=UUID(int=2), site_id=UUID(int=3), **facts)


@pytest.mark.parametrize(
    ("pack", "rule", "on", "due"),
    [
        ({}, Rule(), date(2021, 1, 1), date(2022, 1, 1)),
        # A quarter of five years is less than two.
        ({}, Rule(life_months=60), date(2021, 1, 1), date(2021, 4, 1)),
        # 85 % of eight years are 81 months.
        ({"tested_on": date(2026, 1, 1)}, Rule(), date(2026, 9, 30), date(2028, 1, 1)),
        ({"tested_on": date(2026, 1, 1)}, Rule(), date(2026, 10, 1), date(2027, 1, 1)),
        ({"latest_mah": 85_000}, Rule(), date(2020, 6, 1), date(2022, 1, 1)),
        ({"latest_mah": 84_999}, Rule(), date(2020, 6, 1), date(2021, 1, 1)),
    ],
)
def test_tests_follow_each_other_as_the_standard_says(pack, rule, on, due):
    assert rules.due_on(standing(**pack), rule, on) == due


def test_every_other_test_is_deep_and_one_that_is_overdue_gets_a_month():
    due = date(2022, 1, 1)
    assert rules.planned_for(standing(), DEFAULTS, due - timedelta(days=31)) is None
    assert rules.planned_for(standing(), DEFAULTS, due - timedelta(days=30)) == (due, 40)
    assert rules.planned_for(standing(site_class="A"), DEFAULTS, due) == (date(2022, 1, 31), 30)
    assert rules.planned_for(standing(site_class=None), DEFAULTS, due) == (date(2022, 1, 31), 40)
    for done, depth in ((1, 80), (2, 40), (3, 80)):
        assert rules.planned_for(standing(tests_done=done), DEFAULTS, due) == (
            date(2022, 1, 31),
            depth,
        )


def result(**changes: Any) -> CheckDischargeResult:
    facts: dict[str, Any] = {
        "tested_on": date(2026, 1, 8),
        "discharged_mah": 40_000,
        "depth_percent": 40,
        "duration_minutes": 120,
        "temperature_c": 25.0,
        "start_soc_percent": 100.0,
        "end_soc_percent": 50.0,
        "signatory": "王工",
        "document_sha256": "ab" * 32,
        **changes,
    }
    return CheckDischargeResult(**facts)


VOLTAGES = {
    "start_soc_percent": None,
    "end_soc_percent": None,
    "start_voltage_mv": 54_400,
    "end_voltage_mv": 51_000,
}


@pytest.mark.parametrize(
    ("changes", "verdict", "interval"),
    [
        # 1.645 × 1 point at the end voltage, × √(1² + 2²) at 45 °C.
        ({"discharged_mah": 78_000, "depth_percent": 100}, "breach", (76_355, 79_645)),
        ({"discharged_mah": 82_000, "depth_percent": 100}, "pass", (80_355, 83_645)),
        (
            {"discharged_mah": 78_000, "depth_percent": 100, "temperature_c": 45.0},
            "inconclusive",
            (74_321, 81_679),
        ),
        # 40 Ah over 50 points: ± 1.645 × 3.6 points.
        ({}, "inconclusive", (74_078, 85_922)),
        ({"end_soc_percent": 40.0}, "breach", (60_745, 72_589)),
        # What was taken was there.
        (
            {"discharged_mah": 79_000, "depth_percent": 79, "end_soc_percent": 0.0},
            "inconclusive",
            (79_000, 80_974),
        ),
        ({**VOLTAGES}, "abstained", (None, None)),
        ({**VOLTAGES, "discharged_mah": 85_000, "depth_percent": 85}, "pass", (85_000, 120_000)),
        # On too few points a state of charge says nothing.
        ({"end_soc_percent": 81.0, "discharged_mah": 15_000, "depth_percent": 15}, "abstained",
         (None, None)),
    ],
)  # fmt: skip
def test_a_check_discharge_decides_only_with_its_whole_interval(changes, verdict, interval):
    judged = rules.judge_discharge(result(**changes), 100_000, 80_000)
    assert judged.verdict == verdict
    assert (judged.health.lower_mah, judged.health.upper_mah) == interval


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"end_soc_percent": None}, "/end_soc_percent"),
        ({"end_soc_percent": 100.0}, "/end_soc_percent"),
        ({**VOLTAGES, "start_voltage_mv": None, "end_voltage_mv": None}, "/start_soc_percent"),
        ({**VOLTAGES, "start_voltage_mv": None}, "/start_voltage_mv"),
        ({"depth_percent": 80}, "/depth_percent"),
        ({"end_soc_percent": 75.0}, "/discharged_mah"),
    ],
)
def test_what_cannot_be_a_check_discharge_is_refused_by_field(changes, pointer):
    with pytest.raises(BadResult) as refused:
        rules.judge_discharge(result(**changes), 100_000, 80_000)
    assert [fault.pointer for fault in refused.value.fields] == [pointer]


@given(
    discharged=st.integers(25_000, 110_000),
    end_soc=st.floats(0, 75),
    degrees=st.floats(-10, 55),
)
def test_an_interval_holds_its_capacity_and_what_was_taken(discharged, end_soc, degrees):
    data = result(
        discharged_mah=discharged,
        depth_percent=min(99, discharged // 1000),
        end_soc_percent=end_soc,
        temperature_c=degrees,
    )
    try:
        found = rules.judge_discharge(data, 100_000, 80_000).health
    except BadResult:
        return
    assert found.lower_mah <= found.capacity_mah <= found.upper_mah
    assert found.lower_mah >= discharged or found.method == rules.TO_THE_END


AT = midnight(date(2026, 1, 5))


def at(hours: float) -> datetime:
    return AT + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("dark_h", "back_h", "span"),
    [
        (2.0, None, (2.0, 4.0)),
        (2.0, 3.0, (2.0, 3.0)),
        (2.0, 9.0, (2.0, 4.0)),
        (4.0, 9.0, None),
        (5.0, None, None),
        (2.0, 2.0, None),
    ],
)
def test_a_site_lacks_its_backup_until_the_agreed_time_is_over_or_the_grid_is_back(
    dark_h, back_h, span
):
    back = None if back_h is None else at(back_h)
    dark = Dark(UUID(int=1), [UUID(int=2)], AT, at(dark_h), 240, back)
    assert rules.missed(dark) == (None if span is None else tuple(map(at, span)))
