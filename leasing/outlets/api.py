"""Outlets over HTTP."""

from typing import Annotated

from litestar import get
from litestar.params import FromQuery, QueryParameter

from leasing.http.edge import RECYCLERS, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_reading
from leasing.kit.rows import convert, convert_all
from leasing.outlets import store
from schemas.common import PRINTABLE
from schemas.outlets import CoverageView, OutletKind, OutletView


@get("/outlets", opt={"access": RECYCLERS}, responses=when_reading())
async def list_outlets(
    tx: Tx,
    adcode: Annotated[str | None, QueryParameter(max_length=6, pattern=PRINTABLE)] = None,
    kind: FromQuery[OutletKind | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OutletView]:
    """Collection outlets. A recycler sees its own."""
    rows = await store.after(tx, after_id(cursor), adcode, kind, limit + 1)
    return page_by_id(convert_all(rows, OutletView), limit)


@get("/outlets/coverage", responses=when_reading())
async def outlet_coverage(tx: Tx) -> CoverageView:
    """How many outlets in how many prefectures and provinces, and what they hold."""
    return convert(await store.coverage(tx), CoverageView)


HANDLERS = [list_outlets, outlet_coverage]
