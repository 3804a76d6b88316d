"""Splitting and rounding lose nothing, for any numbers."""

import doctest
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit import money
from leasing.kit.money import allocate, half_up, percent_of, prorate

AMOUNTS = st.integers(-(2**63), 2**63 - 1)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=40).filter(any)
PERCENTS = st.decimals(0, 100, places=2)
PERIODS = st.integers(1, 366).flatmap(
    lambda whole: st.tuples(st.integers(0, whole), st.just(whole))
)


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(money).failed == 0
    assert doctest.testmod(money).attempted >= 4


@given(AMOUNTS, WEIGHTS)
def test_the_parts_of_an_amount_add_up_to_it(amount, weights):
    assert sum(allocate(amount, weights)) == amount


@given(AMOUNTS, WEIGHTS)
def test_no_part_is_a_whole_unit_away_from_its_exact_share(amount, weights):
    for part, weight in zip(allocate(amount, weights), weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1


@given(AMOUNTS, WEIGHTS)
def test_the_parts_of_a_credit_mirror_those_of_its_debit(amount, weights):
    assert allocate(-amount, weights) == [-part for part in allocate(amount, weights)]


@given(AMOUNTS, WEIGHTS)
def test_what_weighs_nothing_gets_nothing(amount, weights):
    parts = allocate(amount, weights)
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


def test_a_unit_left_over_goes_to_the_earliest_of_equals():
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(-100, [1, 1, 1]) == [-34, -33, -33]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [2, -1]])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="weights"):
        allocate(100, weights)


@given(AMOUNTS, st.integers(1, 366))
def test_a_whole_period_costs_its_price_and_no_day_costs_nothing(amount, whole):
    assert prorate(amount, whole, whole) == amount
    assert prorate(amount, 0, whole) == 0


@given(AMOUNTS, PERIODS)
def test_a_part_of_a_period_is_the_nearest_whole_unit(amount, period):
    used, whole = period
    exact = Fraction(amount * used, whole)
    part = prorate(amount, used, whole)
    assert abs(part - exact) <= Fraction(1, 2)
    assert part == half_up(exact)
    assert prorate(-amount, used, whole) == -part


@given(AMOUNTS, PERIODS)
def test_two_parts_of_a_period_differ_from_the_whole_by_a_unit_at_most(amount, period):
    used, whole = period
    parts = prorate(amount, used, whole) + prorate(amount, whole - used, whole)
    assert abs(parts - amount) <= 1


@pytest.mark.parametrize(("used", "whole"), [(-1, 30), (31, 30), (0, 0), (1, -1)])
def test_days_outside_of_the_period_are_refused(used, whole):
    with pytest.raises(ValueError, match="not a part of a period"):
        prorate(100, used, whole)


@given(AMOUNTS, PERCENTS)
def test_a_percentage_is_the_nearest_whole_unit_on_either_side_of_zero(amount, percent):
    tax = percent_of(amount, percent)
    assert abs(tax - Fraction(amount) * Fraction(percent) / 100) <= Fraction(1, 2)
    assert percent_of(-amount, percent) == -tax


def test_half_a_unit_goes_away_from_zero():
    assert [half_up(Fraction(n, 2)) for n in (-3, -1, 1, 3)] == [-2, -1, 1, 2]
    assert percent_of(-62_574_354, Decimal(25)) == -15_643_589
    assert prorate(1, 15, 30) == 1
    assert prorate(-1, 15, 30) == -1
