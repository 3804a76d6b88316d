"""What part of a year lies between two dates."""

import doctest
from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import day_counts
from leasing.pricing.day_counts import DayCount, european_days, year_fraction
from leasing.pricing.proration import rounded
from tests.pricing.reference_cases import Case, cases_of, days

DAYS = st.dates(date(1990, 1, 1), date(2060, 12, 31))
SPANS = st.tuples(DAYS, DAYS).map(sorted)


def test_the_examples_in_the_text_are_true() -> None:
    assert doctest.testmod(day_counts).failed == 0
    assert doctest.testmod(day_counts).attempted >= 8


@pytest.mark.parametrize("case", cases_of("day_count"))
def test_fractions_are_those_of_the_reference_cases(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    found = year_fraction(
        DayCount(inputs["convention"]),
        *days(inputs["from"], inputs["to"]),
        to_maturity=inputs.get("end_is_maturity", False),
    )
    if "fraction_terms" in expected:
        assert found == sum(Fraction(term) for term in expected["fraction_terms"])
    if "year_fraction" in expected:
        assert str(rounded(found, 12)) == expected["year_fraction"]


@pytest.mark.parametrize(
    ("from_on", "to_on", "thirty_360", "thirty_e", "thirty_e_isda", "thirty_u"),
    [
        ("2011-12-28", "2012-02-28", 60, 60, 60, 60),
        ("2011-12-28", "2012-02-29", 61, 61, 62, 61),
        ("2011-12-31", "2012-02-28", 58, 58, 58, 58),
        ("2011-12-31", "2012-02-29", 59, 59, 60, 59),
        ("2012-02-28", "2012-03-28", 30, 30, 30, 30),
        ("2012-02-29", "2012-03-28", 29, 29, 28, 28),
        ("2011-02-28", "2012-02-28", 360, 360, 358, 358),
        ("2011-02-28", "2012-02-29", 361, 361, 360, 360),
        ("2012-02-29", "2016-02-29", 1440, 1440, 1440, 1440),
        ("2012-02-29", "2012-03-30", 31, 31, 30, 30),
        ("2012-02-29", "2012-03-31", 32, 31, 30, 30),
        ("2012-02-29", "2013-02-28", 359, 359, 360, 360),
        ("2012-03-29", "2012-03-31", 2, 1, 1, 2),
        ("2012-03-30", "2012-03-31", 0, 0, 0, 0),
        ("2012-03-31", "2012-04-30", 30, 30, 30, 30),
        ("2012-05-30", "2012-07-31", 60, 60, 60, 60),
        ("2012-05-29", "2013-08-31", 452, 451, 451, 452),
    ],
)
def test_months_of_thirty_days_differ_at_their_ends(
    from_on: str,
    to_on: str,
    thirty_360: int,
    thirty_e: int,
    thirty_e_isda: int,
    thirty_u: int,
) -> None:
    names = ("30/360 ISDA", "30E/360", "30E/360 ISDA", "30U/360 EOM")
    found = [year_fraction(DayCount(name), *days(from_on, to_on)) * 360 for name in names]
    assert found == [thirty_360, thirty_e, thirty_e_isda, thirty_u]


@pytest.mark.parametrize(
    ("to_on", "to_maturity", "expected"),
    [
        ("2012-02-29", False, 180),
        ("2012-02-29", True, 179),
        ("2012-04-30", True, 240),
        ("2012-03-31", True, 210),
    ],
)
def test_only_a_debt_that_ends_in_february_keeps_its_last_day(
    to_on: str, to_maturity: bool, expected: int
) -> None:
    from_on, end = days("2011-08-31", to_on)
    found = year_fraction(DayCount.THIRTY_E_360_ISDA, from_on, end, to_maturity=to_maturity)
    assert found * 360 == expected


def test_a_year_is_split_where_it_ends() -> None:
    from_on, to_on = days("2011-12-28", "2016-02-28")
    expected = Fraction(4, 365) + 1 + 1 + 1 + 1 + Fraction(58, 366)
    assert year_fraction(DayCount.ACT_ACT_ISDA, from_on, to_on) == expected


@given(SPANS)
def test_every_day_of_a_year_is_a_part_of_that_year(span: list[date]) -> None:
    from_on, to_on = span
    slow = Fraction(0)
    for year in range(from_on.year, to_on.year + 1):
        first, following = date(year, 1, 1), date(year + 1, 1, 1)
        inside = min(to_on, following) - max(from_on, first)
        slow += Fraction(inside.days, (following - first).days)
    assert year_fraction(DayCount.ACT_ACT_ISDA, from_on, to_on) == slow


@given(SPANS)
def test_actual_days_are_over_a_fixed_year(span: list[date]) -> None:
    days_between = (span[1] - span[0]).days
    assert year_fraction(DayCount.ACT_360, *span) == Fraction(days_between, 360)
    assert year_fraction(DayCount.ACT_365F, *span) == Fraction(days_between, 365)


@given(SPANS, st.sampled_from(list(DayCount)))
def test_conventions_agree_within_days(span: list[date], convention: DayCount) -> None:
    """Within 1.5 per cent and three days of the civil years: no rule is off by a month."""
    civil = Fraction((span[1] - span[0]).days * 400, 146_097)
    found = year_fraction(convention, *span)
    assert abs(found - civil) <= civil * Fraction(3, 200) + Fraction(3, 360)


@given(SPANS, st.integers(0, 25_000))
def test_eurobond_days_add_up(span: list[date], cut: int) -> None:
    from_on, to_on = span
    middle = min(from_on + timedelta(days=cut), to_on)
    assert european_days(from_on, middle) + european_days(middle, to_on) == european_days(*span)


@given(DAYS, st.sampled_from(list(DayCount)))
def test_from_a_day_to_itself_is_no_time(on: date, convention: DayCount) -> None:
    assert year_fraction(convention, on, on) == 0


@pytest.mark.parametrize("convention", DayCount)
def test_time_runs_forward(convention: DayCount) -> None:
    with pytest.raises(ValueError, match="is before"):
        year_fraction(convention, date(2026, 1, 2), date(2026, 1, 1))
