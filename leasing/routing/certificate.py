"""A bound on every plan from nothing but the data and prices of space, and what a plan lacks.

For any prices λ ≥ 0, no plan is worth more than

    U(λ) = Σ λ[outlet] · free kg + Σ supply kg · max(hold, max over outlets of value − λ)

since a plan's gain at these prices is counted outlet by outlet and class by class at its most
(Lagrange's relaxation of the room). With utilisation firms behind outlets, and prices μ ≥ 0 of a
kilogram within each of their limits, it is

    Σ λ · free kg + Σ μ · limit kg + Σ supply kg · max(hold, max over ways of value − λ − Σ μ)

over all ways from outlets to firms, with the limits that the class meets there. A plan's distance
from U is the sum of two kinds of terms, none below 0: packs that others outbid, and dear room left
empty. So a plan of value U is best of all.

Written on its own, from the formulas of `model`: nothing here is used by the solver or uses it, so
that a mistake there shows here.
"""

from dataclasses import dataclass

import numpy as np

from leasing.regions.model import EARTH_RADIUS_KM
from leasing.routing.model import (
    FORBIDDEN,
    Flags,
    Floats,
    Instance,
    Ints,
    Network,
    Places,
    Stage,
    Table,
)

AT_ONCE = 2_000_000
"""Pairs held in memory in one go."""


@dataclass(frozen=True)
class Plan:
    """`kg[k]` of class `row[k]` go to outlet `column[k]`; what is not sent is held. `firm[k]` is
    where they end, in a problem of two stages."""

    row: Ints
    column: Ints
    kg: Ints
    firm: Ints | None = None


@dataclass(frozen=True)
class Verdict:
    """Amounts in 0.0001 CNY. `gap` = `outbid` + `unused`, the two ways to miss the bound."""

    value: int
    bound: int
    outbid: int
    unused: int

    @property
    def gap(self) -> int:
        return self.bound - self.value

    @property
    def gap_ppm(self) -> float:
        return 1e6 * self.gap / max(1, abs(self.bound))


class Wrong(ValueError):
    """The plan is not one: it sends what is not there, where it may not, or more than fits."""


def judge(
    instance: Instance, prices: Ints, plan: Plan, limit_prices: Ints | None = None
) -> Verdict:
    """Check a plan against the data alone, and tell how far from the best it can be.
    `limit_prices` are of the firms' limits, in a problem of two stages."""
    if len(prices) != len(instance.free_kg) or (prices < 0).any():
        raise Wrong("each outlet has a price of 0 or more")
    if isinstance(instance, Network) and instance.stage is not None:
        return judge_both(instance, instance.stage, prices, plan, limit_prices)
    supply = instance.classes.mass_kg * instance.classes.packs
    sent, filled = totals(instance, plan)
    worth = pair_values(instance, plan.row, plan.column)
    if (worth == FORBIDDEN).any():
        raise Wrong("a pack goes where it may not")
    if (sent > supply).any():
        raise Wrong("more is sent than there is")
    if (filled > instance.free_kg).any():
        raise Wrong("an outlet is filled beyond its room")
    held = supply - sent
    gain = best_gain(instance, prices)
    value = dot(plan.kg, worth) + int(held.sum()) * instance.hold
    bound = dot(prices, instance.free_kg) + dot(supply, gain)
    lost = gain[plan.row] - (worth - prices[plan.column])
    outbid = dot(plan.kg, lost) + dot(held, gain - instance.hold)
    return Verdict(value, bound, outbid, dot(prices, instance.free_kg - filled))


def judge_both(
    one: Network, stage: Stage, prices: Ints, plan: Plan, limit_prices: Ints | None
) -> Verdict:
    """The same for two stages."""
    if limit_prices is None or len(limit_prices) != len(stage.limit_kg) or (limit_prices < 0).any():
        raise Wrong("each limit has a price of 0 or more")
    if plan.firm is None or len(plan.firm) != len(plan.row):
        raise Wrong("each part of a plan has a firm")
    supply = one.classes.mass_kg * one.classes.packs
    sent, filled = totals(one, plan)
    meets = limits_met(stage, one.chemistry[plan.row], plan.firm)
    treated = meets @ plan.kg
    worth = way_values(one, stage, plan)
    if (worth == FORBIDDEN).any():
        raise Wrong("a pack goes where it may not")
    if (sent > supply).any():
        raise Wrong("more is sent than there is")
    if (filled > one.free_kg).any():
        raise Wrong("an outlet is filled beyond its room")
    if (treated > stage.limit_kg).any():
        raise Wrong("a firm is sent more than it can treat")
    held = supply - sent
    gain = best_gain(one, prices, limit_prices)
    value = dot(plan.kg, worth) + int(held.sum()) * one.hold
    bound = dot(prices, one.free_kg) + dot(limit_prices, stage.limit_kg) + dot(supply, gain)
    lost = gain[plan.row] - (worth - prices[plan.column] - limit_prices @ meets)
    outbid = dot(plan.kg, lost) + dot(held, gain - one.hold)
    unused = dot(prices, one.free_kg - filled) + dot(limit_prices, stage.limit_kg - treated)
    return Verdict(value, bound, outbid, unused)


