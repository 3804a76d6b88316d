"""Prices by quantity. Where a table repeats what a billing system's own tests state, it says so."""

import doctest
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import tiers
from leasing.pricing.tiers import (
    Blocks,
    Tier,
    blocks_all_tiers,
    blocks_top_tier,
    commit,
    graduated,
    package,
    per_unit,
    since,
    volume,
)
from tests.pricing.price_cases import cases, number

LAGO = [Tier(10, 10, 2), Tier(20, 5, 3), Tier(None, 5, 3)]
LAGO_VOLUME = [Tier(100, 2, 10), Tier(200, 1, 0), Tier(None, Decimal("0.5"), 50)]
OPENMETER = [Tier(5, 0, 100), Tier(10, 0, 150), Tier(15, 10), Tier(None, 5)]
KILL_BILL = [Blocks(100, 10, 1), Blocks(1000, 100, 1), Blocks(1000, 100, Decimal("0.5"))]

QUANTITIES = st.decimals(0, 10**6, places=3)
PRICES = st.decimals(0, 1000, places=4)


@st.composite
def tables(draw, fees=PRICES, prices=PRICES):
    bounds = draw(st.lists(st.decimals("0.001", 10**5, places=3), max_size=5, unique=True))
    return [Tier(bound, draw(prices), draw(fees)) for bound in [*sorted(bounds), None]]


def rate(model, given):
    """What a reference case asks for, as a function of a quantity."""
    steps = [
        Tier(number(tier, "up_to"), number(tier, "unit_price", "0"), number(tier, "flat_fee", "0"))
        for tier in given.get("tiers", [])
    ]
    blocks = [
        Blocks(Decimal(block["size"]), block["max"], Decimal(block["price"]))
        for block in given.get("blocks", [])
    ]
    return {
        "graduated": lambda quantity: graduated(steps, quantity),
        "volume": lambda quantity: [volume(steps, quantity)],
        "blocks_all_tiers": lambda quantity: blocks_all_tiers(blocks, quantity),
        "blocks_top_tier": lambda quantity: [blocks_top_tier(blocks, quantity)],
        "per_unit": lambda quantity: [per_unit(quantity, number(given, "unit_price"))],
        "package": lambda quantity: [
            package(
                quantity,
                number(given, "package_size"),
                number(given, "package_price"),
                number(given, "free_units", "0"),
            )
        ],
    }[model]


def test_the_reference_cases_of_tiers_hold(shared):
    for case in cases(shared, "tiered_amount"):
        asked, expected = case["inputs"], case["expected"]
        parts = rate(asked["model"], asked)
        quantity, prior = number(asked, "quantity"), number(asked, "prior_quantity")
        owed = sum(parts(quantity))
        if prior is not None:
            owed = since(lambda quantity, parts=parts: sum(parts(quantity)), quantity, prior)
        spend = commit(
            owed,
            minimum=number(asked, "minimum"),
            maximum=number(asked, "maximum"),
            already_billed=number(asked, "already_billed", "0"),
        )
        assert spend.amount == Decimal(expected["amount"]), case["id"]
        assert spend.true_up == Decimal(expected.get("true_up", 0)), case["id"]
        if "breakdown" in expected:
            assert parts(quantity) == [Decimal(part) for part in expected["breakdown"]], case["id"]


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(tiers).failed == 0
    assert doctest.testmod(tiers).attempted >= 14


@pytest.mark.parametrize(
    ("quantity", "parts"),
    [
        (0, [2]),
        (1, [12]),
        (10, [102]),
        (11, [102, 8]),
        (21, [102, 53, 8]),
        (Decimal("10.5"), [102, Decimal("5.5")]),
        (-1, []),
    ],
)
def test_graduated_tiers_charge_as_lago_does(quantity, parts):
    assert graduated(LAGO, quantity) == parts


@pytest.mark.parametrize(
    ("table", "quantity", "amount"),
    [
        (LAGO_VOLUME, 0, 10),
        (LAGO_VOLUME, 1, 12),
        (LAGO_VOLUME, 100, 210),
        (LAGO_VOLUME, Decimal("100.5"), Decimal("100.5")),
        (LAGO_VOLUME, 200, 200),
        (LAGO_VOLUME, 300, 200),
        (LAGO_VOLUME, -5, 0),
        (LAGO_VOLUME, -1, 0),
        (OPENMETER, 0, 100),
        (OPENMETER, 5, 100),
        (OPENMETER, 15, 150),
        (OPENMETER, 16, 80),
    ],
)
def test_volume_tiers_charge_as_lago_and_openmeter_do(table, quantity, amount):
    assert volume(table, quantity) == amount


@pytest.mark.parametrize(
    ("quantity", "free", "amount"),
    [(0, 0, 0), (1, 0, 15), (10, 0, 15), (11, 0, 30), (11, 1, 15), (3, 200, 0)],
)
def test_a_package_that_was_begun_is_paid_whole(quantity, free, amount):
    assert package(quantity, 10, 15, free) == amount


def test_a_package_of_a_fraction_is_counted_exactly():
    assert package(Decimal("0.3"), Decimal("0.1"), 7) == 21


