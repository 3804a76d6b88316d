"""Prices of capacity, use, availability and place, and prices that follow an index."""

import doctest
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import components
from leasing.pricing.components import (
    Band,
    CapacityTest,
    CreditTier,
    IndexClause,
    NotPublished,
    availability_credit,
    capacity_price,
    capacity_rent,
    full_cycles,
    indexed_price,
    outage_minutes,
    sharing_percent,
    tower_base_price,
    tower_price,
)
from leasing.pricing.currencies import line_amount

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)
BANDS = [Band(80, 2_500), Band(0, 0), Band(70, 2_000)]  # in any order


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(components).failed == 0
    assert doctest.testmod(components).attempted >= 20


# Packs and use


@given(st.integers(0, 10**6), st.integers(-(10**9), 10**9))
def test_a_flat_price_is_per_pack_and_its_credit_mirrors_it(packs, price):
    assert line_amount(packs, price) == -line_amount(packs, -price)
    assert line_amount(packs + 1, price) - line_amount(packs, price) == price


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        (Decimal("0.5"), 1, 1),
        (Decimal("-0.5"), 1, -1),
        (0, 5, 0),
        (120, 31_000, 3_720_000),
        (3, Decimal("0.1666666666"), 0),
        (3, Decimal("0.1666666667"), 1),
        (full_cycles(64_000, 5_120), Decimal("120.4"), 1505),
    ],
)
def test_use_is_rounded_once(quantity, price, amount):
    assert line_amount(quantity, price) == amount


# Capacity


@pytest.mark.parametrize(
    ("usable", "basis", "price"),
    [
        (5_120, "tested", 12_800),
        (4_096, "tested", 10_240),
        (4_095, "tested", 8_190),
        (4_095, "rated", 10_240),
        (3_584, "tested", 7_168),
        (3_583, "tested", 0),
        (5_632, "tested", 14_080),  # better than rated
        (0, "rated", 0),
    ],
)
def test_a_band_begins_exactly_at_its_state_of_health(usable, basis, price):
    assert capacity_price(5_120, usable, BANDS, basis) == price


@pytest.mark.parametrize(
    ("rated", "usable", "bands"), [(0, 1, BANDS), (1, -1, BANDS), (1, 1, []), (1, 1, [Band(1, 1)])]
)
def test_capacity_that_has_no_price_is_refused(rated, usable, bands):
    with pytest.raises(ValueError, match="band"):
        capacity_price(rated, usable, bands, "rated")


def rented(tests, from_on=JUNE, to_on=JULY):
    return capacity_rent(5_120, tests, BANDS, "tested", from_on, to_on, 30)


def test_a_test_reprices_from_its_own_day():
    tests = [
        CapacityTest(date(2026, 6, 11), 4_000),
        CapacityTest(date(2026, 1, 1), 5_120),
        CapacityTest(date(2026, 3, 1), 5_000),
        CapacityTest(date(2026, 7, 1), 1),
    ]
    first, second = rented(tests)
    assert first == (JUNE, date(2026, 6, 11), 12_500, 4_167)
    assert second == (date(2026, 6, 11), JULY, 8_000, 5_333)


def test_a_test_that_changes_no_price_cuts_no_line_and_the_last_of_a_day_holds():
    same = [CapacityTest(JUNE, 5_000), CapacityTest(date(2026, 6, 9), 5_000)]
    assert rented(same) == [(JUNE, JULY, 12_500, 12_500)]
    two = [CapacityTest(JUNE, 4_000), CapacityTest(JUNE, 5_000)]
    assert rented(two) == rented(same)


def test_days_of_a_broken_period_are_a_share_of_the_whole_one():
    on = date(2026, 6, 21)
    assert rented([CapacityTest(on, 5_000)], from_on=on) == [(on, JULY, 12_500, 4_167)]


def test_days_without_a_test_before_them_are_refused():
    with pytest.raises(ValueError, match="no test"):
        rented([CapacityTest(date(2026, 6, 2), 5_000)])
    with pytest.raises(ValueError, match="nothing to bill"):
        rented([CapacityTest(JUNE, 5_000)], to_on=JUNE)


@given(
    st.lists(
        st.builds(CapacityTest, st.dates(date(2026, 5, 1), JULY), st.integers(3_000, 5_500)),
        max_size=8,
    )
)
def test_every_day_is_rented_once_at_the_price_of_the_last_test(tests):
    lines = rented([CapacityTest(date(2026, 1, 1), 5_120), *tests])
    assert [line.from_on for line in lines] == [JUNE, *(line.to_on for line in lines[:-1])]
    assert lines[-1].to_on == JULY
    for line in lines:
        for day in (line.from_on, line.to_on - timedelta(1)):
            known = sorted((test for test in tests if test.on <= day), key=lambda test: test.on)
            usable = known[-1].usable_wh if known else 5_120
            assert line.price == capacity_price(5_120, usable, BANDS, "tested")
        share = Fraction(line.price * (line.to_on - line.from_on).days, 30)
        assert abs(line.amount - share) <= Fraction(1, 2)


# Availability

TIERS = [CreditTier(99, 10), CreditTier(Decimal("99.9"), 5), CreditTier(95, 30)]
START = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("down", "excused", "credit"),
    [
        (0, 0, 0),
        (10, 0, 0),  # 99.9 % of 10,000 minutes, as promised
        (11, 0, 5_000),
        (100, 0, 5_000),
        (101, 0, 10_000),
        (101, 1, 5_000),
        (500, 490, 0),
        (501, 0, 30_000),
        (10_000, 0, 30_000),
        (10_000, 10_000, 0),
    ],
)
def test_credit_is_that_of_the_lowest_bound_missed(down, excused, credit):
    found = availability_credit(100_000, 10_000, down, excused, TIERS)
    assert (found.counted_minutes, found.amount) == (down - excused, -credit)
    assert found.available_percent == 100 - Fraction(down - excused, 100)