def limits_met(stage: Stage, chemistry: Ints, firm: Ints) -> Ints:
    """1 where a limit (row) is of the firm and names the chemistry."""
    met: Ints = (
        (stage.limit_firm[:, None] == firm[None, :])
        & (stage.limit_chemistries[:, None] & (1 << chemistry)[None, :] != 0)
    ).astype(np.int64)
    return met


def way_values(one: Network, stage: Stage, plan: Plan) -> Ints:
    """The value of each part of a plan, FORBIDDEN where it may not go."""
    assert plan.firm is not None
    ways = zip(stage.outlet.tolist(), stage.firm.tolist(), stage.leg.tolist(), strict=True)
    leg = {(j, f): second for j, f, second in ways}
    value = np.full(len(plan.row), FORBIDDEN, dtype=np.int64)
    every = zip(plan.row.tolist(), plan.column.tolist(), plan.firm.tolist(), strict=True)
    for k, (i, j, f) in enumerate(every):
        offers = [
            int(stage.price[d, one.chemistry[i], f])
            for d in range(len(stage.price))
            if one.dispositions[i] & (1 << d) and 0 <= f < stage.price.shape[2]
        ]
        offer = max(offers, default=FORBIDDEN)
        if (j, f) in leg and offer != FORBIDDEN and permitted(one, i, np.array([j]))[0]:
            value[k] = offer - leg[j, f] * onward(one, stage, np.array([j]), np.array([f]))[0]
    sent = value != FORBIDDEN
    at, to = plan.row[sent], plan.column[sent]
    h = haversine(one, at, to)
    value[sent] -= freight(one, h, one.freight[one.hazard[at]]) + one.packing[one.hazard[at]]
    return value


def onward(one: Network, stage: Stage, outlets: Ints, firms: Ints) -> Ints:
    """What the second leg costs, 0.0001 CNY/kg."""
    h = half_angle(one.outlets, stage.firms, outlets, firms)
    return freight(one, h, stage.freight) + stage.packing


def totals(instance: Instance, plan: Plan) -> tuple[Ints, Ints]:
    """Kilograms sent of each class, and into each outlet."""
    sent = np.zeros(len(instance.classes.packs), dtype=np.int64)
    filled = np.zeros(len(instance.free_kg), dtype=np.int64)
    if not len(plan.row) == len(plan.column) == len(plan.kg):
        raise Wrong("each part of a plan has a class, an outlet and kilograms")
    for places, known in ((plan.row, len(sent)), (plan.column, len(filled))):
        if len(places) and (places.min() < 0 or places.max() >= known):
            raise Wrong("the plan names a class or an outlet that is not there")
    if (plan.kg < 0).any():
        raise Wrong("less than nothing is sent")
    np.add.at(sent, plan.row, plan.kg)
    np.add.at(filled, plan.column, plan.kg)
    return sent, filled


def whole(instance: Instance, plan: Plan) -> None:
    """Whether each part of a plan is whole packs."""
    if (plan.kg % instance.classes.mass_kg[plan.row]).any():
        raise Wrong("a pack is cut")


def dot(left: Ints, right: Ints) -> int:
    """Σ left · right without a limit of 64 bits on the whole."""
    return sum(int(part.sum()) for part in np.array_split(left * right, 64))


def pair_values(instance: Instance, rows: Ints, columns: Ints) -> Ints:
    if isinstance(instance, Table):
        return instance.value[rows, columns].astype(np.int64)
    one = instance
    value = np.full(len(rows), FORBIDDEN, dtype=np.int64)
    for k, (i, j) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        offers = [
            int(one.offer[d, one.chemistry[i], j])
            for d in range(len(one.offer))
            if one.dispositions[i] & (1 << d)
        ]
        offer = max(offers, default=FORBIDDEN)
        if offer != FORBIDDEN and permitted(one, i, np.array([j]))[0]:
            value[k] = offer
    sent = value != FORBIDDEN
    at, to = rows[sent], columns[sent]
    h = haversine(one, at, to)
    value[sent] -= freight(one, h, one.freight[one.hazard[at]]) + one.packing[one.hazard[at]]
    return value


def permitted(one: Network, i: int, outlets: Ints) -> Flags:
    """Which of these outlets may take class i."""
    chemistry = one.takes_chemistries[outlets] & (1 << int(one.chemistry[i])) != 0
    hazard = one.takes_hazards[outlets] & (1 << int(one.hazard[i])) != 0
    load = one.classes.mass_kg[i] <= one.single_load_kg[outlets]
    may: Flags = (one.closed[outlets] == 0) & chemistry & hazard & load
    return may


