"""Capital numerals, VAT by line, the order of the annex."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.billing.model import Sum
from leasing.billing.rules import total
from leasing.documents import rules
from leasing.documents.model import Line, Place, Vat
from leasing.documents.numerals import FIGURES, capital
from leasing.kit.money import percent_of
from leasing.pricing.currencies import vat_by_line
from schemas.billing import Component
from schemas.contracts import VatMode

# --- Capital numerals -------------------------------------------------------------------------

# The examples of the People's Bank's rules for the writing of bills, and edges of our own.
WRITTEN = {
    "0.00": "零圆整",
    "0.05": "伍分",
    "0.50": "伍角整",
    "1.00": "壹圆整",
    "10.00": "壹拾圆整",
    "1409.50": "壹仟肆佰零玖圆伍角整",
    "6007.14": "陆仟零柒圆壹角肆分",
    "325.04": "叁佰贰拾伍圆零肆分",
    "16409.02": "壹万陆仟肆佰零玖圆零贰分",
    "1234.56": "壹仟贰佰叁拾肆圆伍角陆分",
    "100000.00": "壹拾万圆整",
    "1000001.00": "壹佰万零壹圆整",
    "100000001.00": "壹亿零壹圆整",
    "1000000000000.00": "壹万亿圆整",
    "-1234.00": "负壹仟贰佰叁拾肆圆整",
}


@pytest.mark.parametrize(("amount", "said"), WRITTEN.items())
def test_amounts_are_written_as_banks_want_them(amount, said):
    assert capital(int(Decimal(amount) * 100)) == said


PLACES = {"拾": 10, "佰": 100, "仟": 1000}


def spoken_number(text: str) -> int:
    """The number that capital numerals say, read in another way than they are written."""
    for unit, size in (("亿", 10**8), ("万", 10**4)):
        if unit in text:
            high, _, low = text.rpartition(unit)
            return spoken_number(high) * size + spoken_number(low)
    value = figure = 0
    for sign in text:
        if sign in PLACES:
            value, figure = value + figure * PLACES[sign], 0
        else:
            figure = FIGURES.index(sign)
    return value + figure


def spoken(text: str) -> int:
    sign = -1 if text.startswith("负") else 1
    text = text.removeprefix("负").removesuffix("整")
    yuan, _, rest = text.rpartition("圆") if "圆" in text else ("", "", text)
    fen = 0
    for unit, size in (("角", 10), ("分", 1)):
        if unit in rest:
            figure, _, rest = rest.partition(unit)
            fen += FIGURES.index(figure[-1]) * size
    return sign * (spoken_number(yuan) * 100 + fen)


amounts = st.one_of(
    st.integers(-(10**6), 10**6),
    st.integers(-(10**17), 10**17),
    # Amounts with many zeros, where the rules are.
    st.lists(st.sampled_from("0000015"), min_size=1, max_size=17).map(lambda s: int("".join(s))),
)


@given(amounts)
def test_capital_numerals_say_the_amount_and_nothing_else(fen):
    said = capital(fen)
    assert spoken(said) == fen
    assert "零零" not in said
    assert "零圆" not in said or fen == 0
    assert said.endswith("分") != said.endswith("整")


@given(amounts, amounts)
def test_two_amounts_are_never_written_alike(one, other):
    assert (capital(one) == capital(other)) == (one == other)


# --- VAT by line ------------------------------------------------------------------------------

nets = st.lists(st.integers(-(10**7), 10**7), min_size=1, max_size=40)
percents = st.sampled_from([Decimal(0), Decimal(1), Decimal(6), Decimal("9.00"), Decimal(13)])


@given(nets, percents)
def test_vat_is_spread_as_the_invoice_s_own_rule_would(nets, percent):
    exact = [net * Fraction(percent) / 100 for net in nets]
    whole = percent_of(sum(nets), percent)
    found = rules.spread(whole, exact)
    assert sum(found) == whole
    if sum(nets) and whole:
        assert found == vat_by_line(nets, percent)


@given(nets, st.integers(-1000, 1000))
def test_what_was_booked_is_spread_whole_whatever_it_is(shares, whole):
    exact = [Fraction(share, 7) for share in shares]
    found = rules.spread(whole, exact)
    assert sum(found) == whole
    assert [-one for one in rules.spread(-whole, [-one for one in exact])] == found


def line(amount: int, mode: VatMode, percent: Decimal, **changes: object) -> Line:
    given: dict[str, object] = {
        "slot": 1,
        "contract": "C-1",
        "component": Component.RENT,
        "first_on": date(2026, 1, 1),
        "last_on": date(2026, 1, 31),
        "days": 31,
        "period_days": 31,
        "price_amount": amount,
        "pack_code": None,
        "quantity": None,
        "unit_price": None,
        "net_amount": 0,
        "vat_amount": 0,
        "takes_back": None,
    }
    return Line(
        amount=amount,
        vat_mode=mode,
        vat_percent=percent,
        **{**given, **changes},  # type: ignore[arg-type]
    )


PLACE = Place(
    "操作公司", None, "410000", "河南省", "Henan", "410100", "郑州市", "Zhengzhou", "S", "站"
)

billed = st.lists(
    st.builds(line, st.integers(-(10**6), 10**6), st.sampled_from(list(VatMode)), percents),
    min_size=1,
    max_size=40,
)


def booked(lines: list[Line]) -> list[Vat]:
    """What billing books for lines."""
    statement = total(
        Sum(one.component, one.vat_mode, one.vat_percent, one.amount) for one in lines
    )
    return [
        Vat(percent, part.net_amount, part.vat_amount)
        for percent, part in sorted(statement.by_rate.items())
    ]


@given(billed)
def test_lines_with_and_without_vat_in_them_add_up_to_what_was_booked(lines):
    rates = booked(lines)
    made = [one for _, one in rules.with_vat([(PLACE, one) for one in lines], rates)]
    assert len(made) == len(lines)
    for rate in rates:
        alike = [one for one in made if one.vat_percent == rate.percent]
        assert sum(one.net_amount for one in alike) == rate.net_amount
        assert sum(one.vat_amount for one in alike) == rate.vat_amount
    for one in made:
        if one.vat_mode is VatMode.INCLUSIVE:
            assert one.net_amount + one.vat_amount == one.amount
        else:
            assert one.net_amount == one.amount
        exact = Fraction(one.net_amount) * Fraction(one.vat_percent) / 100
        assert abs(one.vat_amount - exact) < 2


# --- Order ------------------------------------------------------------------------------------


def test_the_annex_is_in_the_same_order_however_its_lines_were_found():
    lines = [
        (
            Place(operator, None, adcode[:2] + "0000", "P", "P", adcode, "C", "C", code, None),
            line(amount, VatMode.EXCLUSIVE, Decimal(13), slot=slot, pack_code=pack),
        )
        for operator in ("乙", "甲")
        for adcode in ("410100", "410200", "110000")
        for code in ("B", "A")
        for slot in (1, 2, None)
        for amount in (5, 3)
        for pack in ("X", None)
    ]
    wanted = rules.ordered(lines)
    for seed in range(5):
        shuffled = lines[:]
        Random(seed).shuffle(shuffled)
        assert rules.ordered(shuffled) == wanted
    tree = rules.annex(wanted)
    assert [operator.name for operator in tree] == ["乙", "甲"]
    assert [one.adcode for one in tree[0].provinces] == ["110000", "410000"]
    assert [city.adcode for city in tree[0].provinces[1].cities] == ["410100", "410200"]
    assert [site.code for site in tree[0].provinces[0].cities[0].sites] == ["A", "B"]
    assert [one.slot for one in tree[0].provinces[0].cities[0].sites[0].lines][-1] is None


def test_each_level_of_the_annex_adds_up_the_one_below():
    lines = rules.ordered(
        (
            Place(operator, None, adcode[:2] + "0000", "P", "P", adcode, "C", "C", code, None),
            line(net, VatMode.EXCLUSIVE, Decimal(13), net_amount=net, vat_amount=net // 7),
        )
        for operator in ("甲", "乙")
        for adcode in ("410100", "410200", "110000")
        for code in ("A", "B")
        for net in (100, 250, -30)
    )
    tree = rules.annex(lines)
    levels = [
        [operator.sums for operator in tree],
        [one.sums for operator in tree for one in operator.provinces],
        [city.sums for operator in tree for one in operator.provinces for city in one.cities],
        [
            site.sums
            for operator in tree
            for one in operator.provinces
            for city in one.cities
            for site in city.sites
        ],
    ]
    assert [len(level) for level in levels] == [2, 4, 6, 12]
    wholes = {
        (sum(one.net_amount for one in level), sum(one.vat_amount for one in level))
        for level in levels
    }
    assert wholes == {(12 * 320, 12 * (100 // 7 + 250 // 7 + -30 // 7))}
    assert all(
        one.total_amount == one.net_amount + one.vat_amount for level in levels for one in level
    )
