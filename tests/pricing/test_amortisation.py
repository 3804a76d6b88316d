"""Plans that end where they should. Rows that repeat what Apache Fineract's own tests state, or a
table of IFRS 16, say so."""

import doctest
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from leasing.kit.money import half_even, half_up
from leasing.pricing import amortisation
from leasing.pricing.amortisation import (
    annuity,
    balance_after,
    effective_interest,
    implied_rate,
    level_payment,
    periodic_rate,
    present_value,
    spread,
    straight_line,
)
from leasing.pricing.currencies import to_minor
from leasing.pricing.periods import MONTHLY, calendar_cycle, walk
from leasing.pricing.proration import cycles
from tests.pricing.price_cases import cases

TIMINGS = st.sampled_from(["arrears", "advance"])
RATES = st.fractions(0, Fraction(1, 5), max_denominator=10_000)
PRINCIPALS = st.integers(1, 10**12)
COUNTS = st.integers(1, 60)
WEIGHTS = st.lists(st.fractions(0, 50, max_denominator=60), min_size=1, max_size=40).filter(any)
ROUNDINGS = {"half_up": half_up, "half_even": half_even}


def test_the_reference_cases_of_amortisation_hold(shared):
    for case in cases(shared, "amortisation"):
        asked = case["inputs"]
        found = METHODS[asked["method"]](asked, asked["minor_units"])
        for name, expected in case["expected"].items():
            assert found[name] == minor(expected, asked["minor_units"]), (case["id"], name)


def minor(value, digits):
    if isinstance(value, list):
        return [minor(one, digits) for one in value]
    return to_minor(Decimal(value), digits)


def rolled(asked, digits):
    payments = [minor(asked["payment"], digits)] * asked["n"]
    rates = [periodic_rate(Decimal(asked["rate_percent"]))] * asked["n"]
    exact = balance_after(payments, rates, asked["years"], asked["timing"])
    return {"closing": ROUNDINGS[asked["rounding"]](exact)}


def effective(asked, digits):
    rows = effective_interest(
        minor(asked["principal"], digits),
        [minor(asked["payment"], digits)] * asked["n"],
        [periodic_rate(Decimal(asked["rate_percent"]))] * asked["n"],
        asked["timing"],
        minor(asked["unguaranteed_or_purchase_value"], digits),
        rounding=ROUNDINGS[asked["rounding"]],
    )
    interest = [row.interest for row in rows]
    return {"interest": interest, "total_interest": sum(interest)}


