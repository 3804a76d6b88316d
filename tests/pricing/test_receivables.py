"""Payments lose nothing; interest and ageing count days from the due day."""

import doctest
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import receivables
from leasing.pricing.receivables import (
    Allocation,
    Receivable,
    after,
    ageing,
    allocate_payment,
    late_interest,
    reverse,
)

DUE = date(2026, 1, 5)
KINDS = ["fee", "rent", "deposit"]
DAYS = st.dates(date(2025, 1, 1), date(2026, 12, 31))
OPEN = st.lists(
    st.builds(
        Receivable,
        st.uuids(),
        DAYS,
        st.integers(0, 10**9),
        st.sampled_from([*KINDS, "other"]),
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(receivables).failed == 0
    assert doctest.testmod(receivables).attempted >= 9


def test_the_oldest_is_paid_first_and_of_one_day_by_kind():
    rows = [
        Receivable("deposit", DUE, 100, "deposit"),
        Receivable("other", DUE, 100, "other"),
        Receivable("rent", DUE, 100, "rent"),
        Receivable("new fee", DUE + timedelta(1), 100, "fee"),
        Receivable("old rent", DUE - timedelta(1), 100, "rent"),
    ]
    parts = allocate_payment(450, rows, KINDS)
    assert parts == [
        ("old rent", 100),
        ("rent", 100),
        ("deposit", 100),
        ("other", 100),
        ("new fee", 50),
    ]
    by_kind = allocate_payment(600, rows, KINDS, first="kind")
    order = ["new fee", "old rent", "rent", "deposit", "other", None]
    assert [part.receivable_id for part in by_kind] == order
    assert by_kind[-1].amount == 100


@given(st.integers(1, 10**10), OPEN, st.sampled_from(["due", "kind"]))
def test_a_payment_is_used_up_and_can_be_taken_back(amount, rows, first):
    parts = allocate_payment(amount, rows, KINDS, first)
    assert sum(part.amount for part in parts) == amount
    assert all(part.amount > 0 for part in parts)
    left = after(rows, parts)
    credit = sum(part.amount for part in parts if part.receivable_id is None)
    assert sum(row.open_amount for row in left) == sum(r.open_amount for r in rows) - (
        amount - credit
    )
    assert not credit or not any(row.open_amount for row in left)
    assert after(rows, [*parts, *reverse(parts)]) == rows


@given(st.integers(1, 10**10), OPEN)
def test_nothing_newer_is_paid_while_something_older_is_open(amount, rows):
    left = after(rows, allocate_payment(amount, rows))
    still_open = [row.due_on for row in left if row.open_amount]
    touched = [
        row.due_on for row, now in zip(rows, left, strict=True) if now.open_amount < row.open_amount
    ]
    assert not touched or not still_open or max(touched) <= min(still_open)


def test_payments_of_nothing_and_debts_below_it_are_refused():
    with pytest.raises(ValueError, match="payment"):
        allocate_payment(0, [])
    with pytest.raises(ValueError, match="open"):
        allocate_payment(1, [Receivable("a", DUE, -1)])
    with pytest.raises(ValueError, match="more was allocated"):
        after([Receivable("a", DUE, 1)], [Allocation("a", 2)])


# Interest


def interest(days, **terms):
    return late_interest(1_000_000, DUE, DUE + timedelta(days), Decimal("18.25"), **terms)


@pytest.mark.parametrize(
    ("days", "terms", "owed"),
    [
        (-3, {}, 0),
        (0, {}, 0),
        (1, {}, 500),
        (365, {}, 182_500),
        (36, {"year_days": 360}, 18_250),
        (5, {"grace_days": 5}, 0),
        (6, {"grace_days": 5}, 3_000),
        (6, {"grace_days": 5, "grace_is_free": True}, 500),
        (100, {"cap_amount": 40_000}, 40_000),
        (10, {"payments": [(DUE + timedelta(4), 600_000)]}, 6 * 200 + 4 * 500),
        (10, {"payments": [(DUE, 600_000)]}, 2_000),
        (10, {"payments": [(DUE + timedelta(4), 600_000)], "grace_days": 4}, 2_000),
        (10, {"payments": [(DUE + timedelta(2), 10**9)]}, 1_000),
        (
            10,
            {"payments": [(DUE + timedelta(8), 600_000), (DUE + timedelta(4), 600_000)]},
            4 * 300 + 8 * 200,
        ),
        (10, {"payments": [(DUE + timedelta(20), 600_000)]}, 5_000),
        (10, {"payments": [(DUE - timedelta(3), 1_000_000)]}, 0),
    ],
)
def test_interest_is_by_the_day_on_what_is_open(days, terms, owed):
    assert interest(days, **terms) == owed


def test_interest_of_parts_of_days_is_rounded_once():
    assert late_interest(100, DUE, DUE + timedelta(10), Decimal("18.25")) == 1  # 0.5
    assert late_interest(99, DUE, DUE + timedelta(10), Decimal("18.25")) == 0


@given(
    st.integers(0, 10**9),
    st.integers(0, 400),
    st.integers(0, 400),
    st.lists(st.tuples(DAYS, st.integers(0, 10**8)), max_size=4),
)
def test_interest_never_falls_with_time_and_is_less_when_something_was_paid(
    principal, days, more, payments
):
    def owed(days, payments):
        until = DUE + timedelta(days)
        return late_interest(principal, DUE, until, Decimal("14.6"), payments=payments)

    assert owed(days, payments) <= owed(days + more, payments) <= owed(days + more, [])


@pytest.mark.parametrize(
    ("principal", "terms"), [(-1, {}), (1, {"year_days": 0}), (1, {"grace_days": -1})]
)
def test_interest_on_nothing_owed_is_refused(principal, terms):
    with pytest.raises(ValueError, match="interest"):
        late_interest(principal, DUE, DUE, Decimal(1), **terms)


# Ageing


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(-1, 0), (0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (90, 3), (91, 4)],
)
def test_a_debt_ages_by_days_overdue(days, bucket):
    found = ageing([Receivable("a", DUE, 7)], DUE + timedelta(days))
    assert [place for place, amount in enumerate(found) if amount] == [bucket]


@given(OPEN, DAYS)
def test_ageing_loses_nothing(rows, as_of):
    assert sum(ageing(rows, as_of, (10, 45))) == sum(row.open_amount for row in rows)


@pytest.mark.parametrize("bounds", [(30, 30), (60, 30), (0, 30)])
def test_bounds_that_do_not_rise_are_refused(bounds):
    with pytest.raises(ValueError, match="bounds"):
        ageing([], DUE, bounds)
