"""Min-cost flow in whole numbers, behind one function; LEMON's network simplex does the work.

What the solver does not take is brought into its form here: arcs in any order, lower bounds, and
costs below 0. What it found is checked before it is believed: `certify` needs only the potentials.
"""

from dataclasses import dataclass

import numpy as np

from leasing.kit.errors import Conflict, Invalid
from leasing.routing.model import Flags, Ints

UNBOUNDED = 2**62
"""A capacity from here on is none."""
LARGEST = 2**62
"""Sums stay below, so that 64 bits hold them."""


class BadNetwork(Invalid):
    code = "flow_network"
    title = "This is not a network for flow"


class Infeasible(Conflict):
    code = "flow_infeasible"
    title = "No flow meets every supply within the capacities"


class Unlimited(Conflict):
    code = "flow_unlimited"
    title = "A cycle of negative cost has no capacity"


@dataclass(frozen=True)
class Arcs:
    """A network: node k puts `supply[k]` in (takes out when below 0)."""

    supply: Ints
    start: Ints
    end: Ints
    low: Ints
    capacity: Ints
    cost: Ints


@dataclass(frozen=True)
class Flow:
    """Flow on each arc, in the order given, and a potential for each node."""

    flow: Ints
    potential: Ints


def solve(arcs: Arcs) -> Flow:
    """A flow of least cost. Ties: the same network always gets the same flow."""
    check(arcs)
    limit = bound_on_flow(arcs)
    capacity = np.minimum(arcs.capacity, limit)
    turned = arcs.cost < 0
    # From a flow's least possible: its low, or its capacity where flow earns money.
    base = np.where(turned, capacity, arcs.low)
    supply = arcs.supply.copy()
    np.subtract.at(supply, arcs.start, base)
    np.add.at(supply, arcs.end, base)
    start = np.where(turned, arcs.end, arcs.start)
    end = np.where(turned, arcs.start, arcs.end)
    change, potential = simplex(supply, start, end, capacity - arcs.low, np.abs(arcs.cost))
    flow = base + np.where(turned, -change, change)
    endless = turned & (arcs.capacity >= UNBOUNDED) & (flow >= limit)
    if endless.any():
        raise Unlimited("flow on an arc of negative cost without a capacity has no end")
    return Flow(flow, potential)


def simplex(supply: Ints, start: Ints, end: Ints, capacity: Ints, cost: Ints) -> tuple[Ints, Ints]:
    """pylmcf: arcs sorted by start and end, no cost below 0, loops left out."""
    import pylmcf

    order = np.lexsort((end, start))
    order = order[start[order] != end[order]]
    graph = pylmcf.Graph(
        len(supply), np.ascontiguousarray(start[order]), np.ascontiguousarray(end[order])
    )
    graph.set_node_supply(np.ascontiguousarray(supply))
    graph.set_edge_capacities(np.ascontiguousarray(capacity[order]))
    graph.set_edge_costs(np.ascontiguousarray(cost[order]))
    try:
        graph.solve()
    except RuntimeError as error:
        if "INFEASIBLE" not in str(error):
            raise
        raise Infeasible("the capacities do not let every supply through") from error
    flow = np.zeros(len(start), dtype=np.int64)
    flow[order] = graph.result()
    return flow, np.asarray(graph.potentials(), dtype=np.int64)


def check(arcs: Arcs) -> None:
    nodes = len(arcs.supply)
    ends = np.concatenate([arcs.start, arcs.end])
    if len(ends) and (ends.min() < 0 or ends.max() >= nodes):
        raise BadNetwork("an arc begins or ends at a node that is not there")
    if int(arcs.supply.sum()) != 0:
        raise Infeasible(f"supplies add up to {int(arcs.supply.sum())}, not to 0")
    if (arcs.low > arcs.capacity).any() or (arcs.low < 0).any():
        raise BadNetwork("an arc's lower bound is between 0 and its capacity")
    most = float(np.abs(arcs.cost).max(initial=0)) * float(max(nodes, 1))
    if most >= LARGEST or cost_bound(arcs) >= LARGEST:
        raise BadNetwork("costs times flows do not fit into 64 bits")


def bound_on_flow(arcs: Arcs) -> int:
    """No arc of a flow without cycles of endless capacity carries more."""
    finite = arcs.capacity < UNBOUNDED
    return (
        1
        + int(np.abs(arcs.supply).sum())
        + sum(map(int, arcs.capacity[finite]))
        + sum(map(int, arcs.low))
    )


def cost_bound(arcs: Arcs) -> float:
    through = float(np.maximum(arcs.supply, 0).sum()) + float(
        arcs.capacity[(arcs.cost < 0) & (arcs.capacity < UNBOUNDED)].sum(dtype=np.float64)
    )
    return float(np.abs(arcs.cost).max(initial=0)) * through


def cost(arcs: Arcs, flow: Ints) -> int:
    return sum(int(c) * int(f) for c, f in zip(arcs.cost, flow, strict=True))


def certify(arcs: Arcs, found: Flow) -> int:
    """The cost of a flow that is shown to be of least cost; says what is wrong with any other.

    A flow is of least cost when, by some potentials, each arc with a reduced cost above 0 carries
    its lower bound, and each with one below 0 is full (complementary slackness).
    """
    flow, at = found.flow, found.potential
    if (flow < arcs.low).any() or (flow > arcs.capacity).any():
        raise BadNetwork("the flow leaves the bounds of an arc")
    net = arcs.supply.copy()
    np.subtract.at(net, arcs.start, flow)
    np.add.at(net, arcs.end, flow)
    if net.any():
        raise BadNetwork("the flow does not meet the supply of every node")
    reduced = arcs.cost + at[arcs.start] - at[arcs.end]
    dear: Flags = (reduced > 0) & (flow > arcs.low)
    cheap: Flags = (reduced < 0) & (flow < arcs.capacity)
    if dear.any() or cheap.any():
        raise BadNetwork("the potentials do not prove that the flow is of least cost")
    return cost(arcs, flow)
