"""Business days, and where due dates go."""

import doctest
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit import calendars
from leasing.kit.calendars import (
    FIRST_YEAR,
    LAST_YEAR,
    Convention,
    UnknownYear,
    adjust,
    china,
    china_or_weekday,
    is_published,
    weekday,
)

PUBLISHED = st.dates(date(FIRST_YEAR, 2, 1), date(LAST_YEAR, 11, 30))


def test_the_examples_in_the_text_are_true() -> None:
    assert doctest.testmod(calendars).failed == 0
    assert doctest.testmod(calendars).attempted >= 3


@pytest.mark.parametrize(
    ("first", "last", "working_weekends"),
    [
        # 国办发明电〔2024〕12号, of 12 November 2024.
        (date(2025, 1, 28), date(2025, 2, 4), [date(2025, 1, 26), date(2025, 2, 8)]),
        (date(2025, 5, 1), date(2025, 5, 5), [date(2025, 4, 27)]),
        (date(2025, 10, 1), date(2025, 10, 8), [date(2025, 9, 28), date(2025, 10, 11)]),
        # 国办发明电〔2025〕7号, of 4 November 2025.
        (date(2026, 2, 15), date(2026, 2, 23), [date(2026, 2, 14), date(2026, 2, 28)]),
        (date(2026, 10, 1), date(2026, 10, 7), [date(2026, 9, 20), date(2026, 10, 10)]),
    ],
)
def test_holidays_and_make_up_days_are_those_of_the_notices(
    first: date, last: date, working_weekends: list[date]
) -> None:
    days = (last - first).days + 1
    assert not any(china(first + timedelta(days=n)) for n in range(days))
    assert china(first - timedelta(days=1)) or first - timedelta(days=1) in rest(first)
    assert all(china(on) and not weekday(on) for on in working_weekends)


def rest(first: date) -> list[date]:
    """The weekend before a holiday."""
    return [first - timedelta(days=n) for n in (1, 2) if not weekday(first - timedelta(days=n))]


@pytest.mark.parametrize("year", [FIRST_YEAR - 1, LAST_YEAR + 1])
def test_a_year_without_a_notice_is_never_guessed_silently(year: int) -> None:
    on = date(year, 5, 1)
    assert not is_published(year)
    with pytest.raises(UnknownYear, match=str(year)):
        china(on)
    with pytest.raises(UnknownYear):
        adjust(on, Convention.FOLLOWING)
    assert china_or_weekday(on) == weekday(on)


@given(PUBLISHED)
def test_a_published_year_is_never_made_of_weekdays_alone(on: date) -> None:
    assert china_or_weekday(on) == china(on)


@pytest.mark.parametrize(
    ("on", "convention", "expected"),
    [
        ("2014-08-29", "following", "2014-08-29"),
        ("2014-08-30", "none", "2014-08-30"),
        ("2014-08-30", "following", "2014-09-01"),
        ("2014-08-30", "modified_following", "2014-08-29"),
        ("2014-08-30", "preceding", "2014-08-29"),
        ("2014-08-30", "modified_preceding", "2014-08-29"),
        ("2014-11-01", "modified_following", "2014-11-03"),
        ("2014-11-01", "preceding", "2014-10-31"),
        ("2014-11-01", "modified_preceding", "2014-11-03"),
        ("2022-12-31", "modified_following", "2022-12-30"),
    ],
)
def test_weekends_move_due_dates(on: str, convention: str, expected: str) -> None:
    found = adjust(date.fromisoformat(on), Convention(convention), weekday)
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    ("on", "convention", "expected"),
    [
        ("2026-10-01", "following", "2026-10-08"),
        ("2026-10-01", "modified_preceding", "2026-10-08"),
        ("2026-02-28", "modified_following", "2026-02-28"),  # a Saturday on which people work
        ("2026-02-15", "modified_following", "2026-02-24"),
        ("2025-01-31", "modified_following", "2025-01-27"),
        ("2026-09-27", "following", "2026-09-28"),
    ],
)
def test_chinese_holidays_move_due_dates(on: str, convention: str, expected: str) -> None:
    assert adjust(date.fromisoformat(on), Convention(convention)).isoformat() == expected


@given(PUBLISHED, st.sampled_from(list(Convention)))
def test_an_adjusted_date_is_a_business_day_and_stays(on: date, convention: Convention) -> None:
    found = adjust(on, convention)
    assert found == on or convention is not Convention.NONE
    assert china(found) or convention is Convention.NONE
    assert adjust(found, convention) == found
    if china(on):
        assert found == on


@given(PUBLISHED)
def test_no_business_day_is_passed_over(on: date) -> None:
    after, before = adjust(on, Convention.FOLLOWING), adjust(on, Convention.PRECEDING)
    assert before <= on <= after
    between = [before + timedelta(days=n) for n in range(1, (after - before).days)]
    assert not any(china(day) for day in between)
    assert {
        adjust(on, Convention.MODIFIED_FOLLOWING),
        adjust(on, Convention.MODIFIED_PRECEDING),
    } <= {
        before,
        after,
    }


@given(PUBLISHED)
def test_the_modified_conventions_stay_in_the_month(on: date) -> None:
    for convention in (Convention.MODIFIED_FOLLOWING, Convention.MODIFIED_PRECEDING):
        found = adjust(on, convention)
        assert (found.year, found.month) == (on.year, on.month)


def test_a_calendar_without_business_days_is_an_error() -> None:
    with pytest.raises(ValueError, match="no business day"):
        adjust(date(2026, 1, 1), Convention.FOLLOWING, lambda on: False)
