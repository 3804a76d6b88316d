"""Schedules of instalments."""

import doctest
from datetime import date, timedelta
from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit.calendars import Convention, adjust, weekday
from leasing.pricing import schedules
from leasing.pricing.currencies import line_amount
from leasing.pricing.periods import (
    FORTNIGHTLY,
    MONTHLY,
    QUARTERLY,
    YEARLY,
    Cycle,
    Frequency,
    Mode,
    Period,
    Unit,
    calendar_cycle,
    is_boundary,
    walk,
)
from leasing.pricing.proration import Basis, cycles
from leasing.pricing.schedules import (
    INITIAL,
    BadSchedule,
    End,
    Instalment,
    Stub,
    Term,
    boundaries,
    cycle_of,
    instalments,
    periods,
)
from tests.pricing.reference_cases import Case, cases_of, day, days

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def test_the_examples_in_the_text_are_true() -> None:
    assert doctest.testmod(schedules).failed == 0
    assert doctest.testmod(schedules).attempted >= 6


@pytest.mark.parametrize("case", cases_of("schedule"))
def test_schedules_are_those_of_the_reference_cases(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    if inputs.get("dates"):
        unadjusted = days(*inputs["dates"])
    else:
        unadjusted = boundaries(
            Term(
                *days(inputs["start"], inputs["end"]),
                Frequency(Unit(inputs["frequency"]["unit"]), inputs["frequency"]["count"]),
                Stub(inputs.get("stub") or "none"),
                end_of_month=inputs.get("roll") == "eom",
                roll_day=inputs.get("roll_day"),
                first_regular_on=day(inputs.get("first_regular")),
                last_regular_on=day(inputs.get("last_regular")),
            )
        )
    business_day = inputs.get("business_day") or {"convention": "none"}
    weekend = [WEEK.index(name) for name in business_day.get("weekend") or ("saturday", "sunday")]
    move = partial(
        adjust,
        convention=Convention(business_day["convention"]),
        is_business_day=lambda on: on.weekday() not in weekend,
    )
    if "unadjusted" in expected:
        assert unadjusted == days(*expected["unadjusted"])
    if "adjusted" in expected:
        assert [move(on) for on in unadjusted] == days(*expected["adjusted"])


def term(
    start: str, end: str, frequency: Frequency = MONTHLY, *args: object, **more: object
) -> Term:
    return Term(*days(start, end), frequency, *args, **more)


@pytest.mark.parametrize(
    ("stub", "expected"),
    [
        ("short_initial", "2014-06-04 2014-06-17 2014-07-17 2014-08-17 2014-09-17"),
        ("long_initial", "2014-06-04 2014-07-17 2014-08-17 2014-09-17"),
        ("smart_initial", "2014-06-04 2014-06-17 2014-07-17 2014-08-17 2014-09-17"),
        ("short_final", "2014-06-04 2014-07-04 2014-08-04 2014-09-04 2014-09-17"),
        ("long_final", "2014-06-04 2014-07-04 2014-08-04 2014-09-17"),
        ("smart_final", "2014-06-04 2014-07-04 2014-08-04 2014-09-04 2014-09-17"),
    ],
)
def test_days_left_over_are_a_stub_where_the_contract_says(stub: str, expected: str) -> None:
    assert boundaries(term("2014-06-04", "2014-09-17", MONTHLY, Stub(stub))) == days(
        *expected.split()
    )


@pytest.mark.parametrize("stub", list(Stub))
def test_a_term_that_fills_its_periods_has_no_stub(stub: Stub) -> None:
    expected = days("2014-06-17", "2014-07-17", "2014-08-17", "2014-09-17")
    assert boundaries(term("2014-06-17", "2014-09-17", MONTHLY, stub)) == expected


@pytest.mark.parametrize("stub", list(Stub))
def test_a_term_shorter_than_a_period_is_one_period(stub: Stub) -> None:
    expected = days("2014-06-17", "2014-07-04")
    assert boundaries(term("2014-06-17", "2014-07-04", MONTHLY, stub)) == expected


@pytest.mark.parametrize(
    ("start", "end", "stub", "expected"),
    [
        (
            "2014-06-11",
            "2014-09-17",
            "smart_initial",
            "2014-06-11 2014-07-17 2014-08-17 2014-09-17",
        ),
        (
            "2014-06-10",
            "2014-09-17",
            "smart_initial",
            "2014-06-10 2014-06-17 2014-07-17 2014-08-17 2014-09-17",
        ),
        ("2014-06-17", "2014-09-23", "smart_final", "2014-06-17 2014-07-17 2014-08-17 2014-09-23"),
        (
            "2014-06-17",
            "2014-09-24",
            "smart_final",
            "2014-06-17 2014-07-17 2014-08-17 2014-09-17 2014-09-24",
        ),
    ],
)
def test_a_smart_stub_of_less_than_a_week_is_merged(
    start: str, end: str, stub: str, expected: str
) -> None:
    assert boundaries(term(start, end, MONTHLY, Stub(stub))) == days(*expected.split())


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        # Without the flag the 30th stays the 30th.
        (
            term("2013-11-30", "2014-11-30", QUARTERLY),
            "2013-11-30 2014-02-28 2014-05-30 2014-08-30 2014-11-30",
        ),
        (
            term("2013-11-30", "2014-11-30", QUARTERLY, end_of_month=True),
            "2013-11-30 2014-02-28 2014-05-31 2014-08-31 2014-11-30",
        ),
        # The flag makes a month end stick; it does not make one.
        (
            term("2014-05-30", "2014-11-30", QUARTERLY, end_of_month=True),
            "2014-05-30 2014-08-30 2014-11-30",
        ),
        (
            term("2014-01-15", "2014-06-30", MONTHLY, Stub.SHORT_INITIAL, end_of_month=True),
            "2014-01-15 2014-01-31 2014-02-28 2014-03-31 2014-04-30 2014-05-31 2014-06-30",
        ),
        (
            term("2014-11-29", "2015-09-02", QUARTERLY, Stub.SHORT_FINAL, roll_day=29),
            "2014-11-29 2015-02-28 2015-05-29 2015-08-29 2015-09-02",
        ),
        (
            term("2015-02-28", "2015-04-30", MONTHLY, Stub.SHORT_INITIAL, roll_day=30),
            "2015-02-28 2015-03-30 2015-04-30",
        ),
        (
            term("2015-02-28", "2015-04-30", MONTHLY, roll_day=30),
            "2015-02-28 2015-03-30 2015-04-30",
        ),
        (
            term("2015-01-30", "2015-04-30", roll_day=30),
            "2015-01-30 2015-02-28 2015-03-30 2015-04-30",
        ),
        # No stub is allowed, and only the 30th leaves none.
        (term("2015-02-28", "2015-04-30"), "2015-02-28 2015-03-30 2015-04-30"),
        (term("2015-01-31", "2015-04-30"), "2015-01-31 2015-02-28 2015-03-31 2015-04-30"),
        # Where one is, dates roll on the day of the end that is counted from.
        (
            term("2015-02-28", "2015-04-30", MONTHLY, Stub.SHORT_FINAL),
            "2015-02-28 2015-03-28 2015-04-28 2015-04-30",
        ),
        (
            term("2020-02-29", "2024-02-29", YEARLY),
            "2020-02-29 2021-02-28 2022-02-28 2023-02-28 2024-02-29",
        ),
        (
            term("2014-12-12", "2015-08-24", QUARTERLY, Stub.SHORT_INITIAL),
            "2014-12-12 2015-02-24 2015-05-24 2015-08-24",
        ),
        (
            term("2026-01-01", "2026-02-10", FORTNIGHTLY, Stub.SHORT_INITIAL),
            "2026-01-01 2026-01-13 2026-01-27 2026-02-10",
        ),
        # Stubs by date, at one end or both.
        (
            term("2014-06-04", "2014-09-17", first_regular_on=date(2014, 6, 17)),
            "2014-06-04 2014-06-17 2014-07-17 2014-08-17 2014-09-17",
        ),
        (
            term("2014-06-04", "2014-09-17", last_regular_on=date(2014, 8, 4)),
            "2014-06-04 2014-07-04 2014-08-04 2014-09-17",
        ),
        (
            term(
                "2014-06-04",
                "2014-09-17",
                first_regular_on=date(2014, 7, 11),
                last_regular_on=date(2014, 8, 11),
            ),
            "2014-06-04 2014-07-11 2014-08-11 2014-09-17",
        ),
        (
            term(
                "2014-01-03",
                "2014-09-17",
                QUARTERLY,
                end_of_month=True,
                first_regular_on=date(2014, 2, 28),
                last_regular_on=date(2014, 8, 31),
            ),
            "2014-01-03 2014-02-28 2014-05-31 2014-08-31 2014-09-17",
        ),
        (
            term(
                "2014-06-04",
                "2014-09-25",
                MONTHLY,
                Stub.SHORT_FINAL,
                first_regular_on=date(2014, 6, 17),
            ),
            "2014-06-04 2014-06-17 2014-07-17 2014-08-17 2014-09-17 2014-09-25",
        ),
        (
            term(
                "2014-06-04",
                "2014-09-17",
                YEARLY,
                Stub.SHORT_INITIAL,
                first_regular_on=date(2014, 9, 17),
            ),
            "2014-06-04 2014-09-17",
        ),
        (
            term(
                "2014-06-04",
                "2014-09-17",
                YEARLY,
                Stub.SHORT_INITIAL,
                last_regular_on=date(2014, 6, 4),
            ),
            "2014-06-04 2014-09-17",
        ),
    ],
)
def test_dates_roll_as_the_contract_says(made: Term, expected: str) -> None:
    assert boundaries(made) == days(*expected.split())


