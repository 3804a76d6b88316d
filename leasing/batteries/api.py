"""Packs over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from leasing.batteries import codes, service, store
from leasing.http.edge import EVERYONE, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.common import PRINTABLE
from schemas.packs import PackCreate, PackState, PackView


@post("/packs", responses=when_posting())
async def acquire_pack(tx: Tx, caller: By, now: Now, data: JSONBody[PackCreate]) -> PackView:
    """Take a pack into stock."""
    (pack_id,) = await service.acquire(tx, [data], by=str(caller), now=now)
    return await service.get(tx, pack_id)


@get("/packs", opt={"access": EVERYONE}, responses=when_reading())
async def list_packs(
    tx: Tx,
    in_state: Annotated[PackState | None, QueryParameter(name="state")] = None,
    code: Annotated[str | None, QueryParameter(max_length=80, pattern=PRINTABLE)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PackView]:
    """Packs in the order they were acquired; `code` finds one by any code it ever carried."""
    wanted = codes.normalise(code) if code is not None else None
    rows = await store.after(tx, after_id(cursor), in_state, wanted, limit + 1)
    return page_by_id(convert_all(rows, PackView), limit)


@get(
    "/packs/{pack_id:uuid}",
    opt={"access": EVERYONE, "one_statement": True},
    responses=when_reading(404),
)
async def get_pack(tx: Tx, pack_id: FromPath[UUID]) -> PackView:
    """One pack."""
    return await service.get(tx, pack_id)


HANDLERS = [acquire_pack, list_packs, get_pack]