def haversine(one: Network, rows: Ints, columns: Ints) -> Floats:
    """sin² of half the angle between a class and an outlet; the arrays broadcast."""
    return half_angle(one.at, one.outlets, rows, columns)


def half_angle(start: Places, end: Places, rows: Ints, columns: Ints) -> Floats:
    """sin² of half the angle between two places."""
    to_radians = np.pi / 180e5
    north = start.latitude[rows] * to_radians
    south = end.latitude[columns] * to_radians
    east = (start.longitude[rows] - end.longitude[columns]) * to_radians
    half: Floats = (
        np.sin((north - south) / 2) ** 2 + np.cos(north) * np.cos(south) * np.sin(east / 2) ** 2
    )
    return half


def freight(one: Network, h: Floats, rate: Ints | int) -> Ints:
    """0.0001 CNY/kg, of the distance in whole 100 m."""
    km = 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    hundreds = np.round(km * 10).astype(np.int64)
    carried: Ints = (rate * one.circuity_percent * hundreds + 500_000) // 1_000_000
    return carried


def best_gain(instance: Instance, prices: Ints, limit_prices: Ints | None = None) -> Ints:
    """max(hold, max over all outlets of value − price) of each class; over all ways to firms with
    the prices of their limits."""
    n, m = len(instance.classes.packs), len(prices)
    gain = np.full(n, instance.hold, dtype=np.int64)
    if isinstance(instance, Network):
        for rows in alike(instance):
            gain[rows] = best_of_alike(instance, prices, rows, limit_prices)
        return gain
    step = max(1, AT_ONCE // max(1, m))
    for first in range(0, n, step):
        value = instance.value[first : first + step].astype(np.int64)
        net = np.where(value == FORBIDDEN, instance.hold, value - prices)
        gain[first : first + step] = net.max(axis=1, initial=instance.hold)
    return gain


def alike(one: Network) -> list[Ints]:
    """Classes that differ by their place alone."""
    keys: dict[tuple[int, ...], list[int]] = {}
    what = (one.chemistry, one.hazard, one.dispositions, one.classes.mass_kg)
    for i, key in enumerate(zip(*(each.tolist() for each in what), strict=True)):
        keys.setdefault(key, []).append(i)
    return [np.array(rows) for rows in keys.values()]


def best_of_alike(one: Network, prices: Ints, rows: Ints, limit_prices: Ints | None) -> Ints:
    """Outlets from the highest offer − price down; a class is done when even free carriage to the
    next would not be better than what it has."""
    i = int(rows[0])
    allowed = [d for d in range(len(one.offer)) if one.dispositions[i] & (1 << d)]
    gain = np.full(len(rows), one.hold, dtype=np.int64)
    may = np.flatnonzero(permitted(one, i, np.arange(len(prices))))
    if not allowed or not len(may):
        return gain
    if one.stage is None or limit_prices is None:
        offer = one.offer[allowed][:, one.chemistry[i], may].max(axis=0)
    else:
        ends = best_ends(one, one.stage, allowed, int(one.chemistry[i]), limit_prices)
        offer = ends[may]
    may, offer = may[offer != FORBIDDEN], offer[offer != FORBIDDEN]
    net = offer - one.packing[one.hazard[i]] - prices[may]
    order = np.argsort(-net, kind="stable")
    may, net = may[order], net[order]
    rate = int(one.freight[one.hazard[i]])
    left, step = np.arange(len(rows)), 256
    for first in range(0, len(may), step):
        left = left[gain[left] < net[first]]
        if not len(left):
            break
        some, worth = may[first : first + step], net[first : first + step]
        for part in np.array_split(left, 1 + len(left) * step // AT_ONCE):
            h = haversine(one, rows[part][:, None], some[None, :])
            gain[part] = np.maximum(gain[part], (worth - freight(one, h, rate)).max(axis=1))
    return gain


def best_ends(
    one: Network, stage: Stage, allowed: list[int], chemistry: int, limit_prices: Ints
) -> Ints:
    """What the best way on from each outlet brings before its own price, FORBIDDEN without one."""
    best = np.full(len(one.free_kg), FORBIDDEN, dtype=np.int64)
    every = np.full(len(stage.price[0, 0]), chemistry)
    price = limit_prices @ limits_met(stage, every, np.arange(len(every)))
    asked = stage.price[allowed, chemistry].max(axis=0)
    legs = stage.leg * onward(one, stage, stage.outlet, stage.firm)
    for j, f, leg in zip(stage.outlet.tolist(), stage.firm.tolist(), legs.tolist(), strict=True):
        if asked[f] != FORBIDDEN:
            best[j] = max(best[j], asked[f] - leg - price[f])
    return best
