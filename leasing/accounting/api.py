"""The lessor's books over HTTP."""

from datetime import date
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody

from leasing.accounting import periods, periods_store, service
from leasing.http.edge import By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, decode, encode
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from schemas.accounting import (
    ChecklistView,
    LeaseClassificationCreate,
    LeaseClassificationsView,
    LeaseClassificationView,
    LeaseScheduleView,
    PeriodView,
    Reopening,
)


@get("/accounting-periods", responses=when_reading())
async def list_periods(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[PeriodView]:
    """Months that were closed once, the latest first."""
    start = date.max if cursor is None else decode(cursor, tuple[date])[0]
    found = convert_all(await periods_store.before(tx, start, limit + 1), PeriodView)
    shown = found[:limit]
    return Page(shown, encode(shown[-1].month) if len(found) > limit else None)


@get("/accounting-periods/{month:str}", responses=when_reading())
async def get_checklist(tx: Tx, month: FromPath[str]) -> ChecklistView:
    """Whether a month is closed, and what is in the way of closing it. A month is `2026-01`."""
    return await periods.checklist(tx, periods.month_named(month))


@post("/accounting-periods/{month:str}/closing", status_code=200, responses=when_posting())
async def close_period(tx: Tx, caller: By, now: Now, month: FromPath[str]) -> PeriodView:
    """Close a month that is over and whose checks passed: nothing is posted in it any more."""
    return await periods.close(tx, periods.month_named(month), by=str(caller), now=now)


@post("/accounting-periods/{month:str}/reopening", status_code=200, responses=when_posting(404))
async def reopen_period(
    tx: Tx, caller: By, now: Now, month: FromPath[str], data: JSONBody[Reopening]
) -> PeriodView:
    """Open the latest closed month again."""
    wanted = periods.month_named(month)
    return await periods.reopen(tx, wanted, data.reason, by=str(caller), now=now)


@post("/contracts/{contract_id:uuid}/lease-classification", responses=when_posting(404))
async def classify_lease(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[LeaseClassificationCreate],
) -> LeaseClassificationView:
    """Judge whether lines are operating or finance leases, and keep the decision with its tests.
    Lines that nobody judged are operating leases."""
    return await service.classify(tx, contract_id, data, by=str(caller), now=now)


@get("/contracts/{contract_id:uuid}/lease-classification", responses=when_reading(404))
async def list_classifications(tx: Tx, contract_id: FromPath[UUID]) -> LeaseClassificationsView:
    """Every decision about the leases of a contract, the first first."""
    found = await service.list_classifications(tx, contract_id)
    return LeaseClassificationsView(contract_id=contract_id, classifications=found)


@get("/contracts/{contract_id:uuid}/lease-schedule", responses=when_reading(404))
async def get_lease_schedule(tx: Tx, now: Now, contract_id: FromPath[UUID]) -> LeaseScheduleView:
    """Rent and income of a contract's leases month by month over their terms."""
    return await service.schedule(tx, contract_id, civil_date(now))


HANDLERS = [
    list_periods,
    get_checklist,
    close_period,
    reopen_period,
    classify_lease,
    list_classifications,
    get_lease_schedule,
]
