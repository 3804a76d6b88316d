"""Outlets over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.db.pool import as_lessor
from leasing.http.edge import EVERYONE, RECYCLERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.outlets import service, store
from schemas.common import PRINTABLE
from schemas.outlets import (
    ClosureView,
    CoverageView,
    DirectoryEntry,
    LimitAnswer,
    LimitCreate,
    LimitView,
    OutletClose,
    OutletCreate,
    OutletDutyCreate,
    OutletDutyEnd,
    OutletDutyView,
    OutletKind,
    OutletPatch,
    OutletView,
)

InAdcode = Annotated[str | None, QueryParameter(max_length=6, pattern=PRINTABLE)]
DutyOf = Annotated[
    UUID | None,
    QueryParameter(description="Only outlets of this battery maker or carmaker, as of today."),
]


@get("/outlets", opt={"access": RECYCLERS}, responses=when_reading())
async def list_outlets(
    tx: Tx,
    now: Now,
    adcode: InAdcode = None,
    kind: FromQuery[OutletKind | None] = None,
    recycler_id: FromQuery[UUID | None] = None,
    generated: FromQuery[bool | None] = None,
    duty_of: DutyOf = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OutletView]:
    """Collection outlets. A recycler sees its own."""
    rows = await store.after(
        tx,
        after_id(cursor),
        limit + 1,
        today=civil_date(now),
        adcode=adcode,
        kind=kind,
        recycler_id=recycler_id,
        generated=generated,
        duty_of=duty_of,
    )
    return page_by_id(convert_all(rows, OutletView), limit)


@post("/outlets", responses=when_posting())
async def create_outlet(tx: Tx, caller: By, now: Now, data: JSONBody[OutletCreate]) -> OutletView:
    """Enter an outlet."""
    return await service.enter(tx, data, by=str(caller), now=now)


@get("/outlets/coverage", responses=when_reading())
async def outlet_coverage(tx: Tx, now: Now) -> CoverageView:
    """How many outlets in how many prefectures and provinces, and what they hold; what was
    generated and what is real, each for itself."""
    return await service.coverage(tx, civil_date(now))


@get("/outlets/directory", opt={"access": EVERYONE}, responses=when_reading())
async def outlet_directory(
    tx: Tx,
    now: Now,
    adcode: InAdcode = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DirectoryEntry]:
    """Where packs can be brought to: the outlets that are open, for everybody with a key."""
    async with as_lessor(tx):
        rows = await store.directory(tx, after_id(cursor), adcode, civil_date(now), limit + 1)
    return page_by_id(convert_all(rows, DirectoryEntry), limit)


@get("/outlets/{outlet_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_outlet(tx: Tx, now: Now, outlet_id: FromPath[UUID]) -> Response[OutletView]:
    """One outlet, with its version as ETag. A recycler sees its own."""
    outlet = await service.get(tx, outlet_id, civil_date(now))
    return Response(outlet, headers={"etag": etag(outlet.version)})


@patch("/outlets/{outlet_id:uuid}", responses=when_editing(404, 409))
async def change_outlet(
    tx: Tx,
    caller: By,
    now: Now,
    outlet_id: FromPath[UUID],
    data: JSONBody[OutletPatch],
    if_match: IfMatch = None,
) -> Response[OutletView]:
    """Change an outlet."""
    expected = expected_version(if_match)
    outlet = await service.change(tx, outlet_id, data, expected, by=str(caller), now=now)
    return Response(outlet, headers={"etag": etag(outlet.version)})


@get("/outlets/{outlet_id:uuid}/limits", opt={"access": RECYCLERS}, responses=when_reading(404))
async def list_limits(
    tx: Tx, now: Now, outlet_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[LimitView]:
    """The limits that were ever entered, in that order."""
    today = civil_date(now)
    await service.get(tx, outlet_id, today)
    rows = await store.limits(tx, outlet_id, today, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, LimitView), limit)


@post("/outlets/{outlet_id:uuid}/limits", responses=when_posting(404))
async def add_limit(
    tx: Tx, caller: By, now: Now, outlet_id: FromPath[UUID], data: JSONBody[LimitCreate]
) -> LimitAnswer:
    """Have another limit hold from a day on, also one below what is there."""
    return await service.limit(tx, outlet_id, data, by=str(caller), now=now)


@post("/outlets/{outlet_id:uuid}/closure", status_code=200, responses=when_posting(404))
async def close_outlet(
    tx: Tx, caller: By, now: Now, outlet_id: FromPath[UUID], data: JSONBody[OutletClose]
) -> ClosureView:
    """Close an outlet from a day on, and be told what was to be handed over there later."""
    return await service.close(tx, outlet_id, data, by=str(caller), now=now)


@get("/outlets/{outlet_id:uuid}/duties", opt={"access": RECYCLERS}, responses=when_reading(404))
async def list_outlet_duties(
    tx: Tx,
    now: Now,
    outlet_id: FromPath[UUID],
    as_of: FromQuery[date | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OutletDutyView]:
    """Whose outlet it is or was, or with `as_of` on a day."""
    await service.get(tx, outlet_id, civil_date(now))
    rows = await store.duties(tx, outlet_id, after_id(cursor), as_of, limit + 1)
    return page_by_id(convert_all(rows, OutletDutyView), limit)


@post("/outlets/{outlet_id:uuid}/duties", responses=when_posting(404))
async def add_outlet_duty(
    tx: Tx, caller: By, now: Now, outlet_id: FromPath[UUID], data: JSONBody[OutletDutyCreate]
) -> OutletDutyView:
    """Make it an outlet of a battery maker in its province, or of a carmaker in its city."""
    return await service.add_duty(tx, outlet_id, data, by=str(caller), now=now)


@post(
    "/outlets/{outlet_id:uuid}/duties/{duty_id:uuid}/end",
    status_code=200,
    responses=when_posting(404),
)
async def end_outlet_duty(
    tx: Tx,
    caller: By,
    now: Now,
    outlet_id: FromPath[UUID],
    duty_id: FromPath[UUID],
    data: JSONBody[OutletDutyEnd],
) -> OutletDutyView:
    """End a duty on a day, which may be one to come."""
    return await service.end_duty(tx, outlet_id, duty_id, data, by=str(caller), now=now)


HANDLERS = [
    list_outlets,
    create_outlet,
    outlet_coverage,
    outlet_directory,
    get_outlet,
    change_outlet,
    list_limits,
    add_limit,
    close_outlet,
    list_outlet_duties,
    add_outlet_duty,
    end_outlet_duty,
]
