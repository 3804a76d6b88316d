"""Plans of small markets against all plans there are; bounds; what a checker refuses."""

import subprocess
import sys
from dataclasses import replace
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.market import bound, files, generator, greedy, planning, rounding, solving
from leasing.market.bound import Wrong
from leasing.market.model import IMPOSSIBLE, BadMarket, Market, Plan, digest
from leasing.market.windows import Pricer
from tests.market.markets import MARKETS, best_of_all, market

TOWER = (51_200, 8_000, 0, 4, 24, 0, 1_440_000, 100)
SHELF = (0, 0, 2020, 0, 36, 10, 30_000)


def plan(*rows: tuple[int, int, int]) -> Plan:
    return greedy.planned(list(rows))


def test_packs_energy_and_value_are_as_worked_out_by_hand():
    # 90.0 % less two years at 2 points: 86.0 % of 5,120 Wh is 4,403.2 Wh; two packs give 8,806.
    one = market([SHELF], [TOWER])
    wanted, value = bound.one_need(one, 0)
    assert wanted.tolist() == [2]
    # 98.03 km from Zhengzhou as the crow flies, 1.3 times that by road, 46 kg, 0.14 fen/(kg·km).
    freight = round(98.0 * 1.3 * 46 * 0.14)
    assert value[0] == pytest.approx(1_440_000 - 2 * (freight + 30_000), abs=20)
    weighted, _ = one, None
    heavy = replace(one, needs=replace(one.needs, weight=np.array([250])))
    assert bound.one_need(heavy, 0)[1][0] == int(value[0]) * 250 // 100
    assert weighted is one


@pytest.mark.parametrize(
    ("change", "served"),
    [
        ({}, True),
        ({"voltage_mv": 48_000}, False),
        ({"band": 3}, False),
        ({"slots": 1}, False),
        ({"months": 24 * 12}, False),
        ({"energy_wh": 44_033}, False),
        ({"start_day": -1}, False),
    ],
)
def test_each_rule_alone_forbids_a_window(change: dict[str, int], served: bool):
    one = market([SHELF], [TOWER])
    needs = replace(one.needs, **{name: np.array([to]) for name, to in change.items()})
    assert bound.one_need(replace(one, needs=needs), 0)[0].any() == served


@given(MARKETS)
@settings(max_examples=60, deadline=None)
def test_pricer_and_checker_agree_on_every_pair(one: Market):
    packs, value = Pricer(one).rows(np.arange(len(one.needs.rent)))
    for d in range(len(one.needs.rent)):
        wanted, worth = bound.one_need(one, d)
        there = value[d] > IMPOSSIBLE
        assert there.tolist() == (wanted > 0).tolist()
        assert packs[d][there].tolist() == wanted[there].tolist()
        assert value[d][there].tolist() == worth[there].tolist()


@given(MARKETS, st.data())
@settings(max_examples=60, deadline=None)
def test_no_plan_is_worth_more_than_the_bound_of_any_prices(one: Market, data: st.DataObject):
    many = len(one.bins.packs)
    prices = data.draw(st.lists(st.integers(0, 500_000), min_size=many, max_size=many))
    assert bound.bound(one, np.array(prices, dtype=np.int64)) >= best_of_all(one)


@given(MARKETS)
@settings(max_examples=100, deadline=None)
def test_a_small_market_is_planned_as_well_as_by_trying_all_plans(one: Market):
    found = planning.solve(one, 30.0)
    verdict = planning.judged(one, found)
    assert found.method == "solved"
    assert verdict.value == best_of_all(one) <= verdict.bound
    for other in (greedy.first_come(one), greedy.highest_value_a_pack(one)):
        assert bound.worth(one, other) <= verdict.value


def test_the_same_market_gets_the_same_plan_and_a_better_one_than_greedy():
    one = generator.national(120, 600)
    first, again = planning.solve(one), planning.solve(one)
    assert first.method == again.method == "solved"
    assert first.plan_id == again.plan_id
    assert first.prices.tolist() == again.prices.tolist()
    verdict = planning.judged(one, first)
    assert 0 <= verdict.gap_percent < 6
    assert bound.worth(one, greedy.highest_value_a_pack(one)) < verdict.value