@pytest.mark.parametrize(
    ("quantity", "all_tiers", "top_tier"),
    [
        (0, [0], 0),
        (1000, [10], 10),
        (1001, [10, 1], 2),
        (101_000, [10, 100], 101),
        (101_001, [10, 100, Decimal("0.5")], 51),
        (300_000, [10, 100, Decimal("99.5")], 150),
    ],
)
def test_blocks_are_charged_whole_tier_by_tier_or_at_the_one_reached(quantity, all_tiers, top_tier):
    assert blocks_all_tiers(KILL_BILL, quantity) == all_tiers
    assert blocks_top_tier(KILL_BILL, quantity) == top_tier


def test_a_block_that_was_begun_in_a_tier_leaves_nothing_below_nothing_for_the_next():
    tenths = [Blocks(Decimal("0.1"), 2, 1), Blocks(1, None, 5)]
    assert blocks_all_tiers(tenths, Decimal("0.15")) == [2]
    assert blocks_all_tiers(tenths, Decimal("0.25")) == [2, 5]
    assert blocks_all_tiers([Blocks(10, 5, 1), Blocks(1, None, 5)], 1) == [1]


@given(tables(fees=st.just(Decimal(0))), QUANTITIES, QUANTITIES)
def test_graduated_amounts_rise_with_the_quantity_and_never_jump(table, one, other):
    low, high = sorted([one, other])
    rise = sum(graduated(table, high)) - sum(graduated(table, low))
    dearest = max(tier.unit_price for tier in table)
    assert 0 <= rise <= Fraction(high - low) * Fraction(dearest)


@given(tables(), QUANTITIES)
def test_graduated_units_and_fees_are_each_counted_once(table, quantity):
    entered = graduated(table, quantity)
    at_one = [tier._replace(unit_price=1, flat_fee=0) for tier in table]
    once = [tier._replace(unit_price=0, flat_fee=1) for tier in table]
    assert sum(graduated(at_one, quantity)) == quantity
    assert sum(graduated(once, quantity)) == len(entered)


@given(tables(), QUANTITIES)
def test_one_tier_prices_alike_whatever_the_model(table, quantity):
    only = [table[-1]]
    assert sum(graduated(only, quantity)) == volume(only, quantity)


@given(tables(), st.lists(QUANTITIES, min_size=1, max_size=5))
def test_a_period_billed_in_pieces_costs_what_it_costs_at_once(table, readings):
    def owed(quantity):
        return sum(graduated(table, quantity))

    seen = sorted(readings)
    pieces = [since(owed, later, earlier) for earlier, later in pairwise(seen)]
    assert owed(seen[0]) + sum(pieces) == owed(seen[-1])
    assert since(owed, seen[0], seen[-1]) == -since(owed, seen[-1], seen[0])


@pytest.mark.parametrize(
    ("amount", "minimum", "maximum", "billed", "charge", "true_up"),
    [
        (0, 1000, None, 100, 0, 900),
        (100, 150, None, 0, 100, 50),
        (100, 100, None, 0, 100, 0),
        (500, 100, None, 0, 500, 0),
        (75, None, 100, 90, 10, 0),
        (75, None, 100, 120, 0, 0),
        (-30, None, 100, 120, -30, 0),
        (40, 100, 100, 80, 20, 0),
        (10, 100, 100, 80, 10, 10),
    ],
)
def test_commitments_cut_and_top_up_what_is_left_of_the_period(
    amount, minimum, maximum, billed, charge, true_up
):
    spend = commit(amount, minimum=minimum, maximum=maximum, already_billed=billed)
    assert spend == (charge, true_up)


@given(st.lists(PRICES, max_size=6), PRICES, PRICES)
def test_what_is_billed_in_pieces_stays_between_minimum_and_maximum(amounts, one, other):
    minimum, maximum = sorted([one, other])
    billed = Fraction(0)
    for amount in amounts:
        billed += commit(amount, maximum=maximum, already_billed=billed).amount
    last = commit(0, minimum=minimum, maximum=maximum, already_billed=billed)
    usage = sum(map(Fraction, amounts))
    assert billed + sum(last) == min(max(usage, Fraction(minimum)), Fraction(maximum))


@pytest.mark.parametrize(
    "table",
    [
        [],
        [Tier(10)],
        [Tier(None), Tier(None)],
        [Tier(10), Tier(10), Tier(None)],
        [Tier(20), Tier(10), Tier(None)],
        [Tier(0), Tier(None)],
    ],
)
def test_tiers_that_leave_gaps_are_refused(table):
    with pytest.raises(ValueError, match="bound"):
        graduated(table, 1)
    with pytest.raises(ValueError, match="bound"):
        volume(table, 1)


@pytest.mark.parametrize("table", [[], [Blocks(0, 1, 1)], [Blocks(1, 0, 1), Blocks(1, None, 1)]])
def test_blocks_that_hold_nothing_are_refused(table):
    with pytest.raises(ValueError, match="tier"):
        blocks_all_tiers(table, 1)
    with pytest.raises(ValueError, match="tier"):
        blocks_top_tier(table, 1)


def test_a_package_of_nothing_and_a_minimum_above_the_maximum_are_refused():
    with pytest.raises(ValueError, match="package"):
        package(1, 0, 1)
    with pytest.raises(ValueError, match="above the maximum"):
        commit(1, minimum=2, maximum=1)
