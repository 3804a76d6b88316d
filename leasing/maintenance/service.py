"""Check discharges: planned, assigned, done with what follows from them, or cancelled."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from leasing.batteries import capacity
from leasing.contracts import duties
from leasing.contracts import lines as leases
from leasing.contracts.rules import guaranteed_capacity_mah
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.health import service as health
from leasing.health.store import Finding
from leasing.maintenance import rules, store
from leasing.maintenance.model import (
    NEXT_STATES,
    NoSuchWorkOrder,
    PackGone,
    Planned,
    WorkOrderInState,
)
from schemas.health import DutyKind, Verdict
from schemas.maintenance import (
    CheckDischargeResult,
    TestRuleCreate,
    TestRuleView,
    Why,
    WorkOrderState,
    WorkOrderView,
)
from schemas.packs import CapacityMethod, CapacityTestCreate


async def set_rule(tx: Connection, data: TestRuleCreate, *, by: str, now: datetime) -> TestRuleView:
    """From a day on another rule holds for sites of a class."""
    rule = await store.insert_rule(tx, data, by, now)
    facts = {"on": rule.valid_from, "site_class": rule.site_class}
    event = Event("test_rule", rule.id, "test_rule.set", facts)
    await events.append(tx, [event], actor=by, now=now)
    return rule


# Planning


async def plan_due(
    tx: Connection, on: date, after: UUID, limit: int, *, by: str, now: datetime
) -> UUID | None:
    """Plan the tests of the schedule for the next packs. Returns the last of them, None at the
    end."""
    packs = await store.standing(tx, on, after, limit)
    by_class = await store.rules_on(tx, on)
    orders = []
    for pack in packs:
        planned = rules.planned_for(pack, by_class, on)
        if planned is not None:
            place = (pack.pack_id, pack.line_id, pack.site_id)
            orders.append(Planned(*place, Why.SCHEDULE, None, None, *planned))
    await _plan(tx, orders, on, by=by, now=now)
    return packs[-1].pack_id if len(packs) == limit else None


async def plan_asked_for(
    tx: Connection, on: date, after: UUID, limit: int, *, by: str, now: datetime
) -> UUID | None:
    """Order the tests that inconclusive checks and risen resistances ask for: deep ones, as only
    they decide. Returns the last pack, None at the end."""
    rows = await store.asked_for(tx, on, after, limit)
    by_class = await store.rules_on(tx, on)
    orders = []
    for row in rows:
        rule = by_class[row["site_class"] or rules.DEFAULT_CLASS]
        orders.append(
            Planned(
                pack_id=row["pack_id"],
                line_id=row["line_id"],
                site_id=row["site_id"],
                why=Why.INCONCLUSIVE if row["duty_id"] else Why.RESISTANCE,
                duty_id=row["duty_id"],
                alarm_id=row["alarm_id"],
                due_on=max(on, row["due_on"] or on + rules.HORIZON),
                depth_percent=rule.deep_percent,
            )
        )
    await _plan(tx, orders, on, by=by, now=now)
    return rows[-1]["pack_id"] if len(rows) == limit else None


async def _plan(
    tx: Connection, orders: Sequence[Planned], on: date, *, by: str, now: datetime
) -> None:
    made = await store.plan(tx, orders, on, now)
    told = [
        told_of(
            order,
            "pack.check_discharge_ordered",
            on=on,
            why=order.why,
            due_on=order.due_on,
            depth_percent=order.depth_percent,
        )
        for order in made
    ]
    await events.append(tx, told, actor=by, now=now)


async def cancel_needless(tx: Connection, on: date, limit: int, *, by: str, now: datetime) -> int:
    """Cancel orders of packs that went, and of duties that were settled otherwise."""
    found = await store.needless(tx, on, limit)
    for order in found:
        await _cancel(tx, order, "the pack went, or the question was settled", by=by, now=now)
    return len(found)


# Orders


def told_of(order: WorkOrderView, kind: str, **facts: object) -> Event:
    return Event("pack", order.pack_id, kind, {"work_order_id": order.id, **facts})


async def get(tx: Connection, order_id: UUID) -> WorkOrderView:
    """One order. Raises `NoSuchWorkOrder`."""
    order = await store.get(tx, order_id)
    if order is None:
        raise NoSuchWorkOrder(f"there is no work order {order_id}")
    return order


async def lock(tx: Connection, order_id: UUID, to: WorkOrderState) -> WorkOrderView:
    """An order for changing. Raises `NoSuchWorkOrder`, `WorkOrderInState`."""
    order = await store.get(tx, order_id, lock=True)
    if order is None:
        raise NoSuchWorkOrder(f"there is no work order {order_id}")
    if to not in NEXT_STATES[order.state]:
        raise WorkOrderInState(f"a work order that is {order.state} cannot become {to}")
    return order


async def assign(
    tx: Connection, order_id: UUID, assignee: str, *, by: str, now: datetime
) -> WorkOrderView:
    """Give an order to somebody. Raises `NoSuchWorkOrder`, `WorkOrderInState`."""
    order = await lock(tx, order_id, WorkOrderState.ASSIGNED)
    event = told_of(order, "pack.check_discharge_assigned", assignee=assignee)
    await events.append(tx, [event], actor=by, now=now)
    return await store.assign(tx, order_id, assignee, now)


async def cancel(
    tx: Connection, order_id: UUID, reason: str, *, by: str, now: datetime
) -> WorkOrderView:
    """Give an order up; what still asks for it is planned again. Raises `NoSuchWorkOrder`,
    `WorkOrderInState`."""
    order = await lock(tx, order_id, WorkOrderState.CANCELLED)
    return await _cancel(tx, order, reason, by=by, now=now)


async def _cancel(
    tx: Connection, order: WorkOrderView, reason: str, *, by: str, now: datetime
) -> WorkOrderView:
    event = told_of(order, "pack.check_discharge_cancelled", reason=reason)
    await events.append(tx, [event], actor=by, now=now)
    return await store.cancel(tx, order.id, reason, now)


async def complete(
    tx: Connection, order_id: UUID, data: CheckDischargeResult, *, by: str, now: datetime
) -> WorkOrderView:
    """Enter what a check discharge showed: a capacity test, a health check with its verdict, and
    what that opens or closes. Raises `NoSuchWorkOrder`, `WorkOrderInState`, `PackGone`,
    `BadResult`, `ImpossibleTest`."""
    order = await lock(tx, order_id, WorkOrderState.DONE)
    on = data.tested_on
    line = (await leases.lock(tx, {order.line_id: on})).get(order.line_id)
    pack = await store.tested(tx, order.pack_id, order.line_id, on, now)
    if line is None or pack is None:
        raise PackGone(f"pack {order.pack_id} did not stand in line {order.line_id} on {on}")
    guarantee_mah = guaranteed_capacity_mah(line)
    judged = rules.judge_discharge(data, pack.rated_capacity_mah, guarantee_mah)
    report = as_test(order, data, pack.rated_capacity_mah)
    test = await capacity.report(tx, order.pack_id, report, by=by, now=now)
    result: dict[str, object] = msgspec.to_builtins(data)
    done = await store.complete(tx, order_id, test.id, result, now)
    found = msgspec.structs.replace(
        judged.health,
        evidence={
            **judged.health.evidence,
            "work_order_id": str(order_id),
            "capacity_test_id": str(test.id),
        },
    )
    check_id = await store.insert_check(tx, order, on, found, judged.verdict, guarantee_mah)
    finding = Finding(pack, line, found, guarantee_mah, judged.verdict)
    happened = [
        told_of(order, "pack.check_discharge_done", on=on, verdict=judged.verdict),
        health.told(finding, on),
    ]
    if judged.verdict in (Verdict.BREACH, Verdict.PASS):
        await duties.close(tx, {order.pack_id: on}, "done", [DutyKind.CHECK_DISCHARGE])
    owed = await health.open_duty(tx, finding, check_id, on)
    happened += [] if owed is None else [owed]
    await events.append(tx, happened, actor=by, now=now)
    return done


def as_test(order: WorkOrderView, data: CheckDischargeResult, rated_mah: int) -> CapacityTestCreate:
    """The same as a report of a capacity test."""
    assert order.assignee is not None
    return CapacityTestCreate(
        tested_on=data.tested_on,
        method=CapacityMethod.SITE_CHECK_DISCHARGE,
        temperature_c=data.temperature_c,
        c_rate=data.discharged_mah / rated_mah * 60 / data.duration_minutes,
        depth_percent=data.depth_percent,
        discharged_mah=data.discharged_mah,
        laboratory=order.assignee,
        report_number=f"WO-{order.id}",
        document_sha256=data.document_sha256,
        signatory=data.signatory,
    )
