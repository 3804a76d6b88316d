"""A plan for all packs of an instance: the flow, whole packs, and what the checker says of both."""

from dataclasses import dataclass, replace

import numpy as np

from leasing.routing import certificate, columns, greedy, stage_packs, stages, whole
from leasing.routing.certificate import Plan, Verdict
from leasing.routing.model import Instance, Ints, Network
from leasing.routing.pricing import Pricer, pricer
from leasing.routing.whole import WholePlan
from leasing.routing.worker import TookTooLong, within

TOO_MUCH = 0.05
"""A plan that loses this share of the flow's value is compared with the greedy one."""


@dataclass(frozen=True)
class Planned:
    """Whole packs with prices of space that bound every plan. `flow` is the best flow in kilograms;
    None when there was no time for it, and the plan is greedy. With firms behind outlets `firm` is
    where each part of `packs` ends, and `limit_prices` are of the firms' limits."""

    packs: WholePlan
    prices: Ints
    flow: Plan | None
    plan_id: str
    firm: Ints | None = None
    limit_prices: Ints | None = None

    def kilograms(self, instance: Instance, firm: Ints | None = None) -> Plan:
        """Whole packs as the checker wants them."""
        packs = self.packs
        firm = self.firm if firm is None else firm
        return Plan(packs.row, packs.column, packs.kg(instance), firm)


def plan(instance: Instance, prices: Ints | None = None) -> Planned:
    """The flow is best over all pairs; `judged` shows it. `prices` as in `columns.solve`."""
    if isinstance(instance, Network) and instance.stage is not None:
        return with_firms(instance, prices)
    ask = pricer(instance)
    relaxed = columns.solve(instance, prices, ask)
    sent = relaxed.kg > 0
    flow = Plan(relaxed.arcs.row[sent], relaxed.arcs.column[sent], relaxed.kg[sent])
    packs = whole.plan(instance, relaxed, ask)
    if relaxed.value - worth(instance, ask, packs) > TOO_MUCH * abs(relaxed.value):
        # Outlets so small that most packs do not fit: a flow in kilograms says little there.
        packs = max(
            packs, greedy.best_value_first(instance), key=lambda one: worth(instance, ask, one)
        )
    return Planned(packs, relaxed.prices, flow, packs.plan_id(instance))


def with_firms(network: Network, prices: Ints | None) -> Planned:
    """As if every firm had room for all; if that sends too much to one, by both stages at once."""
    one = plan(replace(stages.folded(network), stage=None), prices)
    assert one.flow is not None
    flow, packs = one.flow, one.packs
    firm = stages.best_firms(network, packs.row, packs.column)
    flow = replace(flow, firm=stages.best_firms(network, flow.row, flow.column))
    if stages.fits(network, flow) and stages.fits(network, one.kilograms(network, firm)):
        free = np.zeros(len(stages.stage_of(network).limit_kg), dtype=np.int64)
        return finished(network, packs, one.prices, flow, firm, free)
    found = stages.solve(network, one.prices)
    packs, firm = stages.ended(found.lanes, stage_packs.plan(network, found))
    return finished(network, packs, found.prices, found.flow(), firm, found.limit_prices)


def first_come(instance: Instance) -> Planned:
    """Pack by pack, each where it brings most."""
    prices = np.zeros(len(instance.free_kg), dtype=np.int64)
    if isinstance(instance, Network) and instance.stage is not None:
        packs, firm = stages.ended(stages.lanes(instance), stages.best_value_first(instance))
        free = np.zeros(len(instance.stage.limit_kg), dtype=np.int64)
        return finished(instance, packs, prices, None, firm, free)
    packs = greedy.best_value_first(instance)
    return Planned(packs, prices, None, packs.plan_id(instance))


def finished(
    network: Network,
    packs: WholePlan,
    prices: Ints,
    flow: Plan | None,
    firm: Ints,
    limit_prices: Ints,
) -> Planned:
    plan_id = stages.plan_id(network, packs, firm)
    return Planned(packs, prices, flow, plan_id, firm, limit_prices)


def worth(instance: Instance, ask: Pricer, packs: WholePlan) -> int:
    """0.0001 CNY."""
    kg = packs.kg(instance)
    held = int(instance.classes.supply_kg.sum() - kg.sum())
    return int((kg * ask.values(packs.row, packs.column)).sum()) + held * instance.hold


def plan_within(seconds: float, instance: Instance) -> Planned:
    """The same in a process of its own; pack by pack when time is over."""
    try:
        return within(seconds, plan, instance)
    except TookTooLong:
        return first_come(instance)


def judged(instance: Instance, planned: Planned) -> tuple[Verdict | None, Verdict]:
    """What the checker says of the flow and of the whole packs."""
    flow = None
    if planned.flow is not None:
        flow = certificate.judge(instance, planned.prices, planned.flow, planned.limit_prices)
    packs = planned.kilograms(instance)
    certificate.whole(instance, packs)
    return flow, certificate.judge(instance, planned.prices, packs, planned.limit_prices)
