"""Whole strings: from shares of columns to needs served or not.

Needs are rounded along the relaxed problem first. Then the plan is improved block by block: some
chains of bins with what they hold, the needs they serve, and the needs nobody serves that would pay
nearly their price, are an integer programme small enough to be solved almost to the end. What it
finds is kept when it is worth more, so that a plan only ever gets better.

A block's search is cut off by nodes and not by time: the same input gets the same plan, unless the
clock stops the sweeps over the blocks. `Rounded.finished` says which it was.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic

import numpy as np

from leasing.market.greedy import Stock, planned
from leasing.market.model import Flags, Floats, Ints, Market, Plan
from leasing.market.solving import Clock, Relaxed, gain, net, programme, solver
from leasing.market.windows import Columns, Pricer, joined

SWEEPS = 6
BLOCK_BINS = 36
MOST_NODES = 20
NEAR_ENOUGH = 2e-4
PER_NEED = 6
SLACK = 0.02
"""Columns come into a block when they pay less than their need has by this share at most."""
LEAST_SHARE = 0.02
FEW = 600
"""So few columns in all are one block, solved to the end."""
MOST_NODES_OF_FEW = 20_000
TOO_LITTLE = 1e-4
"""A sweep that gains less than this share of the value is the last."""


@dataclass(frozen=True)
class Rounded:
    plan: Plan
    finished: bool


@dataclass
class State:
    """What is chosen: of each need the column, or -1."""

    chosen: Ints

    def columns(self) -> Ints:
        return self.chosen[self.chosen >= 0]


def rounded(
    market: Market,
    pricer: Pricer,
    found: Relaxed,
    until: float,
    clock: Clock = monotonic,
) -> Rounded:
    """A plan near the relaxed problem's value."""
    columns = worthwhile(pricer, found, len(market.needs.rent))
    state = State(first(market, pricer, columns, found))
    finished = improved(market, pricer, columns, state, until, clock)
    return Rounded(as_plan(columns, state), finished)


def as_plan(columns: Columns, state: State) -> Plan:
    at = state.columns()
    rows = zip(
        columns.need[at].tolist(),
        columns.window[at].tolist(),
        columns.packs[at].tolist(),
        strict=True,
    )
    return planned(list(rows))


def worthwhile(pricer: Pricer, found: Relaxed, needs: int) -> Columns:
    """Columns that pay nearly what their need has, the best of each need; all, if they are few."""
    windows = len(pricer.market.bins.packs)
    if needs * windows <= 100 * FEW:
        every = pricer.best(np.zeros_like(found.prices), windows)
        if len(every) <= FEW:
            return every
    gains = gain(pricer, found.columns, found.prices, needs)
    slack = (SLACK * found.columns.value.clip(0)).astype(np.int64)
    columns = pricer.best(found.prices, PER_NEED, above=gains - spread(found.columns, slack, needs))
    columns = joined([columns, found.columns.some(found.share >= LEAST_SHARE)])
    return columns.some(columns.value > 0)


def spread(columns: Columns, slack: Ints, needs: int) -> Ints:
    most = np.zeros(needs, dtype=np.int64)
    np.maximum.at(most, columns.need, slack)
    return most


def first(market: Market, pricer: Pricer, columns: Columns, found: Relaxed) -> Ints:
    """Columns of the largest shares first, then those that pay most above the price a pack."""
    share = shares(columns, found)
    left = net(pricer, columns, found.prices)
    order = np.lexsort((columns.window, columns.need, -left / columns.packs, -np.round(share, 3)))
    stock = Stock(market, pricer.upper)
    chosen = np.full(len(market.needs.rent), -1, dtype=np.int64)
    for at in order.tolist():
        d = int(columns.need[at])
        if chosen[d] < 0 and stock.take(int(columns.window[at]), int(columns.packs[at])):
            chosen[d] = at
    return chosen


def shares(columns: Columns, found: Relaxed) -> Floats:
    """The shares that the relaxed problem gives to these columns."""
    known = found.columns.need * 2**32 + found.columns.window
    asked = columns.need * 2**32 + columns.window
    at = np.clip(np.searchsorted(known, asked), 0, max(0, len(known) - 1))
    if not len(known):
        return np.zeros(len(asked))
    return np.where(known[at] == asked, found.share[at], 0.0)


