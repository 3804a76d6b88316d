"""A plan for a whole market: prices, whole strings, and what the checker says of them."""

from dataclasses import dataclass
from time import monotonic

import numpy as np

from leasing.market import bound, greedy, rounding, solving
from leasing.market.bound import Verdict
from leasing.market.model import Ints, Market, Plan, digest, plan_id
from leasing.market.windows import Pricer
from leasing.routing.worker import Failed, TookTooLong, within

SECONDS = 170.0
SHARE_OF_PRICES = 0.55
"""Of the time, at most, for the relaxed problem."""
GRACE = 20.0
"""Seconds after which a process that should be done is ended."""


@dataclass(frozen=True)
class Planned:
    """`prices` bound every plan, fen a pack. `method` says how far it came: "solved" when the
    sweeps came to their own end, and the same input gets the same plan; "cut_off" when time was
    over first, and the best so far is taken; "greedy" when there was no answer at all."""

    plan: Plan
    prices: Ints
    method: str
    plan_id: str


def solve(market: Market, seconds: float = SECONDS) -> Planned:
    """Plan in this process, which HiGHS is loaded into."""
    began = monotonic()
    pricer = Pricer(market)
    found = solving.relaxed(market, pricer, began + SHARE_OF_PRICES * seconds)
    strings = rounding.rounded(market, pricer, found, began + seconds)
    method = "solved" if strings.finished and found.finished else "cut_off"
    return named(market, strings.plan, found.prices, method)


def solve_within(market: Market, seconds: float = SECONDS) -> Planned:
    """The same in a process of its own; the pair of most value a pack first when there is no
    answer."""
    try:
        return within(seconds + GRACE, solve, market, seconds)
    except (TookTooLong, Failed):
        prices = np.zeros(len(market.bins.packs), dtype=np.int64)
        return named(market, greedy.highest_value_a_pack(market), prices, "greedy")


def named(market: Market, plan: Plan, prices: Ints, method: str) -> Planned:
    return Planned(plan, prices, method, plan_id(digest(market), plan))


def judged(market: Market, planned: Planned) -> Verdict:
    """What the checker says."""
    return bound.judge(market, planned.prices, planned.plan)