@pytest.mark.parametrize(
    ("start", "end", "more", "message"),
    [
        ("2014-06-04", "2014-09-17", {}, "days are left over from 2014-09-04 to 2014-09-17"),
        ("2014-06-04", "2014-09-17", {"first_regular_on": date(2014, 6, 10)}, "no stub is allowed"),
        ("2014-06-04", "2014-09-04", {"roll_day": 17}, "does not lie on day 17"),
        ("2014-06-04", "2014-06-04", {}, "no days"),
        ("2014-06-04", "2014-06-03", {}, "does not lie within"),
        ("2014-06-04", "2014-09-04", {"first_regular_on": date(2014, 6, 3)}, "does not lie within"),
        ("2014-06-04", "2014-09-04", {"last_regular_on": date(2014, 9, 5)}, "does not lie within"),
    ],
)
def test_dates_that_make_no_schedule_are_refused(
    start: str, end: str, more: dict[str, object], message: str
) -> None:
    with pytest.raises(BadSchedule, match=message):
        boundaries(term(start, end, **more))


TERMS = st.builds(
    lambda start_on, length, frequency, stub, end_of_month: Term(
        start_on, start_on + timedelta(days=length), frequency, stub, end_of_month
    ),
    st.dates(date(2004, 6, 1), date(2022, 12, 31)),
    st.integers(1, 400),
    st.builds(Frequency, st.sampled_from(Unit), st.integers(1, 14)),
    st.sampled_from([stub for stub in Stub if stub is not Stub.NONE]),
    st.booleans(),
)


