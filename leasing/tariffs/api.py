"""Price plans over HTTP."""

from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, JSONBody

from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.tariffs import service, store
from schemas.tariffs import (
    PlanVersionCreate,
    PlanVersionPatch,
    PlanVersionView,
    PricePlanCreate,
    PricePlanView,
)


def versioned(version: PlanVersionView) -> Response[PlanVersionView]:
    return Response(version, headers={"etag": etag(version.version)})


@post("/price-plans", responses=when_posting())
async def create_price_plan(
    tx: Tx, caller: By, now: Now, data: JSONBody[PricePlanCreate]
) -> PricePlanView:
    """Enter a price plan; what it charges for is in its versions."""
    return await service.create_plan(tx, data, by=str(caller), now=now)


@get("/price-plans", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_price_plans(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[PricePlanView]:
    """Price plans in the order they were entered; a customer's are those of its lines."""
    rows = await store.plans_after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, PricePlanView), limit)


@get("/price-plans/{plan_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_price_plan(tx: Tx, plan_id: FromPath[UUID]) -> PricePlanView:
    """One price plan."""
    return await service.get_plan(tx, plan_id)


@post("/price-plans/{plan_id:uuid}/versions", responses=when_posting(404))
async def create_price_plan_version(
    tx: Tx, caller: By, now: Now, plan_id: FromPath[UUID], data: JSONBody[PlanVersionCreate]
) -> PlanVersionView:
    """Draft the next version of a plan."""
    return await service.create_version(tx, plan_id, data, by=str(caller), now=now)


@get("/price-plans/{plan_id:uuid}/versions", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def list_price_plan_versions(
    tx: Tx, plan_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[PlanVersionView]:
    """The versions of a plan, the first one first."""
    await service.get_plan(tx, plan_id)
    rows = await store.versions_after(tx, plan_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, PlanVersionView), limit)


@get(
    "/price-plan-versions/{version_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404)
)
async def get_price_plan_version(tx: Tx, version_id: FromPath[UUID]) -> Response[PlanVersionView]:
    """One version, with its number of edits as ETag."""
    return versioned(await service.get_version(tx, version_id))


@patch("/price-plan-versions/{version_id:uuid}", responses=when_editing(404, 409))
async def change_price_plan_version(
    tx: Tx,
    caller: By,
    now: Now,
    version_id: FromPath[UUID],
    data: JSONBody[PlanVersionPatch],
    if_match: IfMatch = None,
) -> Response[PlanVersionView]:
    """Change a draft."""
    expected = expected_version(if_match)
    changed = await service.change_version(tx, version_id, data, expected, by=str(caller), now=now)
    return versioned(changed)


@post(
    "/price-plan-versions/{version_id:uuid}/publication",
    status_code=200,
    responses=when_posting(404, 412, 428),
)
async def publish_price_plan_version(
    tx: Tx, caller: By, now: Now, version_id: FromPath[UUID], if_match: IfMatch = None
) -> Response[PlanVersionView]:
    """Publish a draft. Lines may use it from then on, and nobody changes it any more."""
    expected = expected_version(if_match)
    return versioned(await service.publish(tx, version_id, expected, by=str(caller), now=now))


HANDLERS = [
    create_price_plan,
    list_price_plans,
    get_price_plan,
    create_price_plan_version,
    list_price_plan_versions,
    get_price_plan_version,
    change_price_plan_version,
    publish_price_plan_version,
]