def improved(
    market: Market,
    pricer: Pricer,
    columns: Columns,
    state: State,
    until: float,
    clock: Clock,
) -> bool:
    """Sweep over blocks of chains; whether the sweeps came to their own end."""
    chain = market.chain
    of_chain = chain[columns.window]
    if len(columns) <= FEW:
        everywhere = np.ones(len(market.bins.packs), dtype=np.bool_)
        left = until - clock()
        solve_block(market, pricer, columns, state, everywhere[columns.window], everywhere, left)
        return clock() <= until
    for sweep in range(SWEEPS):
        before = int(columns.value[state.columns()].sum())
        for block in blocks(market, columns, of_chain, sweep):
            left = until - clock()
            if left < 0:
                return False
            solve_block(market, pricer, columns, state, block[of_chain], block[chain], left)
        after = int(columns.value[state.columns()].sum())
        if after - before <= TOO_LITTLE * after:
            break
    return clock() <= until


def blocks(market: Market, columns: Columns, of_chain: Ints, sweep: int) -> Iterator[Flags]:
    """Chains that share needs, so many bins at a time; each sweep begins elsewhere."""
    chains = int(of_chain.max(initial=-1)) + 1
    size = np.bincount(market.chain, minlength=chains)
    shared = links(columns, of_chain, chains)
    order = np.random.Generator(np.random.PCG64(sweep)).permutation(np.unique(of_chain))
    left = set(order.tolist())
    for begin in order.tolist():
        if begin not in left:
            continue
        block = np.zeros(len(size), dtype=np.bool_)
        bins, pull = 0, np.zeros(chains)
        one: int | None = begin
        while one is not None and bins < BLOCK_BINS:
            block[one] = True
            left.discard(one)
            bins += int(size[one])
            pull = pull + shared[one]
            there = np.array(sorted(left), dtype=np.int64)
            nearest = there[np.argmax(pull[there])] if len(there) else None
            one = None if nearest is None or pull[nearest] == 0 else int(nearest)
        yield block


def links(columns: Columns, of_chain: Ints, chains: int) -> Floats:
    """How many needs each two chains have in common."""
    shared = np.zeros((chains, chains))
    of_need: dict[int, set[int]] = defaultdict(set)
    for d, c in zip(columns.need.tolist(), of_chain.tolist(), strict=True):
        of_need[d].add(c)
    for some in of_need.values():
        at = sorted(some)
        shared[np.ix_(at, at)] += 1
    return shared


def solve_block(
    market: Market,
    pricer: Pricer,
    columns: Columns,
    state: State,
    inside: Flags,
    bins: Flags,
    seconds: float,
) -> None:
    """Choose anew for the needs that these chains serve and those that nobody serves. `seconds`
    stop the search only where nodes do not."""
    chosen = state.chosen[columns.need]
    elsewhere = (chosen >= 0) & ~inside[chosen]
    keep = np.flatnonzero(inside & ~elsewhere)
    if not len(keep):
        return
    some = columns.some(keep)
    start = chosen[keep] == keep
    stock = np.where(bins, market.bins.packs, 0).astype(np.float64)
    picked = whole(pricer, some, stock, start, len(columns) <= FEW, max(0.1, seconds))
    if int(some.value[picked].sum()) <= int(some.value[start].sum()):
        return
    if not feasible(market, pricer, some.some(picked)):
        return
    state.chosen[some.need] = -1
    state.chosen[some.need[picked]] = keep[picked]


def feasible(market: Market, pricer: Pricer, columns: Columns) -> bool:
    """Whether the packs are there, each need once: windows from the lowest, lower bins first."""
    if len(np.unique(columns.need)) != len(columns):
        return False
    stock = Stock(market, pricer.upper)
    order = np.argsort(columns.window, kind="stable")
    return all(
        stock.take(w, k)
        for w, k in zip(columns.window[order].tolist(), columns.packs[order].tolist(), strict=True)
    )


def whole(
    pricer: Pricer,
    columns: Columns,
    stock: Floats,
    start: Flags,
    to_the_end: bool,
    seconds: float,
) -> Flags:
    """The same programme with each column taken or not, begun from a plan."""
    import highspy

    lp = programme(pricer, columns, stock)
    many = len(columns)
    kinds = [highspy.HighsVarType.kInteger] * many
    lp.integrality_ = kinds + [highspy.HighsVarType.kContinuous] * (lp.num_col_ - many)
    highs = solver(lp)
    # Not "threads": HiGHS refuses another number than an earlier model of the process had.
    highs.setOptionValue("parallel", "off")
    nodes = MOST_NODES_OF_FEW if to_the_end else MOST_NODES
    highs.setOptionValue("mip_max_nodes", nodes)
    highs.setOptionValue("mip_max_stall_nodes", nodes)
    highs.setOptionValue("mip_rel_gap", 0.0 if to_the_end else NEAR_ENOUGH)
    highs.setOptionValue("mip_abs_gap", 0.005)
    highs.setOptionValue("time_limit", seconds)
    highs.setSolution(many, np.arange(many), start.astype(np.float64))
    highs.run()
    found = np.array(highs.getSolution().col_value)
    picked: Flags = found[:many] > 0.5 if len(found) >= many else start
    return picked
