"""A plan for all packs of an instance: the flow, whole packs, and what the checker says of both."""

from dataclasses import dataclass

import numpy as np

from leasing.routing import certificate, columns, greedy, whole
from leasing.routing.certificate import Plan, Verdict
from leasing.routing.model import Instance, Ints
from leasing.routing.pricing import Pricer, pricer
from leasing.routing.whole import WholePlan
from leasing.routing.worker import TookTooLong, within

TOO_MUCH = 0.05
"""A plan that loses this share of the flow's value is compared with the greedy one."""


@dataclass(frozen=True)
class Planned:
    """Whole packs with prices of space that bound every plan. `flow` is the best flow in kilograms;
    None when there was no time for it, and the plan is greedy."""

    packs: WholePlan
    prices: Ints
    flow: Plan | None
    plan_id: str


def plan(instance: Instance, prices: Ints | None = None) -> Planned:
    """The flow is best over all pairs; `judged` shows it. `prices` as in `columns.solve`."""
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
        packs = greedy.best_value_first(instance)
        prices = np.zeros(len(instance.free_kg), dtype=np.int64)
        return Planned(packs, prices, None, packs.plan_id(instance))


def judged(instance: Instance, planned: Planned) -> tuple[Verdict | None, Verdict]:
    """What the checker says of the flow and of the whole packs."""
    flow = None
    if planned.flow is not None:
        flow = certificate.judge(instance, planned.prices, planned.flow)
    packs = Plan(planned.packs.row, planned.packs.column, planned.packs.kg(instance))
    certificate.whole(instance, packs)
    return flow, certificate.judge(instance, planned.prices, packs)
