"""End of life over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.access.model import Caller, Role
from leasing.end_of_life import service, store
from leasing.end_of_life.knowing import KNOWS_OUTLETS, AllOutlets
from leasing.http.edge import RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.end_of_life import (
    CertificateCreate,
    CertificateView,
    HandOverCreate,
    LotOptionsView,
    LotRoutedView,
    LotRoutingCreate,
    ReleaseCreate,
    RouteOptionsView,
    RoutingCreate,
    RoutingState,
    RoutingView,
)


@post("/packs/{pack_id:uuid}/routings", dependencies=KNOWS_OUTLETS, responses=when_posting(404))
async def route_pack(
    tx: Tx,
    caller: By,
    now: Now,
    known: AllOutlets,
    pack_id: FromPath[UUID],
    data: JSONBody[RoutingCreate],
) -> RoutingView:
    """Choose the best outlet for a condemned pack and reserve its room; the answer says why."""
    return await service.route(tx, pack_id, data, by=str(caller), now=now, known=known)


@get(
    "/packs/{pack_id:uuid}/route-options",
    dependencies=KNOWS_OUTLETS,
    responses=when_reading(404, 409),
)
async def list_route_options(
    tx: Tx, known: AllOutlets, pack_id: FromPath[UUID], hand_over_on: FromQuery[date]
) -> RouteOptionsView:
    """Where a condemned pack should go if it were handed over on a day: the best of all outlets,
    the next, the nearest and what excludes it. Nothing is reserved."""
    return await service.route_options(tx, pack_id, hand_over_on, known)


@post("/lot-options", status_code=200, dependencies=KNOWS_OUTLETS, responses=when_posting())
async def list_lot_options(
    tx: Tx, known: AllOutlets, data: JSONBody[LotRoutingCreate]
) -> LotOptionsView:
    """Where several packs that wait at one place should go together: the best of all outlets that
    may take every one and have room for all. Nothing is reserved."""
    return await service.lot_options(tx, data, known)


@post("/lot-routings", dependencies=KNOWS_OUTLETS, responses=when_posting())
async def route_packs_together(
    tx: Tx, caller: By, now: Now, known: AllOutlets, data: JSONBody[LotRoutingCreate]
) -> LotRoutedView:
    """Reserve room for several packs of one place at the best outlet for all of them."""
    return await service.route_lot(tx, data, by=str(caller), now=now, known=known)


def shown_to(caller: Caller, routing: RoutingView) -> RoutingView:
    """A recycler learns what it is sent, not why: the reasons speak of its competitors."""
    hidden = caller.role is Role.RECYCLER
    return msgspec.structs.replace(routing, explanation={}) if hidden else routing


@get("/routings", opt={"access": RECYCLERS}, responses=when_reading())
async def list_routings(
    tx: Tx,
    caller: By,
    pack_id: FromQuery[UUID | None] = None,
    in_state: Annotated[RoutingState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RoutingView]:
    """Routings. A recycler sees those to its outlets."""
    rows = await store.routings_after(tx, after_id(cursor), pack_id, in_state, limit + 1)
    routings = [shown_to(caller, routing) for routing in convert_all(rows, RoutingView)]
    return page_by_id(routings, limit)


@get("/routings/{routing_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_routing(tx: Tx, caller: By, routing_id: FromPath[UUID]) -> RoutingView:
    """One routing with its reasons."""
    return shown_to(caller, await service.get_routing(tx, routing_id))


@post("/routings/{routing_id:uuid}/hand-over", status_code=200, responses=when_posting(404))
async def hand_over_pack(
    tx: Tx, caller: By, now: Now, routing_id: FromPath[UUID], data: JSONBody[HandOverCreate]
) -> RoutingView:
    """Hand the pack over at the outlet."""
    return await service.hand_over(tx, routing_id, data.handed_over_on, by=str(caller), now=now)


@post("/routings/{routing_id:uuid}/release", status_code=200, responses=when_posting(404))
async def release_routing(
    tx: Tx, caller: By, now: Now, routing_id: FromPath[UUID], data: JSONBody[ReleaseCreate]
) -> RoutingView:
    """Give up a routing before hand-over."""
    return await service.release(tx, routing_id, data, by=str(caller), now=now)


@post("/routings/{routing_id:uuid}/certificate", responses=when_posting(404))
async def certify_recycling(
    tx: Tx, caller: By, now: Now, routing_id: FromPath[UUID], data: JSONBody[CertificateCreate]
) -> CertificateView:
    """Record the recycler's certificate."""
    return await service.certify(tx, routing_id, data, by=str(caller), now=now)


HANDLERS = [
    route_pack,
    list_route_options,
    list_lot_options,
    route_packs_together,
    list_routings,
    get_routing,
    hand_over_pack,
    release_routing,
    certify_recycling,
]
