"""Minor units, lines, taxes: rounded once, and the same for a credit."""

import doctest
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.billing.model import Statement, Sum
from leasing.billing.rules import total
from leasing.kit.money import half_even, percent_of
from leasing.pricing import currencies
from leasing.pricing.currencies import (
    line_amount,
    minor_units,
    to_major,
    to_minor,
    vat_by_line,
    vat_percent,
)
from schemas.billing import Component
from schemas.contracts import VatMode
from tests.pricing.price_cases import cases, number

AMOUNTS = st.integers(-(10**15), 10**15)
PERCENTS = st.decimals(0, 100, places=2)
QUANTITIES = st.decimals(-(10**6), 10**6, places=4)


def test_the_reference_cases_of_rounding_hold(shared):
    for case in cases(shared, "rounding"):
        asked, expected = case["inputs"], case["expected"]
        digits = asked["currency_minor_units"]
        nets = [
            line_amount(
                Decimal(line["quantity"]),
                Decimal(line["unit_price"]) * 10**digits,
                number(line, "base_quantity", "1"),
            )
            for line in asked["lines"]
        ]
        groups = [
            (Decimal(group["rate"]), taxable(group, nets, digits)) for group in asked["tax_groups"]
        ]
        found = invoice(groups)
        as_found = {
            "line_amounts": nets,
            "net": found.whole.net_amount,
            "tax_amounts": [found.by_rate[percent].vat_amount for percent, _ in groups],
            "total": found.whole.total_amount,
        }
        for name, value in expected.items():
            wanted = [value] if isinstance(value, str) else value
            minor = [to_minor(Decimal(one), digits) for one in wanted]
            assert as_found[name] == (minor[0] if isinstance(value, str) else minor), case["id"]


def taxable(group, nets, digits):
    given = number(group, "taxable")
    return sum(nets) if given is None else to_minor(given, digits)


def invoice(nets: Sequence[tuple[Decimal, int]]) -> Statement:
    """What an invoice of lines `(VAT per cent, net amount)` comes to."""
    return total(Sum(Component.RENT, VatMode.EXCLUSIVE, percent, net) for percent, net in nets)


def vat_by_percent(statement: Statement) -> dict[Decimal, int]:
    return {percent: part.vat_amount for percent, part in statement.by_rate.items()}


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(currencies).failed == 0
    assert doctest.testmod(currencies).attempted >= 9


def test_minor_units_are_those_of_iso_4217():
    wanted = {"CNY": 2, "USD": 2, "JPY": 0, "KRW": 0, "BHD": 3, "IQD": 3, "NGN": 2, "UYW": 4}
    assert {code: minor_units(code) for code in wanted} == wanted


@pytest.mark.parametrize("code", ["XXX", "XAU", "cny", "DEM", ""])
def test_what_has_no_minor_unit_is_refused(code):
    with pytest.raises(ValueError, match=code or "''"):
        minor_units(code)


@pytest.mark.parametrize(
    ("amount", "digits", "units"),
    [("1.005", 2, 101), ("-1.005", 2, -101), ("1.0049", 2, 100), ("0.5", 0, 1), ("0.0005", 3, 1)],
)
def test_a_half_goes_away_from_zero_in_any_currency(amount, digits, units):
    assert to_minor(Decimal(amount), digits) == units


@given(AMOUNTS, st.integers(0, 4))
def test_minor_units_come_back_from_a_decimal(amount, digits):
    major = to_major(amount, digits)
    assert to_minor(major, digits) == amount
    assert -major.as_tuple().exponent == digits


def test_a_half_goes_to_the_even_unit_where_that_is_agreed():
    assert [half_even(Fraction(n, 2)) for n in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]


@given(QUANTITIES, st.decimals(0, 10**4, places=10), st.decimals(1, 1000, places=2))
def test_a_line_is_rounded_once_and_its_credit_mirrors_it(quantity, price, base):
    amount = line_amount(quantity, price, base)
    assert abs(amount - Fraction(quantity) * Fraction(price) / Fraction(base)) <= Fraction(1, 2)
    assert line_amount(-quantity, price, base) == -amount
    assert line_amount(quantity, -price, base) == -amount


def test_a_price_for_nothing_is_refused():
    with pytest.raises(ValueError, match="above nothing"):
        line_amount(1, 1, 0)


@given(st.lists(st.tuples(PERCENTS, AMOUNTS), max_size=20))
def test_a_credit_note_mirrors_its_invoice(nets):
    charged = invoice(nets)
    credit = invoice([(percent, -net) for percent, net in nets])
    vat = vat_by_percent(charged)
    assert credit.whole.total_amount == -charged.whole.total_amount
    assert vat_by_percent(credit) == {rate: -amount for rate, amount in vat.items()}
    assert charged.whole.total_amount == sum(net for _, net in nets) + sum(vat.values())


def test_each_rate_is_taxed_on_its_own_sum():
    found = invoice([(Decimal(13), 5), (Decimal("13.0"), 5), (Decimal(6), 100), (Decimal(0), 7)])
    assert vat_by_percent(found) == {Decimal(13): 1, Decimal(6): 6, Decimal(0): 0}
    assert found.whole.total_amount == 124
    found = invoice([(Decimal(20), net) for net in (6833, 6833, 5750, 8500)])
    assert vat_by_percent(found) == {Decimal(20): 5583}
    assert (found.whole.net_amount, found.whole.total_amount) == (27916, 33499)


@given(st.lists(AMOUNTS, min_size=1, max_size=30), PERCENTS)
def test_vat_by_line_adds_up_and_stays_within_a_unit_of_each_line(nets, percent):
    parts = vat_by_line(nets, percent)
    assert sum(parts) == percent_of(sum(nets), percent)
    for net, part in zip(nets, parts, strict=True):
        assert abs(part - Fraction(net) * Fraction(percent) / 100) < 1
    if sum(nets):
        assert vat_by_line([-net for net in nets], percent) == [-part for part in parts]


def test_a_unit_of_vat_that_is_left_goes_to_the_earliest_of_equals():
    assert vat_by_line([10, 10, 10], Decimal(5)) == [1, 1, 0]
    assert vat_by_line([-10, -10, -10], Decimal(5)) == [-1, -1, 0]


def test_the_vat_rate_is_that_of_the_day():
    rates = {
        "lease": [(date(2019, 4, 1), Decimal(13)), (date(2017, 7, 1), Decimal(17))],
        "service": [(date(2016, 5, 1), Decimal(6))],
    }
    rates["lease"].append((date(2018, 5, 1), Decimal(16)))
    days = [date(2018, 4, 30), date(2018, 5, 1), date(2019, 4, 1), date(2030, 1, 1)]
    assert [vat_percent(rates, "lease", day) for day in days] == [17, 16, 13, 13]
    for category, day in [("lease", date(2017, 6, 30)), ("sale", date(2020, 1, 1))]:
        with pytest.raises(LookupError, match=category):
            vat_percent(rates, category, day)
