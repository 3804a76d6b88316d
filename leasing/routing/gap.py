"""The generalised assignment problem: every job to one agent, within each agent's capacity, at the
least cost. It is what routing whole packs is when outlets hold few packs each.

Files are those of the OR-Library and of Yagiura: agents and jobs, then the costs agent by agent,
what each job takes of each agent, and the capacities; whole numbers, in any number of lines.

HiGHS does the search. It is helped by the prices of the linear relaxation: they bound every
assignment from below (in whole numbers, without trust in the solver), so that first only pairs
that look good are searched. What was found is then mended: a few agents at a time give all their
jobs out among themselves anew, as well as can be (large neighbourhood search). At last all pairs
are searched that could still be better.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from leasing.kit.errors import Conflict, Invalid
from leasing.routing.highs import solver
from leasing.routing.model import Flags, Floats, Ints

if TYPE_CHECKING:
    from highspy import Highs

FINE = 1 << 20
"""Prices are whole multiples of 1/FINE."""
CORE_PER_JOB = 6
"""Pairs of each job that are searched first, on the average."""
CORE_SHARE = 0.5
MENDING_SHARE = 0.6
"""Of the time that is then left."""
MENDED_JOBS = 60
"""Jobs given out anew in one go, to begin with."""
MENDING_SECONDS = 2.0
QUICK_SECONDS = 0.25


class BadAssignmentFile(Invalid):
    code = "assignment_file"
    title = "This is not a generalised assignment problem"


class NoAssignment(Conflict):
    code = "no_assignment"
    title = "No assignment was found in time"


@dataclass(frozen=True)
class Gap:
    """`cost` and `needs` are agents × jobs."""

    cost: Ints
    needs: Ints
    capacity: Ints


@dataclass(frozen=True)
class Assignment:
    """The agent of each job; no assignment costs less than `bound`."""

    agent: Ints
    value: int
    bound: int

    @property
    def gap_percent(self) -> float:
        return 100 * (self.value - self.bound) / max(1, abs(self.value))


def read(path: Path) -> Gap:
    return parse(path.read_text("ascii"))


def parse(text: str) -> Gap:
    """Raises BadAssignmentFile when numbers are missing or left over."""
    try:
        numbers = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise BadAssignmentFile("every word is a whole number of 64 bits") from error
    if len(numbers) < 2 or (numbers[:2] < 1).any():
        raise BadAssignmentFile("a file begins with the numbers of agents and of jobs")
    m, n = map(int, numbers[:2])
    if len(numbers) != 2 + 2 * m * n + m:
        raise BadAssignmentFile(
            f"{m} agents and {n} jobs need {2 + 2 * m * n + m} numbers, there are {len(numbers)}"
        )
    cost, needs = numbers[2 : 2 + 2 * m * n].reshape(2, m, n)
    if (numbers[2 + m * n :] < 0).any():
        raise BadAssignmentFile("needs and capacities are not below 0")
    return Gap(cost, needs, numbers[2 + 2 * m * n :])


def written(gap: Gap) -> str:
    rows = [*gap.cost, *gap.needs, gap.capacity]
    lines = [f"{gap.cost.shape[0]} {gap.cost.shape[1]}"]
    lines += [" ".join(map(str, row.tolist())) for row in rows]
    return "\n".join(lines) + "\n"


def worth(gap: Gap, agent: Ints) -> int:
    """The cost of an assignment; raises BadAssignmentFile when it is none."""
    jobs = np.arange(gap.cost.shape[1])
    if agent.shape != jobs.shape or (agent < 0).any() or (agent >= len(gap.capacity)).any():
        raise BadAssignmentFile("each job has one of the agents")
    used = np.zeros(len(gap.capacity), dtype=np.int64)
    np.add.at(used, agent, gap.needs[agent, jobs])
    if (used > gap.capacity).any():
        raise BadAssignmentFile("an agent has more to do than it can")
    return int(gap.cost[agent, jobs].sum())


def lower_bound(gap: Gap, prices: Ints) -> tuple[int, Ints]:
    """The least any assignment can cost, by prices of capacity in 1/FINE, and what each pair costs
    above its job's cheapest, in 1/FINE."""
    priced = gap.cost * FINE + prices[:, None] * gap.needs
    least = priced.min(axis=0)
    total = int(least.sum()) - int((prices * gap.capacity).sum())
    return -(-total // FINE), priced - least


def solve(gap: Gap, seconds: float) -> Assignment:
    """The best found in that time, with a bound. Raises NoAssignment."""
    until = time.monotonic() + seconds
    fits = gap.needs <= gap.capacity[:, None]
    prices = capacity_prices(gap, fits, seconds)
    bound, above = lower_bound(gap, prices)
    best = None
    core = fits & (above <= cut(above, CORE_PER_JOB * gap.cost.shape[1]))
    if core.sum() < fits.sum():
        half = CORE_SHARE * (until - time.monotonic())
        best, _ = search(gap, core, None, half)
    if best is not None:
        best = mended(gap, best, bound, MENDING_SHARE * (until - time.monotonic()))
    if best is None or worth(gap, best) > bound:
        hopeful = fits if best is None else fits & could_be_better(gap, prices, best)
        found, proven = search(gap, hopeful, best, until - time.monotonic())
        best = better(gap, best, found)
        if best is not None:
            bound = max(bound, min(proven, worth(gap, best)))
    if best is None:
        raise NoAssignment(f"none was found in {seconds:g} s, or there is none")
    return Assignment(best, worth(gap, best), bound)


def mended(gap: Gap, agent: Ints, bound: int, seconds: float) -> Ints:
    """An assignment no worse, with which no few agents could do better that were tried. Which are
    tried is drawn from a fixed seed."""
    until = time.monotonic() + seconds
    random, jobs = Random(len(agent)), MENDED_JOBS
    agents = len(gap.capacity)
    value = worth(gap, agent)
    while value > bound and (left := until - time.monotonic()) > 0:
        many = min(agents, max(2, round(jobs * agents / len(agent))))
        began = time.monotonic()
        found = given_out_anew(gap, agent, drawn(random, agents, many), min(left, MENDING_SECONDS))
        spent = time.monotonic() - began
        if found is not None and worth(gap, found) <= value:
            agent, value = found, worth(gap, found)
        # As many as can be settled in a moment.
        jobs = max(10, min(len(agent), round(jobs * (1.1 if spent < QUICK_SECONDS else 0.85))))
    return agent


def drawn(random: Random, agents: int, many: int) -> Ints:
    order = sorted(range(agents), key=lambda _: random.random())
    return np.array(sorted(order[:many]), dtype=np.int64)


def given_out_anew(gap: Gap, agent: Ints, some: Ints, seconds: float) -> Ints | None:
    """The jobs of some agents given out among these."""
    jobs = np.flatnonzero(np.isin(agent, some))
    if not len(jobs):
        return None
    part = Gap(gap.cost[np.ix_(some, jobs)], gap.needs[np.ix_(some, jobs)], gap.capacity[some])
    start = np.searchsorted(some, agent[jobs])
    found, _ = search(part, part.needs <= part.capacity[:, None], start, seconds)
    if found is None:
        return None
    result = agent.copy()
    result[jobs] = some[found]
    return result


def better(gap: Gap, one: Ints | None, other: Ints | None) -> Ints | None:
    if one is None or other is None:
        return other if one is None else one
    return other if worth(gap, other) < worth(gap, one) else one


def cut(above: Ints, many: int) -> int:
    """So high that this many pairs are no higher."""
    flat = above.ravel()
    return int(flat.max() if many >= len(flat) else np.partition(flat, many)[many])


def could_be_better(gap: Gap, prices: Ints, agent: Ints) -> Flags:
    """Pairs that an assignment cheaper than this one may hold, and the pairs of this one."""
    _, above = lower_bound(gap, prices)
    least = (gap.cost * FINE + prices[:, None] * gap.needs).min(axis=0)
    slack = (worth(gap, agent) - 1) * FINE - (int(least.sum()) - int((prices * gap.capacity).sum()))
    may: Flags = above <= slack
    may[agent, np.arange(len(agent))] = True
    return may


def model(gap: Gap, allowed: Flags, whole: bool) -> tuple["Highs", Ints, Ints]:
    """A HiGHS model of the allowed pairs, with the agent and job of each column. Rows are jobs,
    then agents."""
    import highspy

    agent, job = np.nonzero(allowed)
    m, n = gap.cost.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(agent), n + m
    lp.col_cost_ = gap.cost[agent, job].astype(np.float64)
    lp.col_lower_ = np.zeros(len(agent))
    lp.col_upper_ = np.ones(len(agent))
    lp.row_lower_ = np.concatenate([np.ones(n), np.full(m, -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([np.ones(n), gap.capacity.astype(np.float64)])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = 2 * np.arange(len(agent) + 1)
    lp.a_matrix_.index_ = np.stack([job, n + agent], axis=1).ravel()
    needs = gap.needs[agent, job].astype(np.float64)
    lp.a_matrix_.value_ = np.stack([np.ones(len(agent)), needs], axis=1).ravel()
    if whole:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * len(agent)
    highs = solver(lp)
    return highs, agent, job


def capacity_prices(gap: Gap, fits: Flags, seconds: float) -> Ints:
    """Of the linear relaxation, rounded to 1/FINE; any would do for a bound, these are the best."""
    highs, _, _ = model(gap, fits, whole=False)
    highs.setOptionValue("time_limit", max(0.1, seconds / 3))
    highs.run()
    solution = highs.getSolution()
    n = gap.cost.shape[1]
    if not solution.dual_valid:
        return np.zeros(len(gap.capacity), dtype=np.int64)
    dual: Floats = -np.array(solution.row_dual[n:], dtype=np.float64)
    prices: Ints = np.rint(np.maximum(dual, 0) * FINE).astype(np.int64)
    return prices


def search(gap: Gap, allowed: Flags, start: Ints | None, seconds: float) -> tuple[Ints | None, int]:
    """The best assignment of allowed pairs that HiGHS finds, and the bound it proves for them."""
    import highspy

    highs, agent, job = model(gap, allowed, whole=True)
    highs.setOptionValue("time_limit", max(0.1, seconds))
    highs.setOptionValue("mip_rel_gap", 0.0)
    # Costs are whole: what is less than 1 better is not better.
    highs.setOptionValue("mip_abs_gap", 0.999)
    if start is not None:
        chosen = highspy.HighsSolution()
        chosen.col_value = (start[job] == agent).astype(np.float64).tolist()
        highs.setSolution(chosen)
    highs.run()
    info = highs.getInfo()
    dual = info.mip_dual_bound
    bound = int(np.ceil(dual - 1e-6)) if np.isfinite(dual) else -(2**62)
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return None, bound
    value = np.array(highs.getSolution().col_value).round() == 1
    found = np.full(gap.cost.shape[1], -1, dtype=np.int64)
    found[job[value]] = agent[value]
    try:
        worth(gap, found)
    except BadAssignmentFile:
        return None, bound
    return found, bound