def test_credit_is_capped_and_never_more_than_the_rent():
    assert availability_credit(100_000, 100, 50, 0, TIERS, cap_amount=20_000).amount == -20_000
    assert availability_credit(100_000, 100, 50, 0, TIERS, cap_amount=40_000).amount == -30_000
    assert availability_credit(100_000, 100, 50, 0, [CreditTier(99, 150)]).amount == -100_000
    assert availability_credit(15, 100, 50, 0, [CreditTier(99, 10)]).amount == -2


@pytest.mark.parametrize(
    ("rent", "period", "down", "excused"),
    [(1, 10, 11, 0), (1, 10, 5, 6), (1, 10, 5, -1), (1, 0, 0, 0), (-1, 10, 5, 0)],
)
def test_minutes_that_cannot_be_are_refused(rent, period, down, excused):
    with pytest.raises(ValueError, match=r"minutes|rent"):
        availability_credit(rent, period, down, excused, TIERS)


SPANS = st.lists(
    st.tuples(st.integers(-50, 150), st.integers(0, 60)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=6,
)


@given(SPANS, SPANS)
def test_minutes_of_tickets_are_counted_once_and_inside_the_period(down, excused):
    def moments(spans):
        return [(START + timedelta(minutes=a), START + timedelta(minutes=b)) for a, b in spans]

    dark = {minute for a, b in down for minute in range(max(a, 0), min(b, 100))}
    pardoned = {minute for a, b in excused for minute in range(a, b)}
    found = outage_minutes(moments(down), moments(excused), START, START + timedelta(minutes=100))
    assert found == (len(dark), len(dark & pardoned))


def test_seconds_that_make_no_whole_minute_are_not_counted():
    ends = [(START, START + timedelta(seconds=119))]
    assert outage_minutes(ends, [], START, START + timedelta(hours=1)) == (1, 0)


# Sites


def test_a_tower_costs_what_the_agreement_says():
    before = tower_base_price(30_000_000, Decimal("1.1"), 10, 2, 300_000, 15)
    assert before == (33_000_000 / Fraction(10) * Fraction(102, 100) + 300_000) * Fraction(115, 100)
    assert tower_base_price(30_000_000, 1, 10, 0, 0, 0) == 3_000_000
    assert tower_price(before, 20) == 3_372_720  # 4,215,900 before the discount of 2016
    assert tower_price(1_001, 50) == 501
    assert tower_price(0, 30, 1_000, 40) == 600


@pytest.mark.parametrize(
    ("tenants", "anchor", "percent"),
    [(1, False, 0), (1, True, 0), (2, False, 30), (2, True, 35), (3, False, 40), (5, True, 45)],
)
def test_sharing_is_rewarded_and_the_first_tenant_more(tenants, anchor, percent):
    assert sharing_percent({2: 30, 3: 40}, tenants, anchor=anchor) == percent


def test_sites_without_years_or_tenants_are_refused():
    with pytest.raises(ValueError, match="years"):
        tower_base_price(1, 1, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="tenant"):
        sharing_percent({2: 30}, 0, anchor=False)


# Inflation

CPI = {
    date(2025, 10, 1): Decimal("100"),
    date(2026, 10, 1): Decimal("103.3"),
    date(2027, 10, 1): Decimal("98.7"),
    date(2028, 10, 1): Decimal("112"),
}
CLAUSE = IndexClause(9_999, date(2025, 10, 1), date(2026, 1, 31), lag_months=3)


@pytest.mark.parametrize(
    ("on", "price"),
    [
        (date(2025, 1, 1), 9_999),
        (date(2027, 1, 30), 9_999),
        (date(2027, 1, 31), 10_329),
        (date(2028, 1, 30), 10_329),
        (date(2028, 1, 31), 9_869),
        (date(2029, 1, 31), 11_199),
    ],
)
def test_an_indexed_price_moves_on_its_day_and_always_from_the_base(on, price):
    assert indexed_price(CLAUSE, CPI, on) == price


def test_a_floor_and_a_cap_bound_the_change_against_the_base():
    bound = CLAUSE._replace(floor_percent=0, cap_percent=5)
    days = [date(2027, 1, 31), date(2028, 1, 31), date(2029, 1, 31)]
    assert [indexed_price(bound, CPI, day) for day in days] == [10_329, 9_999, 10_499]


def test_a_unit_price_is_rounded_to_the_decimals_agreed():
    per_kwh = CLAUSE._replace(base_price=Decimal("8.25"), decimals=3)
    assert str(indexed_price(per_kwh, CPI, date(2027, 1, 31))) == "8.522"
    assert str(indexed_price(per_kwh, CPI, date(2026, 1, 31))) == "8.250"


def test_steps_can_be_short_and_need_no_lag():
    every = IndexClause(100, date(2026, 1, 1), date(2026, 1, 1), every_months=3)
    index = {date(2026, month, 1): Decimal(100 + month) for month in (1, 4, 7)}
    assert indexed_price(every, index, date(2026, 6, 30)) == 103
    assert indexed_price(every, index, date(2026, 7, 1)) == 106


def test_a_month_without_an_index_is_named():
    with pytest.raises(NotPublished, match="2029-10"):
        indexed_price(CLAUSE, CPI, date(2030, 1, 31))
    with pytest.raises(NotPublished, match="2020-01"):
        indexed_price(CLAUSE._replace(base_month=date(2020, 1, 1)), CPI, date(2027, 1, 31))