@given(TERMS)
def test_the_periods_of_a_term_tile_it(made: Term) -> None:
    found = periods(made)
    assert (found[0].from_on, found[-1].to_on) == (made.start_on, made.end_on)
    assert all(one.to_on == other.from_on for one, other in pairwise(found))
    assert all(period.days > 0 for period in found)


@given(TERMS)
def test_a_stub_lies_at_the_end_that_was_named_and_nowhere_else(made: Term) -> None:
    cycle, found = cycle_of(made), boundaries(made)
    regular = found[1:] if made.stub in INITIAL else found[:-1]
    assert all(is_boundary(cycle, on) for on in regular)
    rows = instalments(cycle, periods(made), Mode.ADVANCE, convention=Convention.NONE)
    wanted = End.INITIAL if made.stub in INITIAL else End.FINAL
    assert {row.stub for row in rows} <= {None, wanted}
    for row in rows:
        if made.stub.startswith("short") or row.stub is None:
            assert row.cycles <= 1
        assert (row.cycles == 1) == (row.stub is None)


@given(TERMS, st.sampled_from(list(Mode)), st.sampled_from(list(Convention)), st.integers(0, 60))
def test_due_dates_never_feed_back_into_periods(
    made: Term, mode: Mode, convention: Convention, days_to_pay: int
) -> None:
    rows = instalments(
        cycle_of(made),
        periods(made),
        mode,
        days_to_pay=days_to_pay,
        convention=convention,
        is_business_day=weekday,
    )
    assert [row.period for row in rows] == periods(made)
    assert [row.due_on for row in rows] == sorted(row.due_on for row in rows)
    assert sum(row.cycles for row in rows) == cycles(
        cycle_of(made), Period(made.start_on, made.end_on)
    )
    for row in rows:
        unadjusted = row.period.from_on if mode is Mode.ADVANCE else row.period.to_on
        assert row.due_on == adjust(unadjusted + timedelta(days=days_to_pay), convention, weekday)