def months(asked):
    return month_fractions(date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"]))


def month_fractions(from_on, to_on):
    """Days as parts of each calendar month they touch (C4)."""
    months = calendar_cycle(from_on, MONTHLY)
    return [cycles(months, part) for part in walk(months, from_on, to_on)]


METHODS = {
    "liability_roll": rolled,
    "effective_interest": effective,
    "sum_of_month_fractions": lambda asked, digits: {
        "total": half_up(minor(asked["payment"], digits) * sum(months(asked)))
    },
    "defer_monthly_prorata": lambda asked, digits: {
        "recognised": spread(
            minor(asked["total"], digits), months(asked), asked["residual"].removesuffix("_period")
        )
    },
}


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(amortisation).failed == 0
    assert doctest.testmod(amortisation).attempted >= 12


# Instalments


@pytest.mark.parametrize(
    ("principal", "rate", "payments", "interests"),
    [
        (10_000, periodic_rate(12, 12), [1725] * 5 + [1728], [100, 84, 67, 51, 34, 17]),
        (
            10_000,
            periodic_rate(Decimal("9.4822"), 12),
            [1713] * 6,
            [79, 66, 53, 40, 27, 13],
        ),
        (10_000, periodic_rate(12, 6), [3468, 3468, 3467], [200, 135, 68]),
        (
            10_000,
            Fraction(Decimal("0.094822")) * 14 / 360,
            [1688] * 5 + [1690],
            [37, 31, 25, 19, 12, 6],
        ),
        (7_500, periodic_rate(Decimal("12.3"), 12), [1547] * 4 + [1545], [77, 62, 47, 31, 16]),
    ],
)
def test_instalments_are_those_of_fineract(principal, rate, payments, interests):
    rates = [rate] * len(payments)
    rows = annuity(principal, rates, rounding=half_even, relevel=True)
    assert [row.payment for row in rows] == payments
    assert [row.interest for row in rows] == interests
    assert rows[-1].balance == 0


def test_instalments_follow_the_days_of_each_period_as_fineract_has_them():
    days = [31, 29, 31, 30, 31, 30]
    rates = [Fraction(12, 100) * count / 365 for count in days]
    rows = annuity(10_000, rates, rounding=half_even)
    assert [row.payment for row in rows] == [1725] * 5 + [1728]
    assert [row.balance for row in rows] == [8377, 6732, 5076, 3401, 1711, 0]


def test_the_last_payment_takes_the_rest_unless_levelling_is_asked_for():
    rates = [periodic_rate(Decimal("12.3"), 12)] * 5
    assert [row.payment for row in annuity(7_500, rates)] == [1546] * 4 + [1549]


def test_an_instalment_is_levelled_only_when_the_last_one_then_stands_out_less():
    rates = [periodic_rate(24, 12)] * 60
    plain = annuity(2_000, rates)
    assert (plain[0].payment, plain[-1].payment) == (58, 10)  # 57 would leave 115 for the last
    assert annuity(2_000, rates, relevel=True) == plain


def test_a_half_is_rounded_as_agreed():
    assert annuity(1, [Fraction(0)] * 2) == [(1, 0, 1, 0), (0, 0, 0, 0)]
    assert annuity(1, [Fraction(0)] * 2, rounding=half_even) == [(0, 0, 0, 1), (1, 0, 1, 0)]
    assert annuity(50, [Fraction(1, 100)])[0].interest == 1
    assert annuity(50, [Fraction(1, 100)], rounding=half_even)[0].interest == 0
    halves, whole = [Fraction(1, 2)] * 2, [Fraction(1)]
    assert annuity(3, halves, "advance")[0] == (2, 1, 1, 2)
    assert annuity(3, halves, "advance", rounding=half_even)[0] == (2, 0, 2, 1)
    assert annuity(1, whole, "advance", 1) == [(1, 1, 0, 1)]
    assert annuity(1, whole, "advance", 1, rounding=half_even) == [(0, 0, 0, 1)]
    rents = [Fraction(1, 100)] * 2
    assert effective_interest(50, [0, 51], rents)[0].interest == 1
    assert effective_interest(50, [0, 51], rents, rounding=half_even)[0].interest == 0
    assert spread(1, [1, 1]) == [1, 0]
    assert spread(1, [1, 1], rounding=half_even) == [0, 1]


def test_a_payment_in_advance_bears_no_interest_before():
    rows = annuity(10_000, [Fraction(1, 10)] * 3, "advance")
    assert [tuple(row) for row in rows] == [
        (3656, 634, 3022, 6978),
        (3656, 332, 3324, 3654),
        (3654, 0, 3654, 0),
    ]


@given(PRINCIPALS, RATES, COUNTS, TIMINGS, st.fractions(0, 1), st.booleans())
def test_instalments_end_at_the_residual_value_and_lose_nothing(
    principal, rate, count, timing, part, relevel
):
    residual = half_up(principal * part)
    rows = annuity(principal, [rate] * count, timing, residual, relevel=relevel)
    assert rows[-1].balance == residual
    assert sum(row.principal for row in rows) == principal - residual
    assert all(row.principal == row.payment - row.interest for row in rows)
    assert len({row.payment for row in rows[:-1]}) <= 1
    last, level = rows[-1].payment, rows[0].payment
    growth = (1 + rate) ** count
    assert abs(last - level) <= (count + 2) * growth


@given(PRINCIPALS, RATES, COUNTS, TIMINGS, st.fractions(0, 1))
def test_the_level_payment_is_worth_the_principal(principal, rate, count, timing, part):
    residual = principal * part
    level = level_payment(principal, [rate] * count, timing, residual)
    assert present_value([level] * count, [rate] * count, timing, residual) == principal


def test_nothing_is_charged_for_time_at_a_rate_of_nothing():
    assert [row.payment for row in annuity(100, [Fraction(0)] * 3)] == [33, 33, 34]
    assert present_value([5, 5], [Fraction(0)] * 2, residual=1) == 11


# Effective interest


def test_a_liability_rolls_as_in_example_14_of_ifrs_16():
    rates = [Fraction(5, 100)] * 9
    value = present_value([50_000] * 9, rates)
    assert half_up(value) == 355_391
    rows = effective_interest(
        405_391, [50_000] * 10, [Fraction(5, 100)] * 10, "advance", rounding=half_up
    )
    assert [row.balance for row in rows[:2]] == [373_161, 339_319]
    assert half_up(balance_after([50_000] * 10, rates + rates[:1], 2, "advance")) == 339_319
    assert half_up(balance_after([50_000] * 9, rates, 2)) == 339_319


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), RATES, TIMINGS, st.data())
def test_a_balance_is_what_is_still_to_come(payments, rate, timing, data):
    periods = data.draw(st.integers(0, len(payments)))
    residual = data.draw(st.integers(0, 10**9))
    rates = [rate] * len(payments)
    gone = max(periods - (timing == "arrears"), 0)
    to_come = sum(
        Fraction(payment, 1) / (1 + rate) ** (at + (timing == "arrears") - periods)
        for at, payment in enumerate(payments)
        if at >= gone
    ) + residual / (1 + rate) ** (len(payments) - periods)
    assert balance_after(payments, rates, periods, timing, residual) == to_come


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), RATES, TIMINGS, st.data())
def test_effective_interest_is_all_that_comes_back_beyond_the_principal(
    payments, rate, timing, data
):
    residual = data.draw(st.integers(0, 10**9))
    rates = [rate] * len(payments)
    principal = half_up(present_value(payments, rates, timing, residual))
    rows = effective_interest(principal, payments, rates, timing, residual)
    assert rows[-1].balance == residual
    assert sum(row.interest for row in rows) == sum(payments) + residual - principal
    bearing = principal - (payments[0] if timing == "advance" else 0)
    if len(rows) > 1:
        assert rows[0].interest == half_up(bearing * rate)
    own = (rows[-1].balance + rows[-1].payment * (timing == "arrears")) * rate / (1 + rate)
    assert abs(rows[-1].interest - own) <= (1 + rate) ** len(rows) * len(rows) + 1


