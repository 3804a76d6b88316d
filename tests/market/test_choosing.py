"""Packs by name: runs of neighbours, never one twice, and enough energy by their own sum."""

from datetime import date, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.market import bound, planning, rules
from leasing.market.greedy import highest_value_a_pack
from leasing.market.model import STEP
from leasing.market.rules import Demand, NotEnough, Supply
from leasing.sites.strings import differences
from schemas.market import MarketTerms

TODAY = date(2026, 6, 15)
TERMS = MarketTerms(warehouse_adcode="410100")


def supply(number: int, usable_mah: int = 90_000, **changes: object) -> Supply:
    held = {
        "chemistry": "B",
        "cells_in_series": 16,
        "rated_voltage_mv": 51_200,
        "rated_capacity_mah": 100_000,
        "maker": "9ZZ",
        "specification": "51",
        "pack_id": UUID(int=number),
        "code": f"P{number}",
        "made_on": date(2021, 12, 4),
        "mass_kg": 46,
        "usable_mah": usable_mah,
        "free_on": TODAY,
        "adcode": "410100",
        "residual_amount": None,
    }
    return Supply(**{**held, **changes})  # type: ignore[arg-type]


def demand(number: int, **changes: object) -> Demand:
    held = {
        "id": UUID(int=number),
        "lessee_id": UUID(int=1),
        "site_id": UUID(int=2),
        "longitude": 113.56,
        "latitude": 34.81,
        "first_slot": 1,
        "slots": 6,
        "system_voltage_mv": 51_200,
        "energy_wh": 8_000,
        "lowest_celsius": 0,
        "starts_on": TODAY,
        "months": 24,
        "rent_amount": 60_000,
        "weight_percent": 100,
    }
    return Demand(**{**held, **changes})  # type: ignore[arg-type]


SUPPLIES = st.lists(
    st.tuples(
        st.integers(70_000, 104_000),
        st.sampled_from(["51", "52"]),
        st.sampled_from([date(2020, 12, 30), date(2021, 1, 2), date(2021, 11, 30)]),
        st.sampled_from([0, 0, 40]),
    ),
    max_size=30,
)
DEMANDS = st.lists(
    st.tuples(st.integers(2_000, 18_000), st.integers(100, 90_000), st.sampled_from([0, 60])),
    max_size=8,
)


@given(SUPPLIES, DEMANDS)
@settings(max_examples=150, deadline=None)
def test_every_pack_goes_to_one_need_and_every_string_is_of_packs_that_may_stand_together(
    packs: list[tuple[int, str, date, int]], needs: list[tuple[int, int, int]]
):
    stock = [
        supply(
            at,
            mah,
            specification=kind,
            made_on=made,
            free_on=TODAY + timedelta(days=days),
        )
        for at, (mah, kind, made, days) in enumerate(packs, 1)
    ]
    wanted = [
        demand(at, energy_wh=wh, rent_amount=rent, starts_on=TODAY + timedelta(days=days))
        for at, (wh, rent, days) in enumerate(needs, 1)
    ]
    stall = rules.stall(stock, wanted, TERMS, TODAY)
    plan = highest_value_a_pack(stall.market)
    bound.worth(stall.market, plan)
    chosen = rules.choose(stall, plan)
    named = [pack.pack_id for one in chosen for pack, _ in one.packs]
    assert len(named) == len(set(named))
    for one in chosen:
        need, string = stall.demands[one.need], [pack for pack, _ in one.packs]
        assert len(string) <= need.slots
        assert one.energy_wh >= need.energy_wh
        assert all(pack.free_on <= need.starts_on for pack in string)
        assert max(pack.soh for pack in string) - min(pack.soh for pack in string) <= 2 * STEP
        assert differences(string[0], string[1:]) == []


def test_packs_of_a_string_follow_one_another_by_state_of_health():
    stock = [supply(at, 90_000 + 500 * at) for at in range(1, 9)]
    stall = rules.stall(stock, [demand(1), demand(2), demand(3)], TERMS, TODAY)
    chosen = rules.choose(stall, planning.solve(stall.market).plan)
    runs = sorted([pack.soh for pack, _ in one.packs] for one in chosen)
    assert runs == [[905, 910], [915, 920], [925, 930]]


def test_a_plan_that_takes_more_than_there_is_has_no_packs_by_name():
    stall = rules.stall([supply(1), supply(2)], [demand(1), demand(2)], TERMS, TODAY)
    plan = planning.greedy.planned([(0, 0, 2), (1, 0, 2)])
    with pytest.raises(NotEnough):
        rules.choose(stall, plan)


def test_the_order_of_rows_does_not_matter():
    stock = [supply(at, 85_000 + 700 * at) for at in range(1, 20)]
    needs = [demand(at, energy_wh=4_000 + 800 * at) for at in range(1, 6)]
    one = rules.stall(stock, needs, TERMS, TODAY)
    two = rules.stall(stock[::-1], needs[::-1], TERMS, TODAY)
    assert planning.digest(one.market) == planning.digest(two.market)
    assert planning.solve(one.market).plan_id == planning.solve(two.market).plan_id


def test_what_a_pack_is_worth_otherwise_is_what_the_offer_or_the_terms_say():
    # 90 Ah at 51.2 V are 4.608 kWh, at 90 CNY each.
    assert rules.residual(supply(1), TERMS) == 41_472
    assert rules.residual(supply(1, residual_amount=5), TERMS) == 5


def test_parts_of_an_explanation_add_up_and_the_next_choice_is_named():
    stock = [supply(at) for at in (1, 2)] + [supply(at, made_on=date(2020, 3, 1)) for at in (3, 4)]
    stall = rules.stall(stock, [demand(1, weight_percent=150)], TERMS, TODAY)
    planned = planning.solve(stall.market)
    (one,) = rules.choose(stall, planned.plan)
    why = rules.explain(stall, planned.prices, UUID(int=9), one)
    for seen in (why.chosen, *why.alternatives):
        parts = seen.rent_amount - seen.freight_amount - seen.residual_amount
        assert seen.value_amount == parts * seen.weight_percent // 100
        assert seen.above_amount == seen.value_amount - seen.price_amount
    assert {why.chosen.made_in, why.alternatives[0].made_in} == {2020, 2021}
    assert np.all(planned.prices >= 0)
