"""What scrap brings: in grams and fen, by arithmetic alone."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.deals import rules
from leasing.deals.model import BadDeal, Open, Term
from schemas.deals import DealMetal, Material, ScrapAssay

SALTS = [
    (Material.LITHIUM_CARBONATE, DealMetal.LI, "5.3233"),
    (Material.LITHIUM_HYDROXIDE, DealMetal.LI, "6.0464"),
    (Material.NICKEL_SULPHATE, DealMetal.NI, "4.4782"),
    (Material.NICKEL, DealMetal.NI, "1"),
    (Material.COBALT_SULPHATE, DealMetal.CO, "4.7697"),
    (Material.COBALT, DealMetal.CO, "1"),
]

percents = st.decimals("0.01", 100, places=2)
contents = st.decimals("0.0001", 100, places=4)
coefficients = st.decimals("0.01", 1000, places=2)
salts = st.sampled_from([(material, metal) for material, metal, _ in SALTS])
masses = st.integers(1, 10**11)
prices = st.integers(1, 10**12)
terms = st.builds(
    lambda salt, content, recovery, coefficient: Term(
        salt[1], salt[0], content, recovery, coefficient
    ),
    salts,
    contents,
    percents,
    coefficients,
)


@pytest.mark.parametrize(("material", "metal", "known"), SALTS)
def test_factors_are_those_of_handbooks(material, metal, known):
    assert abs(rules.factor(material, metal) - Decimal(known)) < Decimal("0.00006")


def test_a_salt_gives_no_metal_that_it_does_not_hold():
    with pytest.raises(ValueError, match="holds no Ni"):
        rules.factor(Material.LITHIUM_CARBONATE, DealMetal.NI)


def test_a_tonne_of_lfp_scrap_brings_what_was_paid_in_september_2025():
    term = Term(DealMetal.LI, Material.LITHIUM_CARBONATE, Decimal("2.5"), Decimal(100), Decimal(76))
    (owed,) = rules.appraise(
        1_000_000, [term], {DealMetal.LI: Decimal("2.5")}, {term.material: 7_500_000}
    )
    assert (owed.contained_g, owed.grams, owed.amount) == (25_000, 101_144, 758_580)
    assert abs(owed.amount - 762_000) < 5_000


def test_a_tonne_of_ternary_scrap_at_a_coefficient_of_200_percent():
    nickel = Term(DealMetal.NI, Material.NICKEL, Decimal(20), Decimal(100), Decimal(200))
    cobalt = Term(DealMetal.CO, Material.COBALT, Decimal(10), Decimal(100), Decimal(200))
    held = {DealMetal.NI: Decimal(20), DealMetal.CO: Decimal(10)}
    paid = {Material.NICKEL: 18_000_000, Material.COBALT: 32_000_000}
    found = rules.appraise(1_000_000, [nickel, cobalt], held, paid)
    # Twice the metal that is in it: its lithium is in the coefficient.
    assert [one.grams for one in found] == [400_000, 200_000]
    assert sum(one.amount for one in found) == 7_200_000 + 6_400_000


@given(masses, terms)
def test_what_is_owed_is_the_product_to_half_a_gram(scrap_g, term):
    exact = (
        Fraction(scrap_g)
        * Fraction(term.content_percent)
        * Fraction(term.recovery_percent)
        * Fraction(term.coefficient_percent)
        * Fraction(rules.factor(term.material, term.metal))
        / 1_000_000
    )
    owed = rules.owed_g(scrap_g, term, term.content_percent)
    assert abs(owed - exact) <= Fraction(1, 2)


@given(masses, st.integers(0, 10**9), terms, st.decimals(0, 50, places=4))
def test_more_or_richer_scrap_never_brings_less(scrap_g, more_g, term, richer):
    less = rules.owed_g(scrap_g, term, term.content_percent)
    assert rules.owed_g(scrap_g + more_g, term, term.content_percent) >= less
    assert rules.owed_g(scrap_g, term, term.content_percent + richer) >= less


@given(masses, terms)
def test_at_a_coefficient_of_100_no_more_metal_comes_back_than_went_out(scrap_g, term):
    plain = Term(term.metal, term.material, term.content_percent, Decimal(100), Decimal(100))
    grams = rules.owed_g(scrap_g, plain, plain.content_percent)
    metal = Fraction(grams) / Fraction(rules.factor(plain.material, plain.metal))
    held = Fraction(rules.contained_g(scrap_g, plain.content_percent))
    assert abs(metal - held) <= Fraction(1, 2)


@given(st.integers(-(10**12), 10**12), prices)
def test_values_are_rounded_once_and_mirror(grams, price):
    fen = rules.value(grams, price)
    assert fen == -rules.value(-grams, price)
    assert abs(fen - Fraction(grams * price, 1_000_000)) <= Fraction(1, 2)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20), prices)
def test_what_comes_in_parts_leaves_neither_grams_nor_fen(parts, price):
    whole = sum(parts)
    open_ = rules.moved(Open(0, 0), whole, price)
    for part in parts:
        entry = rules.moved(open_, -part, price)
        open_ = Open(open_.grams + entry.grams, open_.amount + entry.amount)
    assert open_ == Open(0, 0)


@given(st.lists(st.integers(-(10**6), 10**6), max_size=30), prices)
def test_nothing_is_open_in_money_of_what_is_not_open_in_mass(moves, price):
    open_ = Open(0, 0)
    for grams in moves:
        entry = rules.moved(open_, grams, price)
        open_ = Open(open_.grams + entry.grams, open_.amount + entry.amount)
        assert open_.grams != 0 or open_.amount == 0
        # Half a fen for each entry is the most that rounding moves.
        assert abs(open_.amount - Fraction(open_.grams * price, 1_000_000)) <= len(moves)


def term(metal: str, material: str) -> Term:
    return Term(DealMetal(metal), Material(material), Decimal(10), Decimal(90), Decimal(100))


LI, NI, CO = term("Li", "Li2CO3"), term("Ni", "Ni"), term("Co", "CoSO4.7H2O")


@pytest.mark.parametrize(
    ("chemistry", "good"), [("B", [LI]), ("E", [NI, CO]), ("D", [CO]), ("C", [LI]), ("G", [LI])]
)
def test_scrap_is_counted_by_what_its_chemistry_holds(chemistry, good):
    rules.refuse_terms(chemistry, good)
    for bad in ([LI, NI], [NI], [LI, NI, CO], [CO, CO], [*good, good[0]]):
        if bad != good:
            with pytest.raises(BadDeal):
                rules.refuse_terms(chemistry, bad)


@pytest.mark.parametrize("chemistry", ["A", "F", "Z"])
def test_other_scrap_is_not_counted(chemistry):
    with pytest.raises(BadDeal):
        rules.refuse_terms(chemistry, [LI])


def test_a_material_holds_the_metal_that_it_is_given_for():
    with pytest.raises(BadDeal) as caught:
        rules.refuse_terms("B", [term("Li", "Ni")])
    assert [fault.pointer for fault in caught.value.fields] == ["/terms/0/material"]


def test_an_assay_stands_for_what_was_agreed_metal_by_metal():
    measured = [ScrapAssay(metal=DealMetal.CO, content_percent="12.5")]
    assert rules.assayed([NI, CO], measured) == {DealMetal.NI: 10, DealMetal.CO: Decimal("12.5")}
    for bad in (
        [*measured, *measured],
        [ScrapAssay(metal=DealMetal.LI, content_percent="1")],
        [ScrapAssay(metal=DealMetal.CO, content_percent="91")],
    ):
        with pytest.raises(BadDeal):
            rules.assayed([NI, CO], bad)


def test_every_material_of_a_deal_has_one_price():
    both = [Material.NICKEL, Material.COBALT]
    rules.refuse_prices(both, both[::-1])
    for bad in ([], both[:1], [*both, Material.LITHIUM_CARBONATE], [*both, both[0]]):
        with pytest.raises(BadDeal):
            rules.refuse_prices(both, bad)