def test_prices_are_learned_on_samples_and_end_at_the_same_bound(monkeypatch: pytest.MonkeyPatch):
    one = generator.national(500, 2_500)
    pricer = Pricer(one)
    laddered = solving.relaxed(one, pricer, monotonic() + 200)
    monkeypatch.setattr(solving, "LADDER", solving.LADDER[-1:])
    plain = solving.relaxed(one, pricer, monotonic() + 200)
    assert laddered.finished
    assert plain.finished
    assert abs(laddered.bound - plain.bound) < 1e-3 * plain.bound
    assert bound.bound(one, laddered.prices) == laddered.bound >= laddered.value


def test_a_clock_that_is_over_leaves_a_plan_that_holds():
    one = generator.national(120, 600)
    pricer = Pricer(one)
    found = solving.relaxed(one, pricer, 0.0, clock=lambda: 1.0)
    assert not found.finished
    strings = rounding.rounded(one, pricer, found, 0.0, clock=lambda: 1.0)
    assert not strings.finished
    verdict = bound.judge(one, found.prices, strings.plan)
    assert 0 < verdict.value <= verdict.bound


def test_without_an_answer_in_time_the_plan_is_greedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planning, "GRACE", -1.0)
    one = market([SHELF], [TOWER])
    found = planning.solve_within(one, 1.0)
    assert found.method == "greedy"
    assert planning.judged(one, found).served == 1


def test_a_market_with_nothing_in_it_has_an_empty_plan():
    for one in (market([], []), market([SHELF], []), market([], [TOWER])):
        found = planning.solve(one)
        assert planning.judged(one, found).value == planning.judged(one, found).bound == 0


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([(0, 0, 2), (0, 1, 2)], "served twice"),
        ([(0, 0, 3)], "takes 2 packs"),
        ([(0, 2, 2)], "may not"),
        ([(7, 0, 2)], "not there"),
        ([(0, 0, 2), (1, 0, 2), (2, 0, 2)], "fewer packs"),
        ([(0, 0, 2), (1, 1, 2), (2, 1, 2)], "fewer packs"),
    ],
)
def test_a_plan_that_is_none_is_refused(rows: list[tuple[int, int, int]], why: str):
    cold = (0, 2, 2020, 0, 36, 10, 0)
    shelves = [(0, 0, 2020, 0, 36, 2, 0), (0, 0, 2020, 0, 37, 2, 0), cold]
    one = market(shelves, [TOWER] * 3)
    assert bound.worth(one, plan((0, 0, 2), (1, 0, 2))) > 0
    with pytest.raises(Wrong, match=why):
        bound.worth(one, plan(*rows))


def test_prices_below_nothing_bound_nothing():
    one = market([SHELF], [TOWER])
    for prices in (np.array([-1]), np.array([1, 1])):
        with pytest.raises(Wrong):
            bound.bound(one, prices)


def test_a_plan_in_a_file_is_for_its_market_alone():
    one = market([SHELF], [TOWER])
    found = planning.named(one, plan((0, 0, 2)), np.array([5]), "solved")
    held = files.arrays_of(one) | files.arrays_of_plan(one, found.plan, found.prices)
    again = files.market_of(held)
    assert digest(again) == digest(one)
    read, prices = files.plan_of(held, again)
    assert (read.need.tolist(), prices.tolist()) == ([0], [5])
    with pytest.raises(BadMarket, match="another market"):
        files.plan_of(held, market([SHELF], [TOWER, TOWER]))
    with pytest.raises(BadMarket, match=r"bins\.packs"):
        files.market_of({name: held[name] for name in held if name != "bins.packs"})


def test_bins_out_of_order_or_named_twice_are_refused():
    one = market([SHELF, (0, 0, 2020, 0, 37, 1, 0)], [TOWER])
    for order in ([1, 0], [0, 0]):
        bins = replace(
            one.bins, **{name: getattr(one.bins, name)[order] for name in vars(one.bins)}
        )
        with pytest.raises(BadMarket, match="in order"):
            replace(one, bins=bins)


@pytest.mark.parametrize(
    ("module", "unknown"),
    [
        ("leasing.market.bound", ["highspy", "leasing.market.windows", "leasing.market.solving"]),
        ("leasing.app", ["highspy", "ortools"]),
    ],
)
def test_what_proves_and_what_answers_loads_no_solver(module: str, unknown: list[str]):
    loaded = f"import sys, {module}; sys.exit(bool(set({unknown!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loaded], check=False).returncode == 0
