"""Civil days of the lessor's zone."""

import doctest
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit import time
from leasing.kit.time import civil_date, midnight, month_of

ROOT = Path(__file__).parents[2]
DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(time).failed == 0
    assert doctest.testmod(time).attempted >= 4


@given(DAYS)
def test_a_month_is_the_days_from_its_first_to_the_first_of_the_next(on):
    first, following = month_of(on)
    assert first <= on < following
    assert (first.day, following.day) == (1, 1)
    assert month_of(following - timedelta(days=1)) == (first, following)


@pytest.mark.parametrize(
    ("on", "days"),
    [
        (date(2024, 2, 10), 29),
        (date(2025, 2, 28), 28),
        (date(2100, 2, 28), 28),
        (date(2026, 12, 31), 31),
    ],
)
def test_months_have_the_days_of_the_calendar(on, days):
    first, following = month_of(on)
    assert (following - first).days == days


@given(DAYS)
def test_a_civil_day_begins_at_local_midnight_and_ends_before_the_next(on):
    start = midnight(on)
    assert start.utcoffset() == timedelta(0)
    assert civil_date(start) == on
    assert civil_date(start - timedelta(microseconds=1)) == on - timedelta(days=1)
    assert midnight(on + timedelta(days=1)) - start == timedelta(days=1)


def test_the_day_turns_at_four_in_the_afternoon_utc():
    assert midnight(date(2026, 1, 1)) == datetime(2025, 12, 31, 16, tzinfo=UTC)


def test_only_one_line_of_the_project_reads_the_clock_of_the_machine():
    reads = [
        (path.relative_to(ROOT).as_posix(), line.strip())
        for folder in ("leasing", "schemas", "jobs")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if any(call in line for call in ("datetime.now(", "utcnow(", "date.today(", "time.time("))
    ]
    assert reads == [("leasing/kit/time.py", "return datetime.now(UTC)")]


@pytest.mark.parametrize(
    ("on", "zone", "expected"),
    [
        (date(2022, 3, 13), "America/New_York", datetime(2022, 3, 13, 5, tzinfo=UTC)),
        (date(2022, 3, 14), "America/New_York", datetime(2022, 3, 14, 4, tzinfo=UTC)),
        # Clocks went from 00:00 to 01:00: the day began an hour late by the clock.
        (date(2018, 11, 4), "America/Sao_Paulo", datetime(2018, 11, 4, 3, tzinfo=UTC)),
        # Clocks went from 00:00 back to 23:00: the day before had 25 hours.
        (date(2018, 2, 18), "America/Sao_Paulo", datetime(2018, 2, 18, 3, tzinfo=UTC)),
        (date(2026, 1, 1), "Asia/Shanghai", midnight(date(2026, 1, 1))),
    ],
)
def test_a_day_begins_where_its_zone_says(on, zone, expected):
    assert midnight(on, zone) == expected
    assert civil_date(expected, zone) == on
    assert civil_date(expected - timedelta(microseconds=1), zone) == on - timedelta(days=1)
