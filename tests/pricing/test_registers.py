"""What ran through a register, also when nobody read it on the day."""

import doctest
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import registers
from leasing.pricing.registers import Reading, used
from schemas.tariffs import Restart

START = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def at(day: int) -> datetime:
    return START + day * DAY


def readings(*rows: tuple[int, int]) -> list[Reading]:
    return [Reading(UUID(int=i + 1), at(day), value) for i, (day, value) in enumerate(rows)]


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(registers).failed == 0
    assert doctest.testmod(registers).attempted >= 6


@pytest.mark.parametrize(
    ("rows", "units", "policies", "quality"),
    [
        # Read on both days.
        (((0, 100), (30, 700)), 600, ("reading", "reading"), "measured"),
        # Half-way between 0 and 200, and a third of the way from 500 to 800.
        (((-2, 0), (2, 200), (29, 500), (32, 800)), 500, ("interpolated",) * 2, "estimated"),
        # Nobody has read it since the 20th.
        (((0, 100), (20, 500)), 400, ("reading", "last_known"), "estimated"),
        (((-3, 100),), 0, ("last_known", "last_known"), "estimated"),
        # What ran before the first reading is not known.
        (((10, 100), (30, 700)), 600, ("excluded", "reading"), "incomplete"),
        (((40, 100),), 0, ("excluded", "excluded"), "missing"),
    ],
)
def test_a_boundary_without_a_reading_is_found_by_its_neighbours(rows, units, policies, quality):
    found = used(readings(*rows), at(0), at(30))
    assert found.units == units
    assert (found.detail["from"]["policy"], found.detail["to"]["policy"]) == policies
    assert found.detail["quality"] == quality
    assert found.detail["to"]["register"] - found.detail["from"]["register"] == units
    assert "restarts" not in found.detail


def test_a_register_that_nobody_read_counted_nothing():
    assert used([], at(0), at(30)).detail == {"quality": "missing", "units": 0}


@pytest.mark.parametrize(
    ("restart", "register_max", "kind", "counted"),
    [
        (Restart.RESET, None, "reset", 40),
        (Restart.ROLLOVER, 999, "rollover", 140),
        (Restart.NONE, None, "fell", 0),
    ],
)
def test_a_register_that_began_anew_never_counts_below_nothing(
    restart, register_max, kind, counted
):
    odd = Reading(UUID(int=9), at(10), 40, restart, register_max)
    found = used([*readings((0, 500), (5, 900), (30, 100)), odd], at(0), at(30))
    assert found.units == 400 + counted + 60
    assert found.detail["restarts"] == [
        {"id": str(odd.id), "kind": kind, "before": 900, "after": 40, "counted": counted}
    ]
    # By hand: last less first, and what the restart stands for in place of its difference.
    by_hand = (100 - 500) + counted - (40 - 900)
    assert by_hand == found.units


SERIES = st.lists(
    st.builds(
        lambda i, hours, value, restart: Reading(
            UUID(int=i),
            START + timedelta(hours=hours),
            value,
            restart,
            20_000 if restart is Restart.ROLLOVER else None,
        ),
        st.integers(1, 10**6),
        st.integers(-500, 1500),
        st.integers(0, 20_000),
        st.sampled_from(Restart),
    ),
    max_size=8,
    unique_by=lambda reading: (reading.at, reading.id),
)
INSTANTS = st.lists(st.integers(-600, 1600), min_size=3, max_size=3).map(
    lambda hours: [START + timedelta(hours=one) for one in sorted(hours)]
)


@given(series=SERIES, instants=INSTANTS, data=st.data())
def test_periods_leave_nothing_out_and_count_nothing_twice(series, instants, data):
    first, middle, last = instants
    whole = used(series, first, last)
    parts = used(series, first, middle).units + used(series, middle, last).units
    assert parts == whole.units >= 0
    assert used(data.draw(st.permutations(series)), first, last) == whole
