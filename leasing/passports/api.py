"""Battery passports over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter, QueryParameter

from leasing.db.pool import Actor, DbRole
from leasing.http.edge import REGULATORS, By, Db, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import documented, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.passports import service, store
from schemas.common import PRINTABLE
from schemas.passports import (
    Access,
    BatteryPassport,
    CoverageView,
    DeclarationCreate,
    DeclarationScope,
    DeclarationView,
    PassportCreate,
    PassportView,
)

Code = Annotated[str, PathParameter(min_length=1, max_length=80, pattern=PRINTABLE)]


@post("/passport-declarations", responses=when_posting(404))
async def declare(
    tx: Tx, caller: By, now: Now, data: JSONBody[DeclarationCreate]
) -> DeclarationView:
    """Enter what a maker, or another, declares for passports of packs. What the system holds
    itself is not declared; of two declarations of one field the later holds."""
    return await service.declare(tx, data, by=str(caller), now=now)


@get("/passport-declarations", opt={"access": REGULATORS}, responses=when_reading())
async def list_declarations(
    tx: Tx,
    of_scope: Annotated[DeclarationScope | None, QueryParameter(name="scope")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DeclarationView]:
    """What was declared for passports."""
    rows = await store.declarations_after(tx, after_id(cursor), of_scope, limit + 1)
    return page_by_id(convert_all(rows, DeclarationView), limit)


@post("/packs/{pack_id:uuid}/passport", responses=when_posting(404))
async def issue(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[PassportCreate]
) -> PassportView:
    """Issue the battery passport of a pack of more than 2 kWh. A value that the schema demands and
    nobody holds is never made up: the refusal lists what has to be declared first."""
    return await service.issue(tx, pack_id, data, by=str(caller), now=now)


@get(
    "/packs/{pack_id:uuid}/passport",
    opt={"access": REGULATORS},
    responses=when_reading(404, 409, 410),
)
async def show(
    tx: Tx, pack_id: FromPath[UUID], view: FromQuery[Access] = Access.PUBLIC
) -> BatteryPassport:
    """A battery passport as one group of readers sees it. When the pack is recycled it has ended
    (410); the authorities' copy stays."""
    return await service.show(tx, pack_id, view)


@get("/passports/coverage", opt={"access": REGULATORS}, responses=when_reading(404))
async def coverage(tx: Tx, pack_id: FromQuery[UUID | None] = None) -> CoverageView:
    """How each of the 93 attributes of a battery passport is filled: from data, declared by
    somebody else, or not held; for one pack also whether it is there."""
    return await service.coverage(tx, pack_id)


@get("/passports/{code:str}", responses=documented(404, 409, 410, 500, 503))
async def resolve(db: Db, code: Code) -> BatteryPassport:
    """What the code on a battery leads to: the public part of its passport, for anyone, without a
    key. 410 with the day when the battery was recycled."""
    async with db.transaction(Actor(DbRole.REGULATOR), read_only=True) as tx:
        return await service.show_code(tx, code)


HANDLERS = [declare, list_declarations, issue, show, coverage]
PUBLIC_HANDLERS = [resolve]
