"""What a part of a period costs."""

import doctest
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from leasing.kit.money import prorate
from leasing.pricing import proration
from leasing.pricing.currencies import line_amount
from leasing.pricing.periods import MONTHLY, QUARTERLY, WEEKLY, YEARLY, Cycle, Period, walk, whole
from leasing.pricing.proration import (
    Basis,
    cycles,
    rounded,
    share,
)
from tests.pricing.kill_bill import kill_bill_share
from tests.pricing.reference_cases import Case, cases_of, days
from tests.pricing.test_periods import CYCLES, SPANS

MONTHS = st.builds(
    lambda anchor_on, frequency, n: whole(
        Cycle(anchor_on, frequency), anchor_on + timedelta(days=n)
    ),
    st.dates(date(2000, 1, 1), date(2040, 12, 31)),
    st.sampled_from([MONTHLY, QUARTERLY, YEARLY]),
    st.integers(0, 800),
)


def test_the_examples_in_the_text_are_true() -> None:
    assert doctest.testmod(proration).failed == 0
    assert doctest.testmod(proration).attempted >= 8


@pytest.mark.parametrize("case", cases_of("proration_amount"))
def test_amounts_are_those_of_the_reference_cases(case: Case) -> None:
    inputs, expected = case["inputs"], case["expected"]
    assert inputs["rounding"] == "half_up"
    minor_units = 10 ** inputs["minor_units"]
    lines = []
    for segment in inputs["segments"]:
        of = Period(*days(segment["period_from"], segment["period_to"]))
        used = Period(*days(segment["used_from"], segment["used_to"]))
        part = share(used, of, Basis(inputs["basis"]))
        price = Fraction(segment["amount"]) * minor_units * segment["sign"]
        amount = Decimal(line_amount(part.fraction, price)) / minor_units
        lines.append({"used_days": part.days, "period_days": part.of_days, "amount": amount})
    for line, wanted in zip(lines, expected.get("lines", lines), strict=True):
        assert {key: line[key] for key in wanted} == {**wanted, "amount": Decimal(wanted["amount"])}
    if "total" in expected:
        assert sum(line["amount"] for line in lines) == Decimal(expected["total"])


MAY_15, JUNE_15 = days("2023-05-15", "2023-06-15")


@pytest.mark.parametrize(
    ("used", "of", "basis", "expected"),
    [
        # All days of a period are all of it, however long it is.
        ("2023-05-15 2023-06-15", "2023-05-15 2023-06-15", "fixed_30", (31, 31)),
        ("2023-02-01 2023-03-01", "2023-02-01 2023-03-01", "monthfixed_30", (28, 28)),
        ("2025-02-26 2025-03-01", "2025-02-01 2025-03-01", "actual", (3, 28)),
        ("2024-02-23 2024-03-15", "2024-02-23 2024-03-23", "actual", (21, 29)),
        ("2024-02-23 2024-03-15", "2024-02-23 2024-03-23", "fixed_30", (21, 30)),
        # Kill Bill's own numbers for 30 fixed days: 22/30 in May, June, and either February.
        ("2023-05-23 2023-06-15", "2023-05-23 2023-06-23", "monthfixed_30", (22, 30)),
        ("2023-06-23 2023-07-15", "2023-06-23 2023-07-23", "monthfixed_30", (22, 30)),
        ("2023-02-23 2023-03-15", "2023-02-23 2023-03-23", "monthfixed_30", (22, 30)),
        ("2024-02-23 2024-03-15", "2024-02-15 2024-03-15", "monthfixed_30", (22, 30)),
        # Within one month there is nothing to make up for.
        ("2023-05-01 2023-05-11", "2023-05-01 2023-06-01", "monthfixed_30", (10, 30)),
        ("2023-05-22 2023-06-01", "2023-05-01 2023-06-01", "monthfixed_30", (9, 30)),
        ("2023-05-31 2023-06-01", "2023-05-01 2023-06-01", "monthfixed_30", (0, 30)),
        ("2023-02-22 2023-03-01", "2023-02-01 2023-03-01", "monthfixed_30", (9, 30)),
        # A quarter has 90 days of this kind, a year 360, and no part of it costs more than all.
        ("2023-01-01 2023-02-15", "2023-01-01 2023-04-01", "fixed_30", (45, 90)),
        ("2023-01-01 2023-12-31", "2023-01-01 2024-01-01", "fixed_30", (360, 360)),
        ("2023-02-20 2023-03-01", "2023-02-01 2023-03-01", "30/360", (11, 30)),
        ("2023-05-20 2023-06-01", "2023-05-01 2023-06-01", "30/360", (11, 30)),
        ("2023-05-05 2023-05-05", "2023-05-01 2023-06-01", "fixed_30", (0, 30)),
    ],
)
def test_days_are_counted_as_the_contract_says(
    used: str, of: str, basis: str, expected: tuple[int, int]
) -> None:
    found = share(Period(*days(*used.split())), Period(*days(*of.split())), Basis(basis))
    assert found == expected


@pytest.mark.parametrize(
    "used",
    ["2023-05-14 2023-05-20", "2023-06-01 2023-06-16", "2023-05-20 2023-05-19"],
)
def test_days_outside_of_the_period_are_refused(used: str) -> None:
    with pytest.raises(ValueError, match="is not a part of"):
        share(Period(*days(*used.split())), Period(MAY_15, JUNE_15))


def test_a_period_of_no_days_has_no_parts() -> None:
    with pytest.raises(ValueError, match="is not a part of"):
        share(Period(MAY_15, MAY_15), Period(MAY_15, MAY_15))


