"""Min-cost flow: known optima, what is refused, and proofs that hold."""

import gzip
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.routing import dimacs, flow
from leasing.routing.flow import Arcs, BadNetwork, Flow, Infeasible, Unlimited

DIAMOND = """c two ways, the cheap one narrow
p min 4 5
n 1 4
n 4 -4
a 1 2 0 4 2
a 1 3 0 2 2
a 2 3 0 2 1
a 2 4 0 3 3
a 3 4 0 5 1
"""


def test_a_small_file_gets_the_least_cost_that_textbooks_give():
    arcs = dimacs.parse(DIAMOND)
    found = flow.solve(arcs)
    assert flow.certify(arcs, found) == 14
    written = dimacs.written(arcs, found.flow, 14).splitlines()
    assert written[0] == "s 14"
    assert len(written) == 6
    assert written[1].startswith("f 1 2 ")


def test_known_optima_are_reached_exactly(shared: Path):
    folder = shared / "data" / "routing" / "netgen"
    optima = json.loads((folder / "optima.json").read_text("utf-8"))
    assert len(optima) >= 5
    for name, known in optima.items():
        arcs = dimacs.read(folder / f"{name}.min.gz")
        assert flow.certify(arcs, flow.solve(arcs)) == known["optimum"], name


def test_a_gzipped_file_is_read_as_a_plain_one(tmp_path: Path):
    plain, packed = tmp_path / "a.min", tmp_path / "a.min.gz"
    plain.write_text(DIAMOND, "ascii")
    packed.write_bytes(gzip.compress(DIAMOND.encode()))
    assert np.array_equal(dimacs.read(plain).cost, dimacs.read(packed).cost)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p min 2 1\n", "1 arcs are announced, 0 are there"),
        ("n 1 3\n", "no line `p min"),
        ("p min 2 1\na 1 2 0 5\n", "line 2"),
        ("p min 2 1\na 1 2 0 5 x\n", "line 2 needs whole numbers"),
        ("p max 2 1\na 1 2 0 5 1\n", "line 1"),
        ("p min 2 1\na 1 3 0 5 1\n", "node that is not there"),
        ("p min 2 1\nn 3 1\na 1 2 0 5 1\n", "node 3 is not one of 2"),
        ("p min 2 1\na 1 2 6 5 1\n", "lower bound"),
        ("p min 2 1\na 1 2 0 5 99999999999999999999\n", "64 bits"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(text: str, said: str):
    with pytest.raises(BadNetwork, match=said):
        flow.solve(dimacs.parse(text))


def test_too_much_supply_for_the_capacities_is_infeasible():
    with pytest.raises(Infeasible):
        flow.solve(dimacs.parse("p min 2 1\nn 1 6\nn 2 -6\na 1 2 0 5 1\n"))
    with pytest.raises(Infeasible, match="add up to 1"):
        flow.solve(dimacs.parse("p min 2 1\nn 1 6\nn 2 -5\na 1 2 0 9 1\n"))


def test_an_endless_cycle_that_earns_money_is_refused():
    cycle = "p min 2 2\na 1 2 0 -1 -3\na 2 1 0 -1 1\n"
    with pytest.raises(Unlimited):
        flow.solve(dimacs.parse(cycle))
    bounded = dimacs.parse(cycle.replace("a 2 1 0 -1", "a 2 1 0 7"))
    assert flow.certify(bounded, flow.solve(bounded)) == -14


def least_by_trying(arcs: Arcs) -> int | None:
    best = None
    ranges = (range(low, cap + 1) for low, cap in zip(arcs.low, arcs.capacity, strict=True))
    for each in product(*ranges):
        sent = np.array(each, dtype=np.int64)
        net = arcs.supply.copy()
        np.subtract.at(net, arcs.start, sent)
        np.add.at(net, arcs.end, sent)
        if not net.any():
            total = flow.cost(arcs, sent)
            best = total if best is None else min(best, total)
    return best


@st.composite
def networks(draw: st.DrawFn) -> Arcs:
    nodes = draw(st.integers(2, 4))
    node = st.integers(0, nodes - 1)
    arc = st.tuples(node, node, st.integers(0, 1), st.integers(1, 3), st.integers(-4, 6))
    rows = np.array(draw(st.lists(arc, min_size=1, max_size=6)), dtype=np.int64)
    supply = np.array(draw(st.lists(st.integers(-2, 2), min_size=nodes, max_size=nodes)))
    supply[-1] -= supply.sum()
    return Arcs(supply.astype(np.int64), *rows.T.copy())


@given(networks())
@settings(deadline=None, max_examples=150)
def test_any_small_network_gets_what_trying_all_flows_gives(arcs: Arcs):
    best = least_by_trying(arcs)
    if best is None:
        with pytest.raises(Infeasible):
            flow.solve(arcs)
    else:
        assert flow.certify(arcs, flow.solve(arcs)) == best


def test_a_dearer_flow_is_not_certified():
    arcs = dimacs.parse(DIAMOND)
    found = flow.solve(arcs)
    worse = Flow(np.array([4, 0, 1, 3, 1]), found.potential)
    with pytest.raises(BadNetwork, match="least cost"):
        flow.certify(arcs, worse)
    with pytest.raises(BadNetwork, match="supply"):
        flow.certify(arcs, Flow(np.array([2, 2, 0, 1, 2]), found.potential))
    with pytest.raises(BadNetwork, match="bounds"):
        flow.certify(arcs, Flow(np.array([1, 3, 0, 1, 3]), found.potential))
