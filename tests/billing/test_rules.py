"""Rent by civil date: every day once, every month to the unit."""

import doctest
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.billing import rules
from leasing.billing.model import BillableLine, Charge, Stay
from leasing.billing.rules import MAX_MONTHS, TooManyMonths, rate, totals
from leasing.kit.money import percent_of, prorate
from leasing.kit.time import month_of

FIRST, LAST = date(2023, 1, 1), date(2029, 1, 1)
DAYS = st.dates(FIRST, LAST)
RENTS = st.integers(0, 10**12)


def line_of(
    stays: list[tuple[date, date | None]], rent: int = 31_000, billed_to: date | None = None
) -> BillableLine:
    return BillableLine(
        line_id=UUID(int=1),
        contract_id=UUID(int=2),
        site_id=UUID(int=3),
        rent_amount=rent,
        vat_percent=Decimal(13),
        stays=[Stay(UUID(int=i), start, end) for i, (start, end) in enumerate(stays, 10)],
        billed_to=billed_to,
    )


@st.composite
def lines(draw: st.DrawFn) -> BillableLine:
    """A line with packs one after the other, sometimes with empty days between, the last of
    them still there or gone."""
    cuts = sorted(draw(st.lists(DAYS, min_size=2, max_size=8, unique=True)))
    stays: list[tuple[date, date | None]] = [
        (start, end)
        for start, end in pairwise(cuts)
        if draw(st.integers(0, 4)) > 0 or (start, end) == (cuts[0], cuts[1])
    ]
    if draw(st.booleans()):
        stays[-1] = (stays[-1][0], None)
    return line_of(stays, draw(RENTS))


def days_of(charges: list[Charge]) -> Counter[tuple[date, UUID]]:
    return Counter(
        (charge.from_on + timedelta(days=n), charge.pack_id)
        for charge in charges
        for n in range((charge.to_on - charge.from_on).days)
    )


def days_leased(line: BillableLine, from_on: date, until: date) -> Counter[tuple[date, UUID]]:
    return Counter(
        (on, stay.pack_id)
        for stay in line.stays
        for n in range(((stay.to_on or LAST + timedelta(days=999)) - stay.from_on).days)
        if from_on <= (on := stay.from_on + timedelta(days=n)) < until
    )


def by_month(charges: list[Charge]) -> dict[date, list[Charge]]:
    found: dict[date, list[Charge]] = {}
    for charge in charges:
        found.setdefault(month_of(charge.from_on)[0], []).append(charge)
    return found


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(rules).failed == 0
    assert doctest.testmod(rules).attempted >= 3
    january, february = rate(line_of([(date(2025, 1, 11), None)]), date(2025, 3, 1))
    assert (january.amount, february.amount) == (21_000, 31_000)


@given(lines(), st.none() | DAYS, DAYS)
def test_every_day_leased_and_not_billed_before_is_charged_once_to_its_pack(line, billed_to, until):
    line = line_of([(s.from_on, s.to_on) for s in line.stays], line.rent_amount, billed_to)
    assert days_of(rate(line, until)) == days_leased(line, billed_to or date.min, until)


@given(lines(), DAYS)
def test_a_charge_lies_in_one_month_and_says_how_long_that_is(line, until):
    for charge in rate(line, until):
        first, following = month_of(charge.from_on)
        assert charge.from_on < charge.to_on <= following
        assert charge.month_days == (following - first).days
        assert charge.rent_amount == line.rent_amount


@given(lines(), DAYS)
def test_the_parts_of_a_month_add_up_to_the_rent_for_its_days(line, until):
    for charges in by_month(rate(line, until)).values():
        days = sum((charge.to_on - charge.from_on).days for charge in charges)
        owed = prorate(line.rent_amount, days, charges[0].month_days)
        assert sum(charge.amount for charge in charges) == owed
        assert all(charge.amount >= 0 for charge in charges)


@given(lines(), DAYS)
def test_charges_come_in_order_of_time(line, until):
    charges = rate(line, until)
    assert all(a.to_on <= b.from_on for a, b in pairwise(charges))


@given(lines(), DAYS)
def test_billing_month_by_month_is_billing_all_at_once(line, until):
    until = until.replace(day=1)
    stays = [(s.from_on, s.to_on) for s in line.stays]
    billed: list[Charge] = []
    _, to_on = month_of(FIRST)
    while to_on <= until:
        billed_to = max((charge.to_on for charge in billed), default=None)
        billed += rate(line_of(stays, line.rent_amount, billed_to), to_on)
        _, to_on = month_of(to_on)
    assert billed == rate(line, until)


@given(lines(), DAYS, DAYS)
def test_a_month_billed_in_two_parts_is_a_unit_off_at_most(line, first, second):
    cut, until = sorted((first, second))
    stays = [(s.from_on, s.to_on) for s in line.stays]
    whole = by_month(rate(line, until))
    parts = by_month(rate(line, cut) + rate(line_of(stays, line.rent_amount, cut), until))
    assert whole.keys() == parts.keys()
    for first_on in whole:
        one = sum(charge.amount for charge in whole[first_on])
        two = sum(charge.amount for charge in parts[first_on])
        assert abs(one - two) <= (1 if first_on == month_of(cut)[0] else 0)


@pytest.mark.parametrize(
    ("start", "end", "until", "amounts"),
    [
        # A leap February: 29 days, one of them 1/29.
        (date(2024, 2, 29), None, date(2024, 3, 1), [1_069]),
        (date(2024, 2, 1), None, date(2024, 3, 1), [31_000]),
        (date(2025, 2, 28), None, date(2025, 3, 1), [1_107]),
        # 31 days, then over the end of a year.
        (date(2025, 12, 31), None, date(2026, 2, 1), [1_000, 31_000]),
        # The day of return is free; one day before it is not.
        (date(2026, 1, 1), date(2026, 1, 2), date(2026, 2, 1), [1_000]),
        (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1), [31_000]),
    ],
)
def test_months_are_prorated_by_their_own_days(start, end, until, amounts):
    charges = rate(line_of([(start, end)]), until)
    assert [charge.amount for charge in charges] == amounts


def test_a_swap_splits_the_rent_of_the_month_and_does_not_change_it():
    swapped = date(2026, 1, 12)
    charges = rate(
        line_of([(date(2026, 1, 1), swapped), (swapped, None)], rent=10_000), date(2026, 2, 1)
    )
    assert [charge.amount for charge in charges] == [3_548, 6_452]


def test_before_the_first_day_nothing_is_owed():
    assert rate(line_of([(date(2026, 1, 1), None)]), date(2026, 1, 1)) == []
    assert rate(line_of([(date(2026, 1, 1), None)]), date(2025, 1, 1)) == []


def test_a_line_that_owes_more_than_ten_years_is_refused():
    start = date(2016, 1, 1)
    assert len(rate(line_of([(start, None)]), date(2026, 1, 1))) == MAX_MONTHS
    with pytest.raises(TooManyMonths):
        rate(line_of([(start, None)]), date(2026, 1, 2))


@given(st.dictionaries(st.decimals(0, 100, places=2), st.integers(-(10**15), 10**15), max_size=5))
def test_vat_is_worked_out_once_per_rate_and_the_document_adds_up(net_by_rate):
    per_rate, whole = totals(net_by_rate)
    assert whole.net_amount == sum(net_by_rate.values())
    assert whole.vat_amount == sum(part.vat_amount for part in per_rate.values())
    assert whole.total_amount == whole.net_amount + whole.vat_amount
    assert all(
        per_rate[rate].vat_amount == percent_of(net_by_rate[rate], rate) for rate in per_rate
    )
