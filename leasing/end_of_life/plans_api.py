"""Plans for many packs, and packs routed anew together, over HTTP."""

from datetime import date
from io import BytesIO
from typing import Annotated
from uuid import UUID
from zipfile import ZIP_STORED, ZipFile

from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.end_of_life import plan_store, plans, rerouting
from leasing.end_of_life.knowing import KNOWS_OUTLETS, AllOutlets
from leasing.end_of_life.model import NoSuchPlan
from leasing.http.edge import By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, before_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.routing import (
    PlanApplyCreate,
    PlanApplyView,
    PlanComparisonView,
    PlanItemState,
    PlanItemView,
    PlanLockCreate,
    PlanLockView,
    PlanState,
    ReroutingView,
    RoutingPlanView,
    SpacePriceView,
    SuggestionView,
)


@get("/routing-plans", responses=when_reading())
async def list_routing_plans(
    tx: Tx,
    in_state: Annotated[PlanState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RoutingPlanView]:
    """Plans for all packs that waited, the newest first: value, bound, and what lies between."""
    rows = await plan_store.before(tx, before_id(cursor), in_state, limit + 1)
    return page_by_id(convert_all(rows, RoutingPlanView), limit)


@get("/routing-plans/{plan_id:uuid}", responses=when_reading(404))
async def get_routing_plan(tx: Tx, plan_id: FromPath[UUID]) -> RoutingPlanView:
    """One plan."""
    return await plans.get(tx, plan_id)


@get("/routing-plans/{plan_id:uuid}/items", responses=when_reading(404))
async def list_plan_items(
    tx: Tx,
    plan_id: FromPath[UUID],
    in_state: Annotated[PlanItemState | None, QueryParameter(name="state")] = None,
    pack_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PlanItemView]:
    """Each pack of a plan: its outlet and what it brings there, or why it is held."""
    await plans.get(tx, plan_id)
    rows = await plan_store.items_after(tx, plan_id, after_id(cursor), in_state, pack_id, limit + 1)
    return page_by_id(convert_all(rows, PlanItemView), limit)


@get("/routing-plans/{plan_id:uuid}/space-prices", responses=when_reading(404))
async def list_space_prices(tx: Tx, plan_id: FromPath[UUID]) -> list[SpacePriceView]:
    """Where another tonne of room would be worth most, the dearest twenty."""
    return await plans.dearest(tx, plan_id)


@get("/routing-plans/{plan_id:uuid}/comparison", responses=when_reading(404))
async def compare_routing_plans(
    tx: Tx, plan_id: FromPath[UUID], other_id: FromQuery[UUID]
) -> PlanComparisonView:
    """A plan beside another: what both are worth, and how many packs part ways."""
    return await plans.compare(tx, plan_id, other_id)


@get(
    "/routing-plans/{plan_id:uuid}/proof",
    responses=when_reading(404)
    | {
        200: ResponseSpec(
            data_container=bytes, media_type="application/zip", description="Two .npz files."
        )
    },
)
async def get_plan_proof(tx: Tx, plan_id: FromPath[UUID]) -> Response[bytes]:
    """The problem and the plan with its prices of space as arrays, to be checked by anybody:
    `leasing routing verify instance.npz plan.npz` after unpacking."""
    row = await plan_store.find(tx, str(plan_id))
    if row is None:
        raise NoSuchPlan
    file = BytesIO()
    with ZipFile(file, "w", ZIP_STORED) as both:
        both.writestr("instance.npz", row["instance"])
        both.writestr("plan.npz", row["solution"])
    name = f"plan-{row['digest'][:16]}.zip"
    return Response(
        file.getvalue(),
        media_type="application/zip",
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


@post("/routing-plans/{plan_id:uuid}/locks", status_code=200, responses=when_posting(404))
async def lock_plan_items(
    tx: Tx, caller: By, now: Now, plan_id: FromPath[UUID], data: JSONBody[PlanLockCreate]
) -> PlanLockView:
    """Keep packs at their outlets when the next plan is made; the others are planned around
    them."""
    count = await plans.lock(tx, plan_id, data.pack_ids, data.locked, by=str(caller), now=now)
    return PlanLockView(locked=count)


@post(
    "/routing-plans/{plan_id:uuid}/applications",
    status_code=200,
    dependencies=KNOWS_OUTLETS,
    responses=when_posting(404),
)
async def apply_routing_plan(
    tx: Tx,
    caller: By,
    now: Now,
    known: AllOutlets,
    plan_id: FromPath[UUID],
    data: JSONBody[PlanApplyCreate],
) -> PlanApplyView:
    """Reserve what is planned for the packs of one prefecture. Packs whose outlet filled up, or
    whose recycler may not take them any more, go to the next best."""
    return await plans.apply(tx, plan_id, data.adcode, by=str(caller), now=now, known=known)


@get("/reroutings", responses=when_reading())
async def list_reroutings(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[ReroutingView]:
    """Reroutings, the newest first."""
    rows = await rerouting.before(tx, before_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, ReroutingView), limit)


@get("/reroutings/suggestion", responses=when_reading(409))
async def suggest_rerouting(tx: Tx, hand_over_on: FromQuery[date]) -> SuggestionView:
    """What planning everything reserved for a day anew would gain, and how many packs it would
    move. Nothing is done. May take a minute."""
    return await rerouting.suggestion(tx, hand_over_on)


HANDLERS = [
    list_routing_plans,
    get_routing_plan,
    list_plan_items,
    list_space_prices,
    compare_routing_plans,
    get_plan_proof,
    lock_plan_items,
    apply_routing_plan,
    list_reroutings,
    suggest_rerouting,
]