@pytest.mark.parametrize("basis", [Basis.FIXED_30, Basis.MONTHFIXED_30])
def test_a_week_has_no_month_of_thirty_days(basis: Basis) -> None:
    week = whole(Cycle(date(2026, 1, 28), WEEKLY), date(2026, 2, 1))
    with pytest.raises(ValueError, match="too short"):
        share(Period(week.from_on, date(2026, 2, 1)), week, basis)


def parts(of: Period, cuts: list[int]) -> list[Period]:
    edges = sorted({of.from_on + timedelta(days=n % of.days) for n in cuts} | set(of))
    return [Period(*pair) for pair in pairwise(edges)]


CUTS = st.lists(st.integers(0, 400), max_size=5)


@given(MONTHS, CUTS)
@example(Period(date(2026, 1, 31), date(2026, 2, 28)), [10])
def test_the_parts_of_a_period_are_all_of_it(of: Period, cuts: list[int]) -> None:
    for basis in (Basis.ACTUAL, Basis.THIRTY_360):
        assert sum(share(part, of, basis).fraction for part in parts(of, cuts)) == 1


@given(MONTHS, CUTS, st.sampled_from(Basis))
def test_a_part_costs_no_less_than_nothing_and_no_more_than_all(
    of: Period, cuts: list[int], basis: Basis
) -> None:
    assert all(0 <= share(part, of, basis).fraction <= 1 for part in parts(of, cuts))


@given(MONTHS, st.sampled_from(Basis), st.integers(-(10**12), 10**12))
def test_a_whole_period_costs_its_price(of: Period, basis: Basis, price: int) -> None:
    assert line_amount(share(of, of, basis).fraction, price) == price


@given(MONTHS, CUTS, st.sampled_from(Basis), st.integers(-(10**12), 10**12))
def test_money_is_rounded_once_as_everywhere(
    of: Period, cuts: list[int], basis: Basis, price: int
) -> None:
    for part in parts(of, cuts):
        found = share(part, of, basis)
        assert line_amount(found.fraction, price) == prorate(price, found.days, found.of_days)
        assert line_amount(found.fraction, -price) == -line_amount(found.fraction, price)


def test_a_price_may_be_finer_than_the_coin() -> None:
    assert line_amount(Fraction(1), Decimal("0.5")) == 1
    assert line_amount(Fraction(1, 2), Decimal("-1000.0049")) == -500


# Periods of a line


@given(CYCLES, SPANS)
def test_every_day_weighs_what_it_is_of_its_own_period(
    cycle: Cycle, span: tuple[date, date]
) -> None:
    found = list(walk(cycle, *span))
    assert cycles(cycle, Period(*span)) == sum(cycles(cycle, period) for period in found)
    for period in found:
        assert cycles(cycle, period) == Fraction(period.days, whole(cycle, period.from_on).days)


@pytest.mark.parametrize(
    ("start_on", "end_on", "day", "frequency", "expected"),
    [
        # 14/31, 1 and 12/28: a stub, a whole month, a stub.
        ("2011-01-01", "2011-02-27", 15, MONTHLY, "0.451612903 1.000000000 0.428571429"),
        ("2010-06-17", "2010-09-25", 17, QUARTERLY, "1.000000000 0.087912088"),
        # Over before the first boundary: one period back from the end.
        ("2011-01-01", "2011-01-10", 15, MONTHLY, "0.290322581"),
        ("2011-03-05", "2011-03-10", 15, MONTHLY, "0.178571429"),
        # A clamped period is a whole one.
        ("2011-01-31", "2011-03-31", 31, MONTHLY, "1.000000000 1.000000000"),
        # Its neighbours are measured by its own day, the 28th: 14/31 and 30/28.
        ("2011-02-14", "2011-03-30", 31, MONTHLY, "0.451612903 1.071428571"),
    ],
)
def test_stubs_weigh_in_kill_bill_what_they_weighed_there(
    start_on: str, end_on: str, day: int, frequency: object, expected: str
) -> None:
    start, end = days(start_on, end_on)
    cycle = Cycle(start, frequency, day)
    found = [kill_bill_share(cycle, period).fraction for period in walk(cycle, start, end)]
    assert [str(rounded(one, 9)) for one in found] == expected.split()


def test_a_stub_before_a_short_month_weighs_less_in_kill_bill_than_here() -> None:
    monthly = Cycle(date(2011, 2, 14), MONTHLY, day=31)
    stub = Period(*days("2011-02-14", "2011-02-28"))
    assert kill_bill_share(monthly, stub) == (14, 31)
    assert cycles(monthly, stub) == Fraction(14, 28)


@given(CYCLES, SPANS)
def test_kill_bill_and_we_agree_on_whole_periods(cycle: Cycle, span: tuple[date, date]) -> None:
    whole_ones = [p for p in walk(cycle, *span) if p == whole(cycle, p.from_on)]
    assume(whole_ones)
    assert all(
        kill_bill_share(cycle, one).fraction == 1 == cycles(cycle, one) for one in whole_ones
    )


# Rounding for print


@pytest.mark.parametrize(
    ("value", "places", "expected"),
    [
        (Fraction(1, 2), 0, "1"),
        (Fraction(-1, 2), 0, "-1"),
        (Fraction(17, 31), 16, "0.5483870967741935"),
        (Fraction(10**40 + 1, 3), 2, "3333333333333333333333333333333333333333.67"),
        (Fraction(1), 9, "1.000000000"),
    ],
)
def test_numbers_are_printed_half_up_at_any_length(
    value: Fraction, places: int, expected: str
) -> None:
    assert str(rounded(value, places)) == expected
