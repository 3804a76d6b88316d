"""Deadlines, by rules and in the database, against an oracle that walks day by day."""

from contextlib import suppress
from datetime import date, timedelta

import chinese_calendar
import holidays
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.db.pool import Database
from leasing.kit.calendars import china
from leasing.kit.time import system_now
from leasing.obligations import calendar_store, calendars, rules
from leasing.obligations.calendars import BadNotice
from schemas.obligations import DeadlineUnit

WD, CD = DeadlineUnit.WORKING_DAYS, DeadlineUnit.CALENDAR_DAYS
FIRST, LAST = date(2018, 1, 1), date(2026, 12, 31)
DEADLINES = [(15, WD), (30, WD), (30, CD)]
STARTS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]

CN = holidays.country_holidays("CN", years=range(2018, 2029))
MAKES_UP = {day for day in CN.weekend_workdays if day.year >= 2018}


def by_one(day: date) -> bool:
    """The first package where it knows the year, else the statutory days of the second."""
    return chinese_calendar.is_workday(day) if day.year <= 2026 else by_other(day)


def by_other(day: date) -> bool:
    """The second package, from its lists alone."""
    return day in MAKES_UP or (day.weekday() < 5 and day not in CN)


def oracle(start: date, number: int, unit: DeadlineUnit, works) -> date:
    """Crosses off one day after the other, on paper so to speak."""
    crossed, day = 0, start
    while crossed < number:
        day = date.fromordinal(day.toordinal() + 1)
        if unit is CD or works(day):
            crossed += 1
    return day


DUE = """
SELECT day, deadline(day, $2, $3) AS due_on, deadline_is_provisional(deadline(day, $2, $3), $3)
  FROM unnest($1::date[]) AS given (day)
"""


@pytest.mark.parametrize("works", [by_one, by_other])
def test_deadlines_of_every_start_day_are_those_of_both_calendars(database, works):
    async def scenario(db: Database) -> None:
        async with db.transaction(read_only=True) as tx:
            for number, unit in DEADLINES:
                rows = await tx.fetch(DUE, STARTS, number, unit)
                assert len(rows) == len(STARTS) == 3_287
                for day, due_on, is_provisional in rows:
                    assert due_on == oracle(day, number, unit, works), (day, number, unit)
                    assert due_on == rules.due_on(day, number, unit, works)
                    assert is_provisional == (unit is WD and due_on > LAST)

    database(scenario)


def test_the_examples_that_counting_monday_to_friday_gets_wrong():
    for start, due_on in (
        (date(2026, 1, 30), date(2026, 2, 27)),
        (date(2026, 9, 18), date(2026, 10, 15)),
        (date(2026, 4, 27), date(2026, 5, 20)),
    ):
        assert rules.due_on(start, 15, WD, china) == due_on


@given(st.sampled_from(STARTS[:-200]), st.integers(1, 60))
def test_a_deadline_is_a_working_day_with_as_many_working_days_up_to_it(start, number):
    due_on = rules.due_on(start, number, WD, by_one)
    between = [start + timedelta(days=n) for n in range(1, (due_on - start).days + 1)]
    assert by_one(due_on)
    assert sum(map(by_one, between)) == number


def test_from_11_december_2026_fifteen_working_days_need_a_year_that_is_not_published(database):
    async def scenario(db: Database) -> None:
        async with db.transaction(read_only=True) as tx:
            rows = await tx.fetch(DUE, [date(2026, 12, 10), date(2026, 12, 11)], 15, WD)
            assert [tuple(row)[1:] for row in rows] == [
                (date(2026, 12, 31), False),
                (date(2027, 1, 4), True),
            ]

    database(scenario)


def test_where_no_calendar_reaches_monday_to_friday_are_counted_and_it_is_provisional(database):
    async def scenario(db: Database) -> None:
        days = [date(2045, 3, 4) + timedelta(days=n) for n in range(400)]
        async with db.transaction(read_only=True) as tx:
            for number in (1, 4, 5, 15, 30, 365):
                for day, due_on, is_provisional in await tx.fetch(DUE, days, number, WD):
                    assert due_on == oracle(day, number, WD, lambda one: one.weekday() < 5)
                    assert is_provisional

    database(scenario)


def test_both_packages_agree_on_every_published_day(database):
    async def scenario(db: Database) -> None:
        async with db.transaction(read_only=True) as tx:
            assert await calendar_store.differences(tx) == []
            seen = {row["year"]: row for row in await calendar_store.agreement(tx)}
            assert min(seen) == 2018
            for year in range(2018, 2027):
                assert (seen[year]["one_published"], seen[year]["other_published"]) == (True, True)
                assert seen[year]["chinesecalendar"] == seen[year]["holidays"] > 240
            assert not seen[2027]["other_published"]
            assert seen[2027]["chinesecalendar"] == 0
            assert await calendar_store.horizon(tx) == LAST

    database(scenario)


def test_a_day_on_which_they_disagree_is_shown(database):
    async def scenario(db: Database) -> None:
        other = calendars.of_holidays(2026)
        working = list(other.is_working)
        working[0] = not working[0]
        changed = calendars.Year(other.calendar, 2026, True, other.source, working)
        with suppress(RollBack):
            async with db.transaction() as tx:
                await calendar_store.put(tx, [changed], by="test", now=system_now())
                (one,) = await calendar_store.differences(tx)
                assert tuple(one) == (date(2026, 1, 1), False, True)
                # The first package decides.
                rows = await tx.fetch("SELECT is_working FROM working_day WHERE day = '2026-01-01'")
                assert rows[0]["is_working"] is False
                raise RollBack

    database(scenario)


class RollBack(Exception):
    """The calendar stays as every test counts on it."""


@pytest.mark.parametrize("text", ["", "day,is_working\n", "2027-01-01", "2026-01-01,no", "x,yes",
                                  "2027-01-01,maybe"])  # fmt: skip
def test_a_notice_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadNotice):
        calendars.of_notice(2027, text, "notice")