def test_a_rent_free_start_lets_interest_run_up():
    rows = effective_interest(20_000, [0, 0, 24_200], [Fraction(1, 10)] * 3, "advance")
    assert [tuple(row) for row in rows] == [
        (0, 2_000, -2_000, 22_000),
        (0, 2_200, -2_200, 24_200),
        (24_200, 0, 24_200, 0),
    ]


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=36), RATES, TIMINGS, st.data())
def test_the_implied_rate_is_found_again(payments, rate, timing, data):
    residual = data.draw(st.integers(0, 10**7))
    principal = half_up(present_value(payments, [rate] * len(payments), timing, residual))
    assume(timing == "arrears" or principal > payments[0])
    assume(0 < principal <= sum(payments) + residual)
    found = Fraction(implied_rate(principal, payments, timing, residual))
    step = Fraction(1, 10**amortisation.RATE_DECIMALS)

    def worth(rate):
        return present_value(payments, [rate] * len(payments), timing, residual)

    assert worth(found) >= principal > worth(found + step)


@pytest.mark.parametrize(
    ("principal", "payments", "timing"),
    [
        (301, [100] * 3, "arrears"),
        (100, [100] * 3, "advance"),
        (1, [100] * 3, "arrears"),
        (0, [100], "arrears"),
        (100, [], "arrears"),
        (100, [200, -50], "arrears"),
    ],
)
def test_a_lease_without_a_rate_is_refused(principal, payments, timing):
    with pytest.raises(ValueError, match=r"rate of interest|gets payments"):
        implied_rate(principal, payments, timing)


@pytest.mark.parametrize(("payments", "rates"), [([], []), ([1, 2], [0]), ([1], [Fraction(-1)])])
def test_a_plan_without_a_rate_for_each_payment_is_refused(payments, rates):
    with pytest.raises(ValueError, match=r"plan|discount"):
        present_value(payments, rates)
    with pytest.raises(ValueError, match=r"plan|discount"):
        effective_interest(1, payments, rates)


def test_a_balance_beyond_the_plan_is_refused():
    with pytest.raises(ValueError, match="periods"):
        balance_after([1], [Fraction(0)], 2)


# Income by the calendar


def test_rent_free_months_and_steps_are_income_of_every_month():
    rows = straight_line([0, 0, 12_000, 12_000, 13_001])
    assert [row.income for row in rows] == [7_401, 7_400, 7_400, 7_400, 7_400]
    assert [row.accrued for row in rows] == [7_401, 14_801, 10_201, 5_601, 0]


def test_broken_months_weigh_by_their_days():
    parts = month_fractions(date(2023, 1, 8), date(2023, 3, 16))
    assert parts == [Fraction(24, 31), 1, Fraction(15, 31)]
    assert half_up(100_000 * sum(parts)) == 225_806
    weights = month_fractions(date(2026, 1, 16), date(2026, 4, 1))
    rows = straight_line([0, 30_000, 48_000], weights)
    assert [row.income for row in rows] == [16_000, 31_000, 31_000]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=40), st.data())
def test_income_adds_up_to_what_is_billed(billed, data):
    weights = data.draw(
        st.lists(
            st.fractions(0, 50, max_denominator=60), min_size=len(billed), max_size=len(billed)
        ).filter(any)
    )
    rows = straight_line(billed, weights)
    assert sum(row.income for row in rows) == sum(billed)
    assert rows[-1].accrued == 0
    mirror = straight_line([-bill for bill in billed], weights)
    assert mirror == [tuple(-value for value in row) for row in rows]


def test_income_wants_a_weight_for_each_period():
    with pytest.raises(ValueError, match="one weight"):
        straight_line([1, 2], [1])


@given(st.integers(-(10**12), 10**12), WEIGHTS, st.sampled_from(["first", "last"]))
def test_a_spread_amount_adds_up_and_one_end_takes_the_rest(total, weights, plug):
    parts = spread(total, weights, plug)
    assert sum(parts) == total
    kept = parts[1:] if plug == "first" else parts[:-1]
    rest = weights[1:] if plug == "first" else weights[:-1]
    assert kept == [half_up(total * weight / sum(weights)) for weight in rest]
    assert spread(-total, weights, plug) == [-part for part in parts]


@pytest.mark.parametrize("weights", [[], [0], [1, -1], [2, -1]])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        spread(1, weights)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)), st.integers(0, 900))
def test_month_fractions_are_whole_inside_and_count_every_day(start, days):
    end = date.fromordinal(start.toordinal() + days)
    parts = month_fractions(start, end)
    assert all(part == 1 for part in parts[1:-1])
    assert all(0 < part <= 1 for part in parts)
    touched = (end.year - start.year) * 12 + end.month - start.month + (end.day > 1)
    assert len(parts) == (touched if days else 0)