def test_a_calendar_line_has_a_stub_at_both_ends() -> None:
    """20 January to 10 April 2026 at 3,100.00 a month: 12/31, 1, 1 and 9/30."""
    start_on, end_on = days("2026-01-20", "2026-04-10")
    cycle = calendar_cycle(start_on, MONTHLY)
    rows = instalments(cycle, walk(cycle, start_on, end_on), Mode.ADVANCE, days_to_pay=15)
    assert rows[0] == Instalment(
        Period(*days("2026-01-20", "2026-02-01")), date(2026, 2, 4), Fraction(12, 31), End.INITIAL
    )
    assert [row.stub for row in rows] == [End.INITIAL, None, None, End.FINAL]
    # 16 February lies in the Spring Festival, which ends on the 23rd.
    assert [row.due_on for row in rows[1:]] == days("2026-02-24", "2026-03-16", "2026-04-16")
    assert [line_amount(row.cycles, 310_000) for row in rows] == [120_000, 310_000, 310_000, 93_000]


def test_a_long_stub_is_more_than_a_period() -> None:
    made = term("2014-06-04", "2014-09-17", MONTHLY, Stub.LONG_INITIAL)
    rows = instalments(cycle_of(made), periods(made), Mode.ARREARS)
    assert rows[0].cycles == 1 + Fraction(13, 31)
    assert rows[0].stub is End.INITIAL
    assert rows[0].due_on == date(2014, 7, 17)


def test_a_stub_named_by_date_may_be_two_whole_periods() -> None:
    made = term("2026-01-01", "2026-06-01", last_regular_on=date(2026, 4, 1))
    rows = instalments(cycle_of(made), periods(made), Mode.ARREARS)
    assert [(row.cycles, row.stub) for row in rows[-2:]] == [(1, None), (2, End.FINAL)]


def test_due_dates_in_a_year_without_a_notice_move_off_weekends() -> None:
    cycle = Cycle(date(2040, 9, 1), MONTHLY)
    (row,) = instalments(cycle, walk(cycle, *days("2040-09-01", "2040-10-01")), Mode.ADVANCE)
    assert row.due_on == date(2040, 9, 3)


def test_a_stub_is_weighed_by_the_days_the_contract_counts() -> None:
    cycle = Cycle(date(2026, 1, 1), MONTHLY)
    line = list(walk(cycle, *days("2026-01-20", "2026-03-01")))
    rows = instalments(cycle, line, Mode.ARREARS, basis=Basis.FIXED_30)
    assert [row.cycles for row in rows] == [Fraction(12, 30), 1]
