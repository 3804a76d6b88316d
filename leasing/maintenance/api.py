"""Work orders, the rules that plan them, and chains of evidence over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.maintenance import chain, service, store
from schemas.maintenance import (
    CheckDischargeResult,
    DutyExplanation,
    HealthCheckExplanation,
    OutageExplanation,
    TestRuleCreate,
    TestRuleView,
    WorkOrderAssign,
    WorkOrderCancel,
    WorkOrderState,
    WorkOrderView,
)


@get("/work-orders", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_work_orders(
    tx: Tx,
    standing: Annotated[WorkOrderState | None, QueryParameter(name="state")] = None,
    pack_id: FromQuery[UUID | None] = None,
    site_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[WorkOrderView]:
    """Check discharges that were ordered, oldest first. A customer finds those of its lines."""
    rows = await store.after(tx, after_id(cursor), standing, pack_id, site_id, limit + 1)
    return page_by_id(rows, limit)


@get("/work-orders/{order_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_work_order(tx: Tx, order_id: FromPath[UUID]) -> WorkOrderView:
    """One work order, with its result when it is done."""
    return await service.get(tx, order_id)


@post("/work-orders/{order_id:uuid}/assignment", status_code=200, responses=when_posting(404))
async def assign_work_order(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[WorkOrderAssign]
) -> WorkOrderView:
    """Give a planned work order to somebody."""
    return await service.assign(tx, order_id, data.assignee, by=str(caller), now=now)


@post("/work-orders/{order_id:uuid}/completion", status_code=200, responses=when_posting(404))
async def complete_work_order(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[CheckDischargeResult]
) -> WorkOrderView:
    """Enter what a check discharge showed. It becomes a capacity test and a health check; one that
    decides closes the duty that asked for it, and a breach opens the duty to replace the pack."""
    return await service.complete(tx, order_id, data, by=str(caller), now=now)


@post("/work-orders/{order_id:uuid}/cancellation", status_code=200, responses=when_posting(404))
async def cancel_work_order(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[WorkOrderCancel]
) -> WorkOrderView:
    """Give a work order up. What still asks for it is planned again by the next job."""
    return await service.cancel(tx, order_id, data.reason, by=str(caller), now=now)


@get("/test-rules", responses=when_reading())
async def list_test_rules(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[TestRuleView]:
    """How often and how deep packs are tested, by class of site; the newest that is valid holds."""
    return page_by_id(await store.rules_after(tx, after_id(cursor), limit + 1), limit)


@post("/test-rules", responses=when_posting())
async def set_test_rule(
    tx: Tx, caller: By, now: Now, data: JSONBody[TestRuleCreate]
) -> TestRuleView:
    """From a day on another rule holds for sites of a class."""
    return await service.set_rule(tx, data, by=str(caller), now=now)


@get(
    "/outages/{outage_id:uuid}/explanation",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def explain_outage(tx: Tx, outage_id: FromPath[UUID]) -> OutageExplanation:
    """What an outage rests on, and which lines of invoices rest on it."""
    return await chain.of_outage(tx, outage_id)


@get("/duties/{duty_id:uuid}/explanation", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def explain_duty(tx: Tx, duty_id: FromPath[UUID]) -> DutyExplanation:
    """The health check that opened a duty, and what followed from the duty."""
    return await chain.of_duty(tx, duty_id)


@get(
    "/health-checks/{check_id:uuid}/explanation",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def explain_health_check(tx: Tx, check_id: FromPath[UUID]) -> HealthCheckExplanation:
    """The sessions, readings or test that a health check rests on, and the duties it opened."""
    return await chain.of_check(tx, check_id)


HANDLERS = [
    list_work_orders,
    get_work_order,
    assign_work_order,
    complete_work_order,
    cancel_work_order,
    list_test_rules,
    set_test_rule,
    explain_outage,
    explain_duty,
    explain_health_check,
]
