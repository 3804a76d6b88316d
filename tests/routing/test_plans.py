"""Plans: as good as the best by trying all, proven, within capacity, the same every time."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.routing import certificate, columns, generator, greedy, planning, pricing, whole
from leasing.routing.certificate import Plan, Wrong
from leasing.routing.model import FORBIDDEN, Against, BadInstance, Table, with_free
from leasing.routing.rerouting import rerouted
from leasing.routing.whole import WholePlan
from tests.routing.instances import best_of_all, ints, small_network, table


def as_plan(found: columns.Relaxed) -> Plan:
    return Plan(found.arcs.row, found.arcs.column, found.kg)


def of_packs(instance, found: WholePlan) -> Plan:
    return Plan(found.row, found.column, found.kg(instance))


@st.composite
def tables(draw: st.DrawFn, heavy: bool = False) -> Table:
    n, m = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    some = st.one_of(st.none(), st.integers(-5, 9))
    supply = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    mass = draw(st.lists(st.integers(1, 4 if heavy else 1), min_size=n, max_size=n))
    free = draw(st.lists(st.integers(0, 5), min_size=m, max_size=m))
    value = draw(st.lists(st.lists(some, min_size=m, max_size=m), min_size=n, max_size=n))
    return table(supply, free, value, draw(st.integers(-3, 3)), mass)


@given(tables())
@settings(deadline=None, max_examples=150)
def test_kilograms_go_where_trying_all_would_send_them(one: Table):
    found = columns.solve(one)
    verdict = certificate.judge(one, found.prices, as_plan(found))
    assert verdict.value == verdict.bound == found.value == best_of_all(one)
    assert verdict.outbid == verdict.unused == 0


@given(tables(heavy=True))
@settings(deadline=None, max_examples=150)
def test_whole_packs_are_within_the_gap_that_is_told(one: Table):
    planned = planning.plan(one)
    flow, packs = planning.judged(one, planned)
    best = best_of_all(one)
    assert packs.value <= best <= packs.bound
    assert flow.gap == 0
    assert packs.gap == packs.outbid + packs.unused
    assert min(packs.outbid, packs.unused) >= 0


def test_certified_instances_reach_their_optimum(shared: Path):
    folder = shared / "data" / "routing" / "certified"
    optima = json.loads((folder / "optima.json").read_text("utf-8"))
    assert len(optima) >= 3
    for name, known in optima.items():
        with np.load(folder / f"{name}.npz") as held:
            one = table_of(held)
        found = columns.solve(one)
        verdict = certificate.judge(one, found.prices, as_plan(found))
        assert (verdict.value, verdict.gap) == (known["optimum"], 0), name
        assert int(found.held_kg.sum()) == known["held_kg"], name
        published = np.zeros_like(one.free_kg)
        for outlet, price in known["price"].items():
            published[int(outlet)] = price
        assert certificate.judge(one, published, as_plan(found)).gap == 0, name


def table_of(held) -> Table:
    supply = held["supply"].astype(np.int64)
    classes = certificate_packs(supply)
    return Table(classes, held["capacity"].astype(np.int64), held["value"], int(held["hold"]))


def certificate_packs(supply):
    from leasing.routing.model import Packs

    return Packs(np.ones_like(supply), supply)


@pytest.mark.parametrize("seed", range(6))
def test_on_a_map_solver_and_checker_agree_to_the_last_digit(seed: int):
    network = small_network(seed)
    found = columns.solve(network)
    verdict = certificate.judge(network, found.prices, as_plan(found))
    assert verdict.gap == 0
    assert verdict.value == found.value


def test_prices_learnt_on_merged_neighbours_lead_to_the_same_best_flow():
    network = small_network(5, classes=1_500)
    network = with_free(network, network.free_kg * 40)
    ask = pricing.pricer(network)
    rows = np.arange(1_500)
    merged = ask.alike(rows, 100_000)
    assert len(np.unique(merged)) < 1_500 * columns.WORTH_MERGING
    assert (ask.group[merged] == ask.group).all()
    assert (np.abs(network.at.longitude[merged] - network.at.longitude) < 100_000).all()
    found = columns.solve(network)
    plain = columns.solve(network, np.zeros_like(network.free_kg))
    verdict = certificate.judge(network, found.prices, as_plan(found))
    assert (verdict.gap, verdict.value) == (0, plain.value)
    assert (found.prices[network.free_kg > 0] > 0).any()


@pytest.mark.parametrize("seed", range(4))
def test_pricing_leaves_no_better_pair_out(seed: int):
    network = small_network(seed, classes=40, outlets=60)
    ask = pricing.pricer(network)
    n, m = 40, 60
    grid = np.indices((n, m)).reshape(2, -1)
    every = ask.values(grid[0], grid[1]).reshape(n, m)
    assert np.array_equal(certificate.pair_values(network, *grid).reshape(n, m), every)
    prices = np.random.default_rng(seed).integers(0, 30_000, m)
    reduced = np.where(every > FORBIDDEN, every - prices, -(2**40))
    for drop in (0, 500, 20_000):
        above = reduced.max(axis=1) - drop
        for keep in (1, 3, m):
            found = ask.better(prices, np.arange(n), keep, above)
            over = reduced > above[:, None]
            got = np.bincount(found.row, minlength=n)
            assert np.array_equal(got > 0, over.any(axis=1))
            assert (got <= keep).all()
            assert over[found.row, found.column].all()
        assert np.array_equal(got, over.sum(axis=1))


def test_a_tampered_plan_is_caught():
    network = small_network(1)
    planned = planning.plan(network)
    good = of_packs(network, planned.packs)
    _, verdict = planning.judged(network, planned)
    values = certificate.pair_values(network, good.row, good.column)
    assert verdict.value > greedy_value(network)
    held = int(network.classes.supply_kg.sum() - good.kg.sum())
    assert verdict.value == int((values * good.kg).sum()) + held * network.hold
    judge = certificate.judge
    roomy = with_free(network, network.free_kg + 10**6)
    many = replace(good, kg=good.kg + network.classes.supply_kg[good.row])
    with pytest.raises(Wrong, match="more is sent"):
        judge(roomy, planned.prices, many)
    with pytest.raises(Wrong, match="beyond its room"):
        judge(with_free(network, network.free_kg * 0), planned.prices, good)
    closed = network.closed.copy()
    closed[good.column[0]] = Against.QUAL_SUSPENDED
    with pytest.raises(Wrong, match="may not"):
        judge(replace(network, closed=closed), planned.prices, good)
    with pytest.raises(Wrong, match="not there"):
        judge(network, planned.prices, replace(good, column=good.column + 30))
    with pytest.raises(Wrong, match="less than nothing"):
        judge(network, planned.prices, replace(good, kg=-good.kg))
    with pytest.raises(Wrong, match="price"):
        judge(network, -planned.prices - 1, good)
    with pytest.raises(Wrong, match="cut"):
        certificate.whole(network, replace(good, kg=good.kg + 1))


def greedy_value(network) -> int:
    plan = of_packs(network, greedy.nearest_with_room(network))
    return certificate.judge(network, network.free_kg * 0, plan).value


@given(st.lists(st.integers(0, 90_000), min_size=30, max_size=30))
@settings(deadline=None, max_examples=25)
def test_any_prices_bound_every_plan(prices: list[int]):
    network = small_network(2)
    best = columns.solve(network)
    verdict = certificate.judge(network, ints(*prices), as_plan(best))
    assert verdict.bound >= best.value
    assert verdict.gap == verdict.outbid + verdict.unused


def test_a_wrong_price_opens_the_gap():
    network = small_network(1)
    best = columns.solve(network)
    dear = np.flatnonzero((best.prices > 0) & (network.free_kg > 0))
    assert len(dear)
    for outlet in dear[:5]:
        prices = best.prices.copy()
        prices[outlet] += 40_000
        assert certificate.judge(network, prices, as_plan(best)).gap > 0


@pytest.mark.parametrize(("fill", "most_ppm"), [(0.05, 60_000), (0.5, 10**8)])
def test_a_plan_beats_the_greedy_ones_and_all_stay_within_the_room(fill: float, most_ppm: int):
    network = generator.national(600, fill=fill).network
    planned = planning.plan(network)
    flow, packs = planning.judged(network, planned)
    assert flow is not None
    assert flow.gap == 0
    zero = np.zeros_like(network.free_kg)
    for other in (greedy.best_value_first(network), greedy.nearest_with_room(network)):
        certificate.whole(network, of_packs(network, other))
        assert certificate.judge(network, zero, of_packs(network, other)).value <= packs.value
    assert packs.gap_ppm < most_ppm


def test_the_generated_country_has_every_pack_and_outlet_and_says_that_it_is_made_up():
    made = generator.national(500)
    assert int(made.network.classes.packs.sum()) == 500
    assert len(made.network.free_kg) == len(set(made.outlet_codes)) == 10_235
    assert "generated" in made.note
    assert 30_000_000 < made.network.free_kg.sum() < 38_000_000
    full = generator.national(500, fill=0.5).network
    room = full.free_kg[full.closed == 0].sum()
    assert full.classes.supply_kg.sum() / room == pytest.approx(0.5, abs=0.05)


def test_a_table_is_rerouted_as_a_map_is():
    one = table([2, 2], [4, 4, 2], [[9, 5, 4], [9, 6, 1]])
    plan = planning.plan(one).packs
    after, new = rerouted(one, plan, ints(0))
    assert 0 not in after.column
    assert after.packs.sum() == 4
    assert certificate.judge(one, one.free_kg * 0, of_packs(one, after)).value == 22
    assert new.packs.sum() == plan.packs[plan.column == 0].sum() == 4


@pytest.mark.parametrize("seed", range(4))
def test_only_packs_of_withdrawn_outlets_move(seed: int):
    network = small_network(seed, classes=30)
    planned = planning.plan(network)
    plan = planned.packs
    withdrawn = np.unique(plan.column)[::4]
    after, new = rerouted(network, plan, withdrawn, planned.prices)
    assert not np.isin(after.column, withdrawn).any()
    hit = np.isin(plan.column, withdrawn)
    assert new.packs.sum() <= plan.packs[hit].sum()
    pairs = dict(zip(zip(after.row, after.column, strict=True), after.packs, strict=True))
    for i, j, n in zip(new.row, new.column, new.packs, strict=True):
        pairs[i, j] -= n
    stayed = zip(plan.row[~hit], plan.column[~hit], plan.packs[~hit], strict=True)
    assert {pair: n for pair, n in pairs.items() if n} == {(i, j): n for i, j, n in stayed}
    closed = network.closed.copy()
    closed[withdrawn] = Against.QUAL_SUSPENDED
    left = replace(network, closed=closed)
    certificate.judge(left, planned.prices, of_packs(network, after))


PLAN_ID = """
from leasing.routing import generator, planning
print(planning.plan(generator.national(400).network).plan_id)
"""


def test_the_same_input_gets_the_same_plan_in_every_process():
    seen = {
        subprocess.run(
            [sys.executable, "-c", PLAN_ID],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert len(seen.pop().strip()) == 64


def test_a_plan_that_takes_too_long_is_the_greedy_one():
    network = small_network(1)
    late = planning.plan_within(0.001, network)
    assert late.flow is None
    flow, packs = planning.judged(network, late)
    assert flow is None
    assert (
        packs.value
        == certificate.judge(
            network, late.prices, of_packs(network, greedy.best_value_first(network))
        ).value
    )
    in_time = planning.plan_within(100, network)
    assert in_time.plan_id == planning.plan(network).plan_id


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(BadInstance, match="row for each class"):
        table([1], [1, 2], [[1, 2]]).__class__(
            certificate_packs(ints(1, 2)), ints(1), np.zeros((1, 1), dtype=np.int32), 0
        )
    with pytest.raises(BadInstance, match="room"):
        table([1], [-1], [[1]])
    with pytest.raises(BadInstance, match="weighs"):
        table([1], [1], [[1]], mass=[0])


def test_packs_that_no_outlet_takes_are_held():
    one = table([3], [0, 2], [[9, None]], hold=-1)
    found = columns.solve(one)
    assert found.held_kg.tolist() == [3]
    assert whole.plan(one, found).packs.sum() == 0
    assert certificate.judge(one, found.prices, as_plan(found)).gap == 0
