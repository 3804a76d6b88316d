"""A bound on every plan from the data and prices of packs alone, and whether a plan is one.

For any prices μ ≥ 0 of the bins, no plan is worth more than

    U(μ) = Σ μ[bin] · packs[bin] + Σ over needs of max(0, max over windows of value − k · μ[window])

where the price of a window is that of its cheaper bin (Lagrange's relaxation of the stock: whatever
a plan takes of a bin it pays for at μ, and there is no more of it than there is).

Written on its own from the formulas of `model`, need by need; nothing here is used by the solver or
uses it, so that a mistake there shows here.
"""

from dataclasses import dataclass

import numpy as np

from leasing.market.model import LEAST_SOH, STEP, Flags, Ints, Market, Plan
from leasing.regions.model import EARTH_RADIUS_KM


class Wrong(ValueError):
    """The plan is not one: a need gets what it may not, or a pack goes to two."""


@dataclass(frozen=True)
class Verdict:
    """Fen of weighted value; `served` needs, `packs` taken."""

    value: int
    bound: int
    served: int
    packs: int

    @property
    def gap(self) -> int:
        return self.bound - self.value

    @property
    def gap_percent(self) -> float:
        return 100 * self.gap / max(1, abs(self.bound))


def judge(market: Market, prices: Ints, plan: Plan) -> Verdict:
    """Check a plan against the data alone, and tell how far from the best it can be."""
    value = worth(market, plan)
    return Verdict(value, bound(market, prices), len(plan.need), int(plan.packs.sum()))


def worth(market: Market, plan: Plan) -> int:
    """What a plan is worth, fen; raises Wrong when it is none."""
    if len(set(plan.need.tolist())) != len(plan.need):
        raise Wrong("a need is served twice")
    total = 0
    drawn: dict[int, int] = {}
    for d, w, k in zip(plan.need.tolist(), plan.window.tolist(), plan.packs.tolist(), strict=True):
        if not (0 <= d < len(market.needs.rent) and 0 <= w < len(market.bins.packs)):
            raise Wrong("the plan names a need or a window that is not there")
        wanted, value = one_need(market, d)
        if wanted[w] == 0:
            raise Wrong(f"need {d} may not be served from window {w}")
        if wanted[w] != k:
            raise Wrong(f"need {d} takes {wanted[w]} packs of window {w}, not {k}")
        total += int(value[w])
        drawn[w] = drawn.get(w, 0) + k
    refuse_twice_taken(market, drawn)
    return total


def refuse_twice_taken(market: Market, drawn: dict[int, int]) -> None:
    """Windows in order of their lower bin: what one leaves of it nobody else may take but the
    window below, which went first."""
    left, joins = market.bins.packs.tolist(), has_neighbour(market)
    for w in sorted(drawn):
        missing = drawn[w] - left[w]
        left[w] = max(0, -missing)
        if missing > 0:
            if not joins[w] or left[w + 1] < missing:
                raise Wrong(f"window {w} has fewer packs than are taken of it")
            left[w + 1] -= missing


def has_neighbour(market: Market) -> Flags:
    """Whether the next bin is the one above in the same chain, for all bins."""
    b = market.bins
    alike = np.diff(b.grade) == 1
    for one in (b.place, b.model, b.made, b.free_day):
        alike &= one[1:] == one[:-1]
    return np.append(alike, False)[: len(b.packs)]


def bound(market: Market, prices: Ints) -> int:
    """U(μ) over all pairs, fen."""
    if len(prices) != len(market.bins.packs) or (prices < 0).any():
        raise Wrong("each bin has a price of 0 or more")
    above = np.append(prices[1:], 0)[: len(prices)]
    cheaper = np.where(has_neighbour(market), np.minimum(prices, above), prices)
    total = sum(int(a) * int(b) for a, b in zip(prices, market.bins.packs, strict=True))
    for d in range(len(market.needs.rent)):
        wanted, value = one_need(market, d)
        there = wanted > 0
        if there.any():
            total += max(0, int((value[there] - wanted[there] * cheaper[there]).max()))
    return total


def one_need(market: Market, d: int) -> tuple[Ints, Ints]:
    """How many packs need d takes of each window, 0 where it may not, and the value."""
    b, n = market.bins, market.needs
    of_place = freights(market, d)
    holds = b.packs + np.where(has_neighbour(market), np.append(b.packs[1:], 0), 0)
    wanted = np.zeros(len(b.packs), dtype=np.int64)
    value = np.zeros(len(b.packs), dtype=np.int64)
    for m in range(len(market.models.fade)):
        apart = abs(int(market.models.voltage_mv[m]) - int(n.voltage_mv[d]))
        share = int(market.models.cold_share[m, n.band[d]])
        if 100 * apart > market.voltage_tolerance_percent * int(n.voltage_mv[d]) or share == 0:
            continue
        at = np.flatnonzero((b.model == m) & (b.free_day <= n.start_day[d]))
        if not len(at):
            continue
        fade, months = int(market.models.fade[m]), int(n.months[d]) * int(n.heat_percent[d])
        left = STEP * b.grade[at] - (fade * months + 1199) // 1200
        at, left = at[left >= LEAST_SOH], left[left >= LEAST_SOH]
        milli = int(market.models.energy_wh[m]) * left * share // 1000
        k = (1000 * int(n.energy_wh[d]) + milli - 1) // np.maximum(milli, 1)
        fits = (milli > 0) & (k <= n.slots[d]) & (k <= holds[at])
        at, k = at[fits], k[fits]
        freight = of_place[b.place[at]] * int(market.models.mass_kg[m])
        each = (freight + 5_000_000) // 10_000_000 + b.residual[at]
        wanted[at] = k
        value[at] = (int(n.rent[d]) - k * each) * int(n.weight[d]) // 100
    return wanted, value


def freights(market: Market, d: int) -> Ints:
    """0.0000001 fen a kilogram from each place to need d, by the haversine."""
    to_radians = np.pi / 180e5
    north = market.latitude * to_radians
    south = market.needs.latitude[d] * to_radians
    east = (market.longitude - market.needs.longitude[d]) * to_radians
    half = np.sin((north - south) / 2) ** 2
    half += np.cos(north) * np.cos(south) * np.sin(east / 2) ** 2
    km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    hundreds: Ints = np.round(km * 10).astype(np.int64)
    return hundreds * (market.freight * market.circuity_percent)
